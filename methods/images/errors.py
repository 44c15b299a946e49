"""The sentences for a file that is no usable image: damaged, or sound but of a kind that is not read here."""

from __future__ import annotations

from methods.errors import InputError


class ImageError(InputError):
    """The source is not a usable image: one plain sentence that says why, and what to do."""


class DamagedError(ImageError):
    """The file does not hold all of its image.

    Args:
        reason: a clause without a full stop, "its last scans are missing"; empty where the decoder does not say.
    """

    def __init__(self, reason: str = "") -> None:
        where = f": {reason}" if reason else ""
        super().__init__(f"The image is damaged or incomplete and cannot be scored{where}; copy or save it again.")


class UnsupportedError(ImageError):
    """The file may be sound, but this program has no reader for its kind of pixels or compression.

    Args:
        kind: what is not read, "TIFF compression 50001".
    """

    def __init__(self, kind: str) -> None:
        super().__init__(f"This kind of file is not supported here ({kind}); save it as an 8-bit JPEG or PNG.")
