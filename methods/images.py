"""The only door for pictures: a path, a file's bytes or a PIL picture in, an 8-bit RGB picture out, or one sentence why not.

A quality score is only as honest as the pixels it was computed from. A photo that lies on its side, a 16-bit scan
that was clipped, or the grey half of a truncated upload all get a score that looks like any other. So every method,
the app and the command line read pictures here. What had to be changed is noted in plain words, what cannot be read
completely is refused, and the memory that a file can claim is decided from its header, before a pixel is decoded.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from PIL import Image

from methods.image_pixels import ImageError, note_depth, to_rgb, to_workable

__all__ = ["MAX_FILE_BYTES", "MAX_PIXELS", "PICTURE_SUFFIXES", "Decoded", "ImageError", "decode", "resolve_inside"]

MAX_PIXELS = 24_000_000
"""A phone's 12 and 24 megapixel photos pass in full; a larger picture is scaled down to this many pixels."""

MAX_FILE_BYTES = 256 * 2**20

PICTURE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .tif .tiff .gif .bmp .dib .avif .avifs .heic .heif .hif .jp2 .j2k "
    ".jpx .ppm .pgm .pbm .pnm".split()
)
"""Names by which a folder's pictures are told from its other files, in lower case. `decode` itself ignores names."""

READS = "JPEG, PNG, WebP, TIFF, GIF, BMP, AVIF, HEIC, JPEG 2000 or PNM"

# Format -> (Pillow's module, bytes of memory a source pixel while decoding). Pillow keeps 4 bytes a pixel, and as much
# again while it scales transparency; libwebp, libavif, libheif and openjpeg hold their own planes beside it. Formats outside the table are never
# opened: some of them start other programs (EPS) or draw text and shapes (WMF).
_READERS: dict[str, tuple[str, int]] = {
    "JPEG": ("PIL.JpegImagePlugin", 6),
    "PNG": ("PIL.PngImagePlugin", 8),
    "WEBP": ("PIL.WebPImagePlugin", 16),
    "TIFF": ("PIL.TiffImagePlugin", 8),
    "GIF": ("PIL.GifImagePlugin", 8),
    "BMP": ("PIL.BmpImagePlugin", 8),
    "AVIF": ("PIL.AvifImagePlugin", 14),
    "HEIF": ("pillow_heif", 14),
    "JPEG2000": ("PIL.Jpeg2KImagePlugin", 20),
    "PPM": ("PIL.PpmImagePlugin", 8),
}
_BYTES_A_PIXEL = 32  # decoding may claim this much for every pixel of max_pixels ...
_LEAST_BUDGET = 256 * 2**20  # ... and this much in any case, so that an ordinary photo can still be scaled down.
_BASELINE_JPEG = 3  # A JPEG that is scaled while it is decoded may have this many times the pixels.

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_ORIENTATION = 0x0112
_DNG_VERSION, _NEW_SUBFILE_TYPE, _TILE_WIDTH, _TILE_LENGTH = 50706, 254, 322, 323
_TRANSPOSE = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, "Mirrored"), 3: (Image.Transpose.ROTATE_180, "Rotated by 180 degrees"),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, "Mirrored"), 5: (Image.Transpose.TRANSPOSE, "Rotated and mirrored"),
    6: (Image.Transpose.ROTATE_270, "Rotated by 90 degrees"), 7: (Image.Transpose.TRANSVERSE, "Rotated and mirrored"),
    8: (Image.Transpose.ROTATE_90, "Rotated by 90 degrees"),
}  # fmt: skip


@dataclass(frozen=True)
class Decoded:
    """A picture that is ready to be scored.

    Attributes:
        image: 8-bit RGB, upright, without metadata.
        notes: one plain sentence for everything that was changed on the way; empty when nothing was.
    """

    image: Image.Image
    notes: tuple[str, ...] = ()


