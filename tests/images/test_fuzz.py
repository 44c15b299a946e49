"""Damaged at random, a file is either decoded or refused with ImageError; nothing else ever leaves `decode`."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from methods.images import ImageError, decode
from tests.images.pictures import encoded, exif_orientation, scene

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SMALL = scene(24, 16)
SEEDS = {
    "JPEG": encoded(SMALL, "JPEG", exif=exif_orientation(6), icc_profile=PROFILE),
    "progressive JPEG": encoded(SMALL, "JPEG", progressive=True),
    "CMYK JPEG": encoded(SMALL.convert("CMYK"), "JPEG"),
    "PNG": encoded(SMALL, "PNG", exif=exif_orientation(5), icc_profile=PROFILE),
    "palette PNG": encoded(SMALL.convert("P"), "PNG", transparency=3),
    "16-bit PNG": encoded(Image.new("I;16", (24, 16), 777), "PNG"),
    "APNG": encoded(SMALL, "PNG", save_all=True, append_images=[SMALL.rotate(180)]),
    "WebP": encoded(SMALL, "WEBP", exif=exif_orientation(3), icc_profile=PROFILE),
    "GIF": encoded(SMALL, "GIF", save_all=True, append_images=[SMALL.rotate(180)]),
    "BMP": encoded(SMALL, "BMP"),
    "TIFF": encoded(SMALL, "TIFF", exif=exif_orientation(8)),
    "LZW TIFF": encoded(SMALL, "TIFF", compression="tiff_lzw", save_all=True, append_images=[SMALL]),
    "float TIFF": encoded(Image.new("F", (24, 16), 0.5), "TIFF"),
    "AVIF": encoded(SMALL, "AVIF", exif=exif_orientation(2)),
    "HEIC": encoded(SMALL, "HEIF"),
    "JPEG 2000": encoded(SMALL, "JPEG2000"),
    "PPM": encoded(SMALL, "PPM"),
}
QUIETLY = settings(max_examples=40, suppress_health_check=list(HealthCheck))


def decoded_or_refused(content: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = decode(content, max_pixels=1_000_000).image
        except ImageError:
            return
    assert image.mode == "RGB"
    assert 1 <= image.width * image.height <= 1_000_000


@pytest.mark.parametrize("name", SEEDS)
@QUIETLY
@given(edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12))
def test_changed_bytes(name: str, edits: list[tuple[float, int]]):
    content = bytearray(SEEDS[name])
    for place, value in edits:
        content[int(place * len(content))] = value
    decoded_or_refused(bytes(content))


@pytest.mark.parametrize("name", SEEDS)
@QUIETLY
@given(start=st.floats(0, 1), length=st.integers(1, 400), junk=st.binary(max_size=40))
def test_bytes_cut_out_and_others_put_in(name: str, start: float, length: int, junk: bytes):
    content = SEEDS[name]
    first = int(start * len(content))
    decoded_or_refused(content[:first] + junk + content[first + length :])


@pytest.mark.parametrize("name", SEEDS)
@QUIETLY
@given(place=st.integers(0, 200), value=st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]), run=st.integers(1, 8))
def test_extreme_values_in_the_header(name: str, place: int, value: int, run: int):
    content = bytearray(SEEDS[name])
    content[place : place + run] = bytes([value]) * run
    decoded_or_refused(bytes(content))


@settings(QUIETLY, max_examples=200)
@given(content=st.binary(max_size=300))
def test_any_bytes(content: bytes):
    decoded_or_refused(content)
