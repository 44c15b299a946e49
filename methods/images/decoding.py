"""The only entry point for images: a path, a file's bytes or a PIL image in; 8-bit RGB out, or one sentence why not.

A quality score is only as honest as the pixels it was computed from. A photo that lies on its side, a 16-bit scan
that was clipped, or the grey half of a truncated upload all get a score that looks like any other. So every method,
the app and the command line read images here. What had to be changed is noted in plain words, what cannot be read
completely is refused, and the memory that a file can claim is decided from its header, before a pixel is decoded.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

from PIL import Image, ImageFile

from methods.budget import Budget
from methods.errors import InputError
from methods.images.bitmaps import decode_indexed_bmp, decode_scaled_pnm, is_indexed
from methods.images.containers import Samples, check_complete, content_of, largest_value
from methods.images.errors import DamagedError, ImageError, UnsupportedError
from methods.images.files import open_image, open_stream
from methods.images.jpeg import decode_jpeg
from methods.images.metadata import bounded, exif_fits, gif_frames, tiff_pages
from methods.images.pixels import to_rgb, to_workable
from methods.images.tiff import ALWAYS_READ

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import TiffImageFile

MAX_PIXELS = 24_000_000
"""A phone's 12 and 24 megapixel photos pass in full; a larger image is scaled down to this many pixels."""

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".dib"}
    | {".avif", ".avifs", ".heic", ".heif", ".hif", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm"}
)
"""Names by which a folder's images are told from its other files, in lower case. `decode` itself ignores names."""

_BUDGET = 32  # bytes that decoding may claim for every pixel of max_pixels ...
_LEAST_BUDGET = 256 * 2**20  # ... and bytes in any case, so that an ordinary photo can always be scaled down.

# Bytes that a source pixel takes while it is decoded. Pillow keeps 4, and as much again while it scales transparency;
# libwebp, libavif, libheif and openjpeg hold their own planes beside it.
_BYTES_PER_PIXEL = {"JPEG": 6, "WEBP": 16, "AVIF": 14, "HEIF": 14, "JPEG2000": 20}
_OTHER_BYTES_PER_PIXEL = 8
_BASELINE_JPEG = 3  # A JPEG that is scaled while it is decoded may have this many times the pixels.

_COUNTED = 1000  # frames or pages; a file may hold millions
_ORIENTATION = 0x0112
_DNG_VERSION, _NEW_SUBFILE_TYPE, _TILE_WIDTH, _TILE_LENGTH = 50706, 254, 322, 323
_TRANSPOSE = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, "Mirrored"), 3: (Image.Transpose.ROTATE_180, "Rotated by 180 degrees"),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, "Mirrored"), 5: (Image.Transpose.TRANSPOSE, "Rotated and mirrored"),
    6: (Image.Transpose.ROTATE_270, "Rotated by 90 degrees"), 7: (Image.Transpose.TRANSVERSE, "Rotated and mirrored"),
    8: (Image.Transpose.ROTATE_90, "Rotated by 90 degrees"),
}  # fmt: skip


_together: Budget | None = None
"""Bytes that all threads together may claim for decoding; None for no limit."""


class AheadWork(Protocol):
    """What was made of an image ahead of its turn."""

    @property
    def nbytes(self) -> int: ...