def decode(source: Any, *, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Reads one picture.

    Args:
        source: a path (str or os.PathLike), a file's content (bytes, bytearray, memoryview), a binary file object,
            a PIL picture (it is left as it is), or a `Decoded`, which is returned unchanged.
        max_pixels: the most pixels of the result, at least 1. A larger picture is scaled down, and noted. Decoding
            claims at most 32 bytes for each of them, or 256 MiB where that is more; a file that needs more is refused
            from its header.

    Returns:
        The first frame or page (a HEIC file's main picture), 8-bit RGB, with notes.

    Raises:
        ImageError: the source is not a usable, complete picture. One plain sentence.
        ValueError: max_pixels is below 1.
    """
    if max_pixels < 1:
        raise ValueError(f"max_pixels must be at least 1; got {max_pixels}.")
    if isinstance(source, Decoded):
        return source
    if isinstance(source, Image.Image):
        if source.width < 1 or source.height < 1:
            raise ImageError("The picture has no pixels; choose another one.")
        return _finish(source, max_pixels)
    with _stream(source) as stream, _opened(stream) as picture:
        notes = _frame_notes(picture)
        _check_size(picture, max_pixels)
        width, height = picture.size
        if picture.format in ("JPEG", "MPO") and width * height > max_pixels:
            # libjpeg skips the fine DCT coefficients, so a 200-megapixel photo never exists in full.
            picture.draft(picture.mode, _fitted(picture.size, max_pixels))
        return _finish(picture, max_pixels, notes, (width, height))


def resolve_inside(path: str | os.PathLike[str], roots: Sequence[str | os.PathLike[str]]) -> Path:
    """`path` with every symbolic link resolved, if that lies inside one of the folders the app may read.

    Raises:
        ImageError: the path lies elsewhere. The sentence is the same whether or not the file exists, so that it
            tells a stranger nothing about the machine.
    """
    refusal = "This path is outside the folders that may be read here; upload the picture instead."
    try:
        resolved = Path(path).resolve()
        inside = any(resolved.is_relative_to(Path(root).resolve()) for root in roots)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise ImageError(refusal) from error
    if not inside:
        raise ImageError(refusal)
    return resolved


# --- the source -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _stream(source: Any) -> Iterator[IO[bytes]]:
    """A seekable binary stream of at most MAX_FILE_BYTES."""
    if isinstance(source, (str, os.PathLike)):
        with _open_path(os.fspath(source)) as stream:
            yield stream
        return
    if isinstance(source, (bytes, bytearray, memoryview)):
        content = bytes(source)
    elif hasattr(source, "read"):
        content = _read_all(source)
    else:
        raise ImageError(f"A picture is a path, a file's bytes or a PIL picture; got {type(source).__name__}.")
    if not content:
        raise ImageError("The file is empty; choose another one or copy it again.")
    _check_bytes(len(content))
    yield io.BytesIO(content)


def _open_path(path: str | bytes) -> IO[bytes]:
    path = os.fsdecode(path)
    if not path.strip():
        raise ImageError("No path was given; name a picture file.")
    name = Path(path).name or path
    if path.startswith(("http://", "https://")):
        raise ImageError("This is a web address; download the picture first and give its path.")
    try:
        # Looked at before it is opened: opening a device can act on it, and opening a pipe waits for its other end.
        _check_kind(os.stat(path).st_mode, name)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        stream = os.fdopen(os.open(path, flags), "rb")
    except FileNotFoundError as error:
        raise ImageError(f"There is no file {name!r}; check the path.") from error
    except PermissionError as error:
        raise ImageError(f"The file {name!r} may not be read by this program; change its permissions.") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"The path {name[:80]!r} cannot be opened; check it.") from error
    try:
        status = os.fstat(stream.fileno())
        _check_kind(status.st_mode, name)
        if status.st_size == 0:
            raise ImageError(f"The file {name!r} is empty; choose another one or copy it again.")
        _check_bytes(status.st_size)
    except BaseException:
        stream.close()
        raise
    return stream


def _check_kind(mode: int, name: str) -> None:
    if stat.S_ISDIR(mode):
        raise ImageError(f"{name!r} is a folder; name a picture file inside it.")
    if not stat.S_ISREG(mode):
        raise ImageError(f"{name!r} is a device or a pipe, not a picture file; name a regular file.")


def _check_bytes(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ImageError(
            f"The file has {size / 2**20:.0f} MiB, more than the {MAX_FILE_BYTES // 2**20} MiB that are read; "
            "save it as a JPEG of high quality."
        )


def _read_all(stream: Any) -> bytes:
    try:
        content = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ImageError("The file object cannot be read; open it again in binary mode.") from error
    if not isinstance(content, (bytes, bytearray)):
        raise ImageError("The file object gives text, not bytes; open it in binary mode.")
    return bytes(content)


# --- the header -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(stream: IO[bytes]) -> Iterator[Image.Image]:
    """The picture with its header read and no pixel decoded."""
    head = stream.read(4096)
    _refuse_by_name(head)
    failure: Exception | None = None
    for name, (module, _) in _READERS.items():
        if name == "HEIF" and not (head[4:8] == b"ftyp" and any(brand in head[8:64] for brand in _HEIC_BRANDS)):
            continue
        _import_reader(module)
        factory, accept = Image.OPEN[name]
        if accept is None or accept(head[:16]) is not True:
            continue
        stream.seek(0)
        try:
            picture = factory(stream, None)
        except Exception as error:  # Pillow's readers raise whatever a damaged header leads them to.
            failure = error
            continue
        with picture:
            yield picture
        return
    if failure is not None:
        raise ImageError("The file starts like a picture but its header is damaged; copy or save it again.") from failure
    raise ImageError(f"The file is not a picture that can be read here; save it as {READS}.")


def _import_reader(module: str) -> None:
    try:
        plugin = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != "pillow_heif":
            raise
        raise ImageError("Reading HEIC needs the package pillow-heif; install it or save the picture as JPEG.") from error
    if module == "pillow_heif" and "HEIF" not in Image.OPEN:
        plugin.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)


def _refuse_by_name(head: bytes) -> None:
    """Says what a file is where it is something people often hand over by mistake."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in text):
        raise ImageError("This is an SVG drawing, which has no pixels of its own; export it as PNG.")
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or b"<html" in text[:1024]:
        raise ImageError("This is a web page, not a picture; open it in a browser and save the picture itself.")
    if head.startswith(b"%PDF"):
        raise ImageError("This is a PDF document; export the page as PNG.")
    if head[:4] in (b"II*\0", b"MM\0*") and head[8:10] == b"CR" or head.startswith((b"FUJIFILMCCD-RAW", b"IIRO", b"IIU\0")):
        raise ImageError("This is a camera's raw file; develop it and save it as JPEG or TIFF.")


def _check_size(picture: Image.Image, max_pixels: int) -> None:
    """Refuses from the header what would claim too much memory."""
    width, height = picture.size
    if width < 1 or height < 1:
        raise ImageError("The picture has no pixels; choose another file.")
    format_name = "JPEG" if picture.format == "MPO" else str(picture.format)
    if format_name == "TIFF":
        width, height = _checked_tiff(picture)
    limit = max(_BYTES_A_PIXEL * max_pixels, _LEAST_BUDGET) // _READERS[format_name][1]
    # A progressive JPEG keeps all coefficients whatever the scale, so that scaling while decoding saves nothing.
    if format_name == "JPEG" and not picture.info.get("progressive"):
        limit *= _BASELINE_JPEG
    if width * height > limit:
        raise ImageError(
            f"The picture has {width} x {height} pixels, more than the {limit / 1e6:.0f} megapixels that this format "
            "may have here; scale it down first."
        )


def _checked_tiff(picture: Any) -> tuple[int, int]:
    """The TIFF's width and height, or those of its tile where that is larger: libtiff buffers a whole tile."""
    tags = picture.tag_v2
    subfile = tags.get(_NEW_SUBFILE_TYPE, 0)
    if _DNG_VERSION in tags or (isinstance(subfile, int) and subfile & 1):
        raise ImageError("This is a camera's raw file with only a small preview in it; save it as JPEG or TIFF.")
    width, height = picture.size
    tile = [tags.get(tag, 1) for tag in (_TILE_WIDTH, _TILE_LENGTH)]
    if not all(isinstance(side, int) for side in tile):
        raise ImageError("The TIFF's tile size is damaged; save it again.")
    return (width, height) if width * height >= tile[0] * tile[1] else (tile[0], tile[1])


def _frame_notes(picture: Any) -> list[str]:
    """What is left out of a file with several pictures."""
    if picture.format in ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "HEIF", "GIF", "TIFF"):
        several = getattr(picture, "is_animated", False)
    else:
        several = False
    if not several:
        return []
    if picture.format == "MPO":
        return []  # A phone's JPEG with its depth or gain map: the photo itself is the first picture.
    if picture.format == "HEIF":
        return [f"The file holds {picture.n_frames} pictures; only the main one was used."]
    kind = "page" if picture.format == "TIFF" else "frame"
    return [f"Only the first {kind} of {_count(picture)} was used."]


_COUNTED = 1000


def _count(picture: Any) -> str:
    """How many frames or pages, without walking through millions of them."""
    if picture.format in ("PNG", "WEBP", "AVIF"):  # The header says it.
        return str(picture.n_frames)
    frame = 1
    try:
        while frame < _COUNTED:
            picture.seek(frame)
            frame += 1
        return f"{_COUNTED} or more"
    except EOFError:
        return str(frame)
    except Exception:  # A damaged later frame does not touch the first one, which is all that is used.
        return f"{frame} or more"
    finally:
        picture.seek(0)


# --- the pixels -------------------------------------------------------------------------------------------------------


def _fitted(size: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """The largest size of the same shape with at most `max_pixels` pixels; no side falls below one pixel."""
    width, height = size
    if width * height <= max_pixels:
        return size
    scale = math.sqrt(max_pixels / (width * height))
    new_width, new_height = max(int(width * scale), 1), max(int(height * scale), 1)
    # One side of a very long picture was held at a pixel; the other gives way.
    new_width = min(new_width, max_pixels // new_height)
    return new_width, min(new_height, max_pixels // new_width)


def _finish(
    picture: Image.Image, max_pixels: int, notes: Sequence[str] = (), full_size: tuple[int, int] | None = None
) -> Decoded:
    """Decodes the pixels, and makes them upright, small enough and 8-bit RGB."""
    notes = list(notes)
    before = _orientation(picture, notes)
    note_depth(picture, notes)
    try:
        picture.load()
        # Some readers turn the picture themselves while loading; others learn how only at the file's end.
        after = _orientation(picture, notes)
        full_size = full_size or picture.size
        workable = to_workable(picture, notes)
        size = _fitted(workable.size, max_pixels)
        if size != workable.size:
            workable = workable.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        image = to_rgb(workable, picture.info.get("icc_profile"), notes)
    except ImageError:
        raise
    except Exception as error:  # The codecs raise whatever a damaged file leads them to.
        raise ImageError("The picture is damaged or incomplete and cannot be scored; copy or save it again.") from error
    if after in _TRANSPOSE:
        image = image.transpose(_TRANSPOSE[after][0])
    turned = after if after in _TRANSPOSE else before
    if turned in _TRANSPOSE:
        notes.append(f"{_TRANSPOSE[turned][1]} as the camera's EXIF orientation says.")
        if turned >= 5 and after in _TRANSPOSE:
            full_size = full_size[::-1]
    if math.prod(full_size) > image.width * image.height:
        notes.append(f"Scaled down from {full_size[0]} x {full_size[1]} to {image.width} x {image.height} pixels.")
    if image is picture or type(image) is not Image.Image or image.info:
        # Without the metadata, a picture that passes this door twice is not turned twice.
        image = image.copy()
        image.info.clear()
    return Decoded(image, tuple(notes))


def _orientation(picture: Image.Image, notes: list[str]) -> int:
    """EXIF orientation 1 to 8; 1 where there is none."""
    damaged = "Its EXIF data is damaged and was ignored."
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow raises many kinds here, and the pixels do not depend on it.
        if damaged not in notes:
            notes.append(damaged)
        return 1
    return value if isinstance(value, int) and value in _TRANSPOSE else 1
