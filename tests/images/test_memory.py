"""What a picture may claim: measured as the peak memory of a process that decodes it and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.images import pictures
from tests.images.pictures import encoded

REPOSITORY = Path(__file__).resolve().parents[2]

MEASURE = """
import resource, sys
from methods.images import ImageError, decode
decode("{warm}")
def peak():
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (2**20 if sys.platform == "darwin" else 2**10)
before = peak()
try:
    size = decode("{path}", max_pixels={max_pixels}).image.size
except ImageError as error:
    size = error
print(int(peak() - before), size, sep="|")
"""


def growth(path: Path, max_pixels: int, tmp_path: Path) -> tuple[int, str]:
    """MiB by which the process grew at its peak, and the size decoded or the sentence."""
    warm = tmp_path / "warm.png"
    warm.write_bytes(encoded(pictures.scene(), "PNG"))
    code = MEASURE.format(warm=warm, path=path, max_pixels=max_pixels)
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    mebibytes, _, outcome = done.stdout.strip().partition("|")
    return int(mebibytes), outcome


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read from resource.getrusage")


def test_a_bomb_is_refused_before_it_claims_memory(tmp_path: Path):
    path = tmp_path / "bomb.png"
    path.write_bytes(pictures.png_bomb(30_000))
    assert path.stat().st_size < 200_000
    mebibytes, outcome = growth(path, 24_000_000, tmp_path)
    assert "30000 x 30000" in outcome
    assert mebibytes < 20


@pytest.mark.parametrize(
    ("file_format", "mode"), [("PNG", "RGB"), ("PNG", "RGBA"), ("TIFF", "I;16"), ("TIFF", "F"), ("JPEG", "CMYK")]
)
def test_scaling_a_large_picture_down_stays_in_the_budget(file_format: str, mode: str, tmp_path: Path):
    path = tmp_path / "large"
    path.write_bytes(encoded(Image.new(mode, (5500, 5500)), file_format))
    mebibytes, outcome = growth(path, 1_000_000, tmp_path)
    assert outcome == "(1000, 1000)"
    assert mebibytes < 256  # 30 megapixels; the least budget


def test_a_jpeg_is_scaled_while_it_is_decoded(tmp_path: Path):
    path = tmp_path / "large.jpg"
    path.write_bytes(encoded(Image.new("L", (10_000, 10_000), 90), "JPEG"))
    mebibytes, outcome = growth(path, 1_000_000, tmp_path)
    assert outcome == "(1000, 1000)"
    assert mebibytes < 60  # In full it would take 400 as RGB, 100 as grey.