@dataclass(frozen=True)
class Decoded:
    """An image that is ready to be scored.

    Attributes:
        image: 8-bit RGB, upright, without metadata.
        notes: one plain sentence for everything that was changed on the way; empty when nothing was.
        ahead: what was made of the image before its turn (`methods.base.Method.prepare`), each with its size in bytes
            as `nbytes`. Whoever made it finds it by the image for as long as it is held here.
    """

    image: Image.Image
    notes: tuple[str, ...] = ()
    ahead: tuple[AheadWork, ...] = field(default=(), compare=False, repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels and of what was made ahead."""
        return 3 * self.image.width * self.image.height + sum(int(one.nbytes) for one in self.ahead)


def decode(source: object, *, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Reads one image.

    Args:
        source: a path (str or os.PathLike), a file's content (bytes, bytearray, memoryview), a data: address (str), a
            binary file object, a PIL image (it is left as it is), or a `Decoded`, which is returned unchanged.
        max_pixels: the most pixels of the result, at least 1. A larger image is scaled down, and noted. Decoding
            claims at most 32 bytes for each of them, or 256 MiB where that is more; a file that needs more is refused
            from its header.

    Returns:
        The first frame or page (a HEIC file's main image), 8-bit RGB, with notes.

    Raises:
        ImageError: the source is not a usable, complete image. One plain sentence.
        InputError: max_pixels is below 1.
    """
    if max_pixels < 1:
        raise InputError(f"max_pixels must be at least 1; got {max_pixels}.")
    if isinstance(source, Decoded):
        return source
    if isinstance(source, Image.Image):
        if source.width < 1 or source.height < 1:
            raise ImageError("The image has no pixels; choose another one.")
        with bounded():
            deep = any(";16" in str(tile.args) for tile in getattr(source, "tile", ()))
            return _finish(source, max_pixels, Samples(16 if deep else 8))
    with open_stream(source) as stream, bounded(), open_image(stream) as image, content_of(stream) as content:
        claim = _checked_claim(image, max_pixels)
        notes = _frame_notes(image, stream)
        with _together.taken(claim) if _together is not None else contextlib.nullcontext():
            return _finish(image, max_pixels, check_complete(image, content), notes, content)


def size_of(source: object) -> tuple[int, int]:
    """An image's (width, height) as its file's header says them; no pixel is read.

    Raises:
        ImageError: the source is not an image.
    """
    if isinstance(source, Decoded):
        return source.image.size
    with open_stream(source) as stream, bounded(), open_image(stream) as image:
        width, height = image.size
        return width, height


def limit_decoding(most: int | None) -> None:
    """Limits the memory of images decoded at the same time to `most` bytes; later ones wait. None for no such limit. It
    holds for the whole process."""
    global _together
    _together = None if most is None else Budget(most)


def resolve_inside(path: str | os.PathLike[str], roots: Sequence[str | os.PathLike[str]]) -> Path:
    """`path` with every symbolic link resolved, if that lies inside one of the folders the app may read.

    Raises:
        ImageError: the path lies elsewhere. The sentence is the same whether or not the file exists, so that it
            tells a stranger nothing about the machine.
    """
    refusal = "This path is outside the folders that may be read here; upload the image instead."
    try:
        resolved = Path(path).resolve()
        inside = any(resolved.is_relative_to(Path(root).resolve()) for root in roots)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise ImageError(refusal) from error
    if not inside:
        raise ImageError(refusal)
    return resolved


def _checked_claim(image: Image.Image, max_pixels: int) -> int:
    """The bytes that decoding claims, from the header; refuses what would claim too much."""
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError("The image has no pixels; choose another file.")
    format_name = "JPEG" if image.format == "MPO" else str(image.format)
    if format_name == "TIFF":
        width, height = _checked_tiff(cast("TiffImageFile", image))
    bytes_per_pixel = _BYTES_PER_PIXEL.get(format_name, _OTHER_BYTES_PER_PIXEL)
    most = max(_BUDGET * max_pixels, _LEAST_BUDGET)
    limit = most // bytes_per_pixel
    # A progressive JPEG keeps all coefficients whatever the scale, so that scaling while decoding saves nothing.
    if format_name == "JPEG" and not image.info.get("progressive"):
        limit *= _BASELINE_JPEG
    if width * height > limit:
        raise ImageError(
            f"The image has {width} x {height} pixels, more than the {limit / 1e6:.0f} megapixels that this format "
            "may have here; scale it down first."
        )
    return min(width * height * bytes_per_pixel, most)


def _checked_tiff(image: TiffImageFile) -> tuple[int, int]:
    """The TIFF's width and height, or those of its tile where that is larger: libtiff buffers a whole tile."""
    tags = image.tag_v2
    subfile = tags.get(_NEW_SUBFILE_TYPE, 0)
    if _DNG_VERSION in tags or (isinstance(subfile, int) and subfile & 1):
        raise ImageError("This is a camera's raw file with only a small preview in it; save it as JPEG or TIFF.")
    width, height = image.size
    tile = [tags.get(tag, 1) for tag in (_TILE_WIDTH, _TILE_LENGTH)]
    if not all(isinstance(side, int) for side in tile):
        raise ImageError("The TIFF's tile size is damaged; save it again.")
    return (width, height) if width * height >= tile[0] * tile[1] else (tile[0], tile[1])


def _frame_notes(image: Image.Image, stream: IO[bytes]) -> list[str]:
    """What is left out of a file with several images."""
    if image.format in ("PNG", "WEBP", "AVIF", "HEIF"):
        count = getattr(image, "n_frames", 1)  # The header says it.
    elif image.format == "GIF":
        count = gif_frames(stream, _COUNTED)
    elif image.format == "TIFF":
        count = tiff_pages(stream, _COUNTED)
    else:
        # The further images of a phone's JPEG (MPO) are its depth or gain map: the photo itself is the first.
        count = 1
    if count <= 1:
        return []
    if image.format == "HEIF":
        return [f"The file holds {count} images; only the main one was used."]
    kind = "page" if image.format == "TIFF" else "frame"
    return [f"Only the first {kind} of {count}{' or more' if count == _COUNTED else ''} was used."]


# --- the pixels -------------------------------------------------------------------------------------------------------


def size_within(size: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """The largest size of the same shape with at most `max_pixels` pixels; no side falls below one pixel."""
    width, height = size
    if width * height <= max_pixels:
        return size
    scale = math.sqrt(max_pixels / (width * height))
    new_width, new_height = max(int(width * scale), 1), max(int(height * scale), 1)
    # Where one side of a very long image was held at a pixel, the other gives way.
    new_height = min(new_height, max_pixels)
    return min(new_width, max_pixels // new_height), new_height


def _loaded(source: ImageFile.ImageFile, content: bytes | mmap.mmap, max_pixels: int) -> Image.Image:
    """The image's pixels, by the reader that reads its kind completely and rightly; its `info` is the image's."""
    if source.format in ("JPEG", "MPO"):
        # libjpeg skips the fine DCT coefficients, so a 200-megapixel photo never exists in full.
        target = size_within(source.size, max_pixels)
        factor = min(source.width // target[0], source.height // target[1])
        scale = next(scale for scale in (8, 4, 2, 1) if factor >= scale)
        image = decode_jpeg(content, source.mode, source.size, scale)
    elif source.format == "BMP" and is_indexed(content):
        image = decode_indexed_bmp(content, source.size)
    elif source.format == "PPM" and source.tile[0].codec_name == "ppm":
        channels, place = len(source.getbands()), source.tile[0].offset
        image = decode_scaled_pnm(content, place, source.size, channels, largest_value(source))
    else:
        source.load()
        return source
    image.info.update(source.info)
    return image


def _finish(
    source: Image.Image, max_pixels: int, samples: Samples, notes: Sequence[str] = (),
    content: bytes | mmap.mmap | None = None,
) -> Decoded:
    """Decodes the pixels, and makes them upright, small enough and 8-bit RGB; without `content` by Pillow alone."""
    notes = list(notes)
    full_size = source.size
    # Pillow turns a TIFF itself while loading, also where only XMP asks for it; a PNG may tell its orientation only at
    # its end.
    is_tiff = source.format == "TIFF"
    before = _orientation(source, notes) if is_tiff else 1
    try:
        if content is None:
            source.load()
            loaded = source
        else:
            if is_tiff:
                source.info.pop("xmp", None)
            loaded = _loaded(cast(ImageFile.ImageFile, source), content, max_pixels)
        after = 1 if is_tiff else _orientation(loaded, notes)
        if loaded is source:  # A HEIC file may only tell its size in its pixels.
            full_size = loaded.size
        workable = to_workable(loaded, notes, samples)
        size = size_within(workable.size, max_pixels)
        if size != workable.size:
            workable = workable.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        image = to_rgb(workable, loaded.info.get("icc_profile"), notes)
    except ImageError:
        raise
    except Exception as error:  # The codecs raise whatever a damaged file leads them to.
        compression = cast("TiffImageFile", source).tag_v2.get(259) if is_tiff else 1
        if is_tiff and compression not in ALWAYS_READ:
            raise UnsupportedError(f"TIFF compression {compression}") from error
        raise DamagedError from error
    if after in _TRANSPOSE:
        image = image.transpose(_TRANSPOSE[after][0])
    turned = after if after in _TRANSPOSE else before
    if turned in _TRANSPOSE:
        notes.append(f"{_TRANSPOSE[turned][1]} as the camera's EXIF orientation says.")
        if turned >= 5 and after in _TRANSPOSE:
            full_size = full_size[::-1]
    if math.prod(full_size) > image.width * image.height:
        notes.append(f"Scaled down from {full_size[0]} x {full_size[1]} to {image.width} x {image.height} pixels.")
    if image is source or type(image) is not Image.Image:
        image = image.copy()
    # Without the metadata, an image that passes here twice is not turned twice.
    image.info = {}
    return Decoded(image, tuple(notes))


def _orientation(image: Image.Image, notes: list[str]) -> int:
    """EXIF orientation 1 to 8; 1 where there is none.

    Only what the format's own standard says counts: Pillow's `getexif` would also take it from XMP and from text.
    """
    damaged = "Its EXIF data is damaged and was ignored."
    content = image.info.get("exif")
    try:
        if image.format == "TIFF":
            value = cast("TiffImageFile", image).tag_v2.get(_ORIENTATION, 1)
        elif not content:
            return 1
        elif exif_fits(content):
            exif = Image.Exif()
            exif.load(content)
            value = exif.get(_ORIENTATION, 1)
        else:
            raise ValueError("The EXIF data claims more than any camera writes.")
    except Exception:  # Pillow raises many kinds here, and the pixels do not depend on it.
        if damaged not in notes:
            notes.append(damaged)
        return 1
    return value if isinstance(value, int) and value in _TRANSPOSE else 1
