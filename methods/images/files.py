"""From a path or bytes to an opened image: what may be opened at all, and by which reader.

Beside `methods.images`. Files come from strangers: a path can name a device, a file can be a web page under an image's
name, and Pillow's own `Image.open` tries some fifty readers, of which a few start other programs. Here only regular
files of a bounded size are opened, only by the readers in the table, and no pixel is decoded.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import io
import os
import re
import stat
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from PIL import Image

from methods.images.errors import DamagedError, ImageError, UnsupportedError
from methods.images.metadata import MetadataError, check_outline

MAX_FILE_BYTES = 256 * 2**20

READS = "JPEG, PNG, WebP, TIFF, GIF, BMP, AVIF, HEIC, JPEG 2000 or PNM"

# Format -> Pillow's module. Formats outside the table are never opened: some start other programs (EPS), some draw
# text and shapes (WMF).
_READERS = {
    "JPEG": "PIL.JpegImagePlugin",
    "PNG": "PIL.PngImagePlugin",
    "WEBP": "PIL.WebPImagePlugin",
    "TIFF": "PIL.TiffImagePlugin",
    "GIF": "PIL.GifImagePlugin",
    "BMP": "PIL.BmpImagePlugin",
    "AVIF": "PIL.AvifImagePlugin",
    "HEIF": "pillow_heif",
    "JPEG2000": "PIL.Jpeg2KImagePlugin",
    "PPM": "PIL.PpmImagePlugin",
}
# How Pillow's readers begin to say that a file's kind is not theirs, rather than that it is damaged.
_UNSUPPORTED = re.compile(r"(unsupported|unknown (pixel mode|compression)|cannot handle|not yet supported).*", re.I)
_COLOUR_MAP = 320  # the one tag whose absence is the same error
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


@contextlib.contextmanager
def open_stream(source: object) -> Iterator[IO[bytes]]:
    """A seekable binary stream of at most MAX_FILE_BYTES."""
    if isinstance(source, str) and source.startswith("data:"):
        source = from_data_url(source)
    if isinstance(source, (str, os.PathLike)):
        with _open_path(os.fspath(source)) as stream:
            yield stream
        return
    if isinstance(source, (bytes, bytearray, memoryview)):
        content = bytes(source)
    elif hasattr(source, "read"):
        content = _read_all(source)
    else:
        raise ImageError(f"An image is a path, a file's bytes or a PIL image; got {type(source).__name__}.")
    if not content:
        raise ImageError("The file is empty; choose another one or copy it again.")
    _check_bytes(len(content))
    yield io.BytesIO(content)


def from_data_url(address: str) -> bytes:
    """The file inside a data: address (RFC 2397), base64 or percent-encoded.

    Raises:
        ImageError: it is no such address, is too large, or its base64 is damaged.
    """
    head, comma, body = address.partition(",")
    if not head.startswith("data:") or not comma:
        raise ImageError("The data: address has no content; give the image as a file.")
    _check_bytes(len(body) * 3 // 4)
    content = urllib.parse.unquote_to_bytes(body)
    if head.endswith(";base64"):
        try:
            content = base64.b64decode(b"".join(content.split()), validate=True)
        except ValueError as error:
            raise ImageError("The data: address is damaged or incomplete; give the image as a file.") from error
    return content


def _open_path(path: str | bytes) -> IO[bytes]:
    path = os.fsdecode(path)
    if not path.strip():
        raise ImageError("No path was given; name an image file.")
    name = Path(path).name or path
    if path.startswith(("http://", "https://")):
        raise ImageError("This is a web address; download the image first and give its path.")
    try:
        # Looked at before it is opened: opening a device can act on it, and opening a pipe waits for its other end.
        _check_kind(os.stat(path).st_mode, name)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        stream = os.fdopen(os.open(path, flags), "rb")
    except ImageError:
        raise
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
        raise ImageError(f"{name!r} is a folder; name an image file inside it.")
    if not stat.S_ISREG(mode):
        raise ImageError(f"{name!r} is a device or a pipe, not an image file; name a regular file.")


def _check_bytes(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ImageError(
            f"The file has {size / 2**20:.0f} MiB, more than the {MAX_FILE_BYTES // 2**20} MiB that are read; "
            "save it as a JPEG of high quality."
        )


class _Readable(Protocol):
    """A file object of anybody's: what it gives is looked at."""

    def read(self, size: int, /) -> object: ...


def _read_all(stream: _Readable) -> bytes:
    try:
        content = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ImageError("The file object cannot be read; open it again in binary mode.") from error
    if not isinstance(content, (bytes, bytearray)):
        raise ImageError("The file object gives text, not bytes; open it in binary mode.")
    return bytes(content)


@contextlib.contextmanager
def open_image(stream: IO[bytes]) -> Iterator[Image.Image]:
    """The image with its header read and no pixel decoded."""
    head = stream.read(4096)
    _refuse_by_name(head)
    failure: Exception | None = None
    for name, module in _READERS.items():
        if name == "HEIF" and not (head[4:8] == b"ftyp" and any(brand in head[8:64] for brand in _HEIC_BRANDS)):
            continue
        _import_reader(module)
        factory, accept = Image.OPEN[name]
        if accept is None or accept(head[:16]) is not True:
            continue
        stream.seek(0)
        try:
            check_outline(name, stream)
            image = factory(stream, None)  # type: ignore[arg-type]  # as Image.open does for a stream
        except MetadataError as error:
            raise ImageError("The file holds far more metadata than an image needs; save it again without.") from error
        except Exception as error:  # Pillow's readers raise whatever a damaged header leads them to.
            failure = error
            continue
        with image:
            yield image
        return
    if failure is not None:
        kind = _UNSUPPORTED.search(str(failure))
        cause = failure.__cause__
        number = cause.args[0] if isinstance(cause, KeyError) else None
        if isinstance(number, int) and number != _COLOUR_MAP:  # Pillow looks a TIFF's compression up.
            raise UnsupportedError(f"TIFF compression {number}") from failure
        if kind is not None:
            raise UnsupportedError(f"its reader says {kind[0]!r}") from failure
        raise DamagedError("it only starts like an image") from failure
    raise ImageError(f"The file is not an image that can be read here; save it as {READS}.")


def _import_reader(module: str) -> None:
    try:
        plugin = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != "pillow_heif":
            raise
        raise ImageError("Reading HEIC needs the package pillow-heif; install it or save as JPEG.") from error
    if module == "pillow_heif" and "HEIF" not in Image.OPEN:
        plugin.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)


def _refuse_by_name(head: bytes) -> None:
    """Says what a file is where it is something people often hand over by mistake."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in text):
        raise ImageError("This is an SVG drawing, which has no pixels of its own; export it as PNG.")
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or b"<html" in text[:1024]:
        raise ImageError("This is a web page, not an image; open it in a browser and save the image itself.")
    if head.startswith(b"%PDF"):
        raise ImageError("This is a PDF document; export the page as PNG.")
    canon = head[:4] in (b"II*\0", b"MM\0*") and head[8:10] == b"CR"
    if canon or head.startswith((b"FUJIFILMCCD-RAW", b"IIRO", b"IIU\0")):
        raise ImageError("This is a camera's raw file; develop it and save it as JPEG or TIFF.")
