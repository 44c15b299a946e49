"""What ships beside the code: the embedded models, the reference set, examples, drawings and the style of the page."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

FOLDER = Path(str(files(__name__)))
"""The folder of the assets, in a checkout as in an installed package."""
