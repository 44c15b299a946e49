"""Inputs that hold no usable picture: each is refused with one plain sentence, and with ImageError alone."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from methods.images import MAX_FILE_BYTES, ImageError, decode, resolve_inside
from tests.images import pictures
from tests.images.pictures import encoded, scene


def refusal(source: object, **settings: int) -> str:
    """The sentence of the ImageError that `decode` must raise, checked for its form."""
    with pytest.raises(ImageError) as caught:
        decode(source, **settings)
    sentence = str(caught.value)
    assert re.fullmatch(r"[^\n]+[^.\n]\.", sentence), sentence
    assert ". " not in sentence, f"more than one sentence: {sentence}"
    assert len(sentence) < 240
    return sentence


def halved(file_format: str, **settings: object) -> Callable[[], bytes]:
    def build() -> bytes:
        content = encoded(scene(160, 120), file_format, **settings)
        return content[: len(content) // 2]

    return build


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty"),
    "one byte": (lambda: b"\xff", "not an image"),
    "random bytes": (lambda: np.random.default_rng(0).bytes(5000), "not an image"),
    "zeros": (lambda: bytes(5000), "not an image"),
    "text": (lambda: b"holiday photo, third from the left\n" * 50, "not an image"),
    "HTML named as a picture": (lambda: b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "web page"),
    "HTML after white space": (lambda: b"\n\n  <html lang='en'>", "web page"),
    "SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "SVG"),
    "SVG with an XML declaration": (lambda: b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg width="9"/>', "SVG"),
    "PDF": (lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "PDF"),
    "EPS, which would start another program": (
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    "ZIP": (lambda: b"PK\x03\x04" + bytes(100), "not an image"),
    "MP4 video": (lambda: b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(100), "not an image"),
    "Canon raw": (lambda: b"II*\0\x10\0\0\0CR\2\0" + bytes(100), "raw"),
    "Fujifilm raw": (lambda: b"FUJIFILMCCD-RAW 0201" + bytes(100), "raw"),
    "DNG with its preview first": (
        lambda: pictures.tiff(pictures.tiff_tags(4, 4, tag50706=0x01040000), bytes(16)), "raw"),
    "TIFF whose first page is a preview": (
        lambda: pictures.tiff(pictures.tiff_tags(4, 4, tag254=1), bytes(16)), "preview"),
    "truncated JPEG": (halved("JPEG"), "incomplete"),
    "truncated progressive JPEG": (halved("JPEG", progressive=True), "incomplete"),
    "JPEG header alone": (lambda: encoded(scene(), "JPEG")[:60], "damaged"),
    "truncated PNG": (halved("PNG"), "incomplete"),
    "truncated WebP": (halved("WEBP"), "damaged"),
    "truncated GIF": (halved("GIF"), "incomplete"),
    "truncated BMP": (halved("BMP"), "incomplete"),
    "truncated TIFF": (lambda: pictures.tiff(pictures.tiff_tags(40, 40), bytes(800)), "incomplete"),
    "truncated AVIF": (halved("AVIF"), "damaged"),
    "truncated HEIC": (halved("HEIF"), "damaged"),
    "truncated JPEG 2000": (halved("JPEG2000"), "incomplete"),
    "truncated PPM": (halved("PPM"), "incomplete"),
    "PNG signature alone": (lambda: b"\x89PNG\r\n\x1a\n", "damaged"),
    "PNG without pixels": (lambda: pictures.png(8, 8), "damaged"),
    "PNG of no width": (lambda: pictures.png(0, 8), "pixels|damaged"),
    "PNG with a wrong checksum": (lambda: encoded(scene(), "PNG").replace(b"IHDR", b"IHDr", 1), "damaged"),
    "PNG bomb": (lambda: pictures.png_bomb(30_000), "30000 x 30000"),
    "PNG that claims the most pixels": (lambda: pictures.png(2**31 - 1, 2**31 - 1), "2147483647"),
    "PNG with a text bomb": (
        lambda: pictures.png(1, 1, extra=pictures.png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26), 9)) * 2,
                             pixels=b"\0\1\2\3"), "damaged"),
    "GIF with a huge canvas": (lambda: pictures.gif_with_canvas(65_535, 65_535), "65535 x 65535"),
    "animated GIF with a huge canvas": (
        lambda: pictures.gif_with_canvas(60_000, 60_000, frames=3), "60000 x 60000"),
    "BMP that claims many pixels": (lambda: pictures.bmp(60_000, 60_000), "60000 x 60000"),
    "TIFF that claims many pixels": (lambda: pictures.tiff(pictures.tiff_tags(100_000, 100_000)), "100000 x 100000"),
    "TIFF with a huge tile": (
        lambda: pictures.tiff(pictures.tiff_tags(4, 4, tag322=65_536, tag323=65_536, tag324=8, tag325=16), bytes(16)),
        "megapixels"),
    "TIFF whose directory points at itself": (lambda: b"II*\0" + struct.pack("<IHI", 8, 0, 8), "damaged"),
    "float TIFF with NaN": (
        lambda: encoded(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"), "not numbers"),
    "float TIFF with infinity": (
        lambda: encoded(Image.fromarray(np.full((4, 4), np.inf, np.float32)), "TIFF"), "not numbers"),
    "icon": (lambda: b"\0\0\1\0\1\0\x10\x10" + bytes(100), "not an image"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_bytes_without_a_usable_picture_are_refused(name: str):
    build, words = REFUSED[name]
    assert re.search(words, refusal(build()))


@pytest.mark.parametrize("name", ["empty", "truncated JPEG", "HTML named as a picture", "PNG bomb", "random bytes"])
def test_the_same_content_is_refused_as_a_file_and_as_a_stream(name: str, tmp_path: Path):
    content = REFUSED[name][0]()
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    refusal(path)
    refusal(io.BytesIO(content))


def jpeg_frame(marker: int, precision: int = 8) -> bytes:
    content = bytearray(encoded(scene(), "JPEG"))
    place = content.index(b"\xff\xc0")
    content[place + 1], content[place + 4] = marker, precision
    return bytes(content)


def bmp_of(compression: int, data: bytes) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, 4, 1, 1, 8, compression, len(data), 0, 0, 2, 0)
    return b"BM" + struct.pack("<IHHI", 62 + len(data), 0, 0, 62) + info + bytes(8) + data


UNSUPPORTED: dict[str, Callable[[], bytes]] = {
    "TIFF of signed Lab": lambda: pictures.tiff(pictures.tiff_tags(4, 4, tag258=16, tag262=9), bytes(32)),
    "TIFF with WebP inside": lambda: pictures.tiff(pictures.tiff_tags(4, 4, tag259=50_001), bytes(range(16))),
    "TIFF with an unknown compression": lambda: pictures.tiff(pictures.tiff_tags(4, 4, tag259=9999), bytes(16)),
    "TIFF of 12-bit colour in 16": lambda: encoded(scene(), "TIFF", tiffinfo={281: 4095}).replace(
        b"\x08\0\x08\0\x08\0", b"\x10\0\x10\0\x10\0"),
    "hierarchical JPEG": lambda: jpeg_frame(0xC5),
    "12-bit JPEG": lambda: jpeg_frame(0xC1, precision=12),
    "BMP with a JPEG inside": lambda: bmp_of(4, bytes(16)),
    "BMP that skips pixels": lambda: bmp_of(1, b"\1\0\0\2\1\0\2\0\0\1"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_a_sound_file_of_another_kind_is_called_unsupported_and_not_damaged(name: str):
    sentence = refusal(UNSUPPORTED[name]())
    assert "not supported here" in sentence
    assert "damaged" not in sentence


@pytest.mark.parametrize("data", [b"\3\0\0\1", b"\5\0\0\1", b"\4\7\0\1", b"\4\0", b"\2\0\0\0\2\0\0\1", b""])
def test_a_run_length_coded_bmp_that_does_not_fit_is_refused(data: bytes):
    if data == b"\4\0":  # All pixels are there; only the end code is missing.
        assert decode(bmp_of(1, data)).image.size == (4, 1)
        return
    refusal(bmp_of(1, data))


@pytest.mark.parametrize("address", [
    "data:", "data:image/png;base64", "data:image/png;base64,", "data:image/png;base64,!", "data:image/png;base64,QUJ",
    "data:,no%20picture",
])
def test_a_data_address_without_a_picture_is_refused(address: str):
    refusal(address)


def test_a_data_address_of_400_million_letters_is_refused():
    refusal("data:image/jpeg;base64," + "A" * 400_000_000)


@pytest.mark.parametrize("path", ["", "  ", "nowhere/photo.jpg", "pho\0to.jpg", "x" * 5000, "https://example.org/a.jpg"])
def test_a_path_that_names_no_file_is_refused(path: str):
    refusal(path)


def test_a_folder_is_refused(tmp_path: Path):
    assert "is a folder" in refusal(tmp_path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_a_device_is_refused():
    assert "device" in refusal("/dev/zero")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "pipe" in refusal(tmp_path / "pipe.jpg")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_read_permission_is_refused(tmp_path: Path):
    path = tmp_path / "secret.png"
    path.write_bytes(encoded(scene(), "PNG"))
    path.chmod(0)
    assert "permissions" in refusal(path)


def test_a_dangling_link_and_a_link_loop_are_refused(tmp_path: Path):
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    refusal(tmp_path / "dangling.png")
    refusal(tmp_path / "loop.png")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path):
    path = tmp_path / "huge.tif"
    with path.open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)  # Sparse: no disk is used.
    assert "MiB" in refusal(path)


@pytest.mark.parametrize("source", [None, 7, ["photo.jpg"], np.zeros((4, 4, 3), np.uint8), io.StringIO("text")])
def test_what_is_no_picture_source_is_refused(source: object):
    refusal(source)


def test_a_closed_stream_is_refused():
    stream = io.BytesIO(b"x")
    stream.close()
    refusal(stream)


def test_a_pil_picture_that_is_empty_or_truncated_is_refused():
    refusal(Image.new("RGB", (0, 5)))
    refusal(Image.open(io.BytesIO(halved("JPEG")())))


def test_max_pixels_below_one_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="max_pixels"):
        decode(encoded(scene(), "PNG"), max_pixels=0)


def test_heic_without_its_reader_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    content = encoded(scene(), "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert "pillow-heif" in refusal(content)


def test_a_path_outside_what_the_app_may_read_is_refused_and_reveals_nothing(tmp_path: Path):
    inside, outside = tmp_path / "uploads", tmp_path / "uploads-of-others"
    inside.mkdir()
    outside.mkdir()
    (inside / "a.png").write_bytes(encoded(scene(), "PNG"))
    (outside / "b.png").write_bytes(encoded(scene(), "PNG"))
    (inside / "link.png").symlink_to(outside / "b.png")
    assert resolve_inside(inside / "a.png", [outside, inside]) == (inside / "a.png").resolve()
    assert decode(resolve_inside(str(inside / "a.png"), [inside])).image.size == (48, 32)
    sentences = set()
    bad = [outside / "b.png", outside / "missing.png", inside / ".." / "uploads-of-others" / "b.png",
           inside / "link.png", "/etc/passwd", "relative.png", "nul\0.png", ""]  # fmt: skip
    for path in bad:
        with pytest.raises(ImageError) as caught:
            resolve_inside(path, [inside])
        sentences.add(str(caught.value))
    assert len(sentences) == 1
    with pytest.raises(ImageError):
        resolve_inside(inside / "a.png", [])
