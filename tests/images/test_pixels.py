"""Depth, transparency, palettes and colour: the pixels are those a viewer shows, and the notes say what was changed."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.images import pictures
from tests.images.damage import bmp_rle, deep_avif, deep_heif
from tests.images.pictures import assert_near, encoded, read, scene
from tests.images.test_refused import refusal

# --- deep pixels ------------------------------------------------------------------------------------------------------

RAMP16 = np.linspace(0, 65535, 40 * 30).reshape(30, 40).round().astype(np.uint16)
RAMP8 = np.repeat(np.rint(RAMP16 / 257.0)[..., None], 3, axis=-1)


def test_16_bit_grey_png_is_scaled_not_clipped():
    pixels, notes = read(encoded(Image.fromarray(RAMP16), "PNG"))
    assert_near(pixels, RAMP8, 0)
    assert "16-bit" in notes


def test_16_bit_colour_png_is_scaled():
    colour = np.stack([RAMP16, RAMP16[::-1], RAMP16[:, ::-1]], axis=-1)
    pixels, notes = read(pictures.png(40, 30, depth=16, colour=2, pixels=pictures.png_rows(colour.astype(">u2"))))
    assert_near(pixels, colour / 257.0, 1)
    assert notes == "Its 16-bit values were scaled to 8 bits."


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_16_bit_tiff_of_either_byte_order_is_scaled(dtype: str):
    mode = "I;16" if dtype == "<u2" else "I;16B"
    picture = Image.frombytes(mode, (40, 30), RAMP16.astype(dtype).tobytes())
    pixels, notes = read(encoded(picture, "TIFF"))
    assert_near(pixels, RAMP8, 0)
    assert "16-bit" in notes


def test_16_bit_grey_is_not_stretched_to_its_own_range():
    pixels, _ = read(encoded(Image.fromarray(np.full((4, 4), 100 * 257, np.uint16)), "PNG"))
    assert (pixels == 100).all()


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0, 1, "from 0 to 1"), (0, 255, "0 to 255"), (0, 65535, "16-bit"), (-5, 5, "from -5 to 5")],
)
def test_float_tiff_is_scaled_by_its_range(low: float, high: float, words: str):
    ramp = np.linspace(low, high, 40 * 30, dtype=np.float32).reshape(30, 40)
    pixels, notes = read(encoded(Image.fromarray(ramp), "TIFF"))
    expected = np.linspace(0, 255, 40 * 30).reshape(30, 40)
    assert_near(pixels, np.repeat(np.rint(expected)[..., None], 3, axis=-1), 1)
    assert words in notes


def test_a_dark_float_picture_stays_dark():
    pixels, _ = read(encoded(Image.fromarray(np.full((4, 4), 0.1, np.float32)), "TIFF"))
    assert (pixels == 26).all()


def test_32_bit_integers_are_read():
    ramp = np.linspace(0, 65535, 40 * 30).reshape(30, 40).astype(np.int32)
    pixels, notes = read(encoded(Image.fromarray(ramp), "TIFF"))
    assert_near(pixels, np.repeat(np.rint(ramp / 257.0)[..., None], 3, axis=-1), 0)
    assert "16-bit" in notes


def test_deep_pictures_taller_than_a_strip_have_no_seams():
    ramp = np.linspace(0, 65535, 700).astype(np.uint16)[:, None].repeat(3, axis=1)
    pixels, _ = read(encoded(Image.fromarray(ramp), "PNG"))
    assert_near(pixels, np.repeat(np.rint(ramp / 257.0)[..., None], 3, axis=-1), 0)


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("write", [deep_heif, deep_avif])
def test_10_and_12_bit_heic_and_avif_are_scaled_and_noted(write: Callable[[np.ndarray, int], bytes], bits: int):
    pixels, notes = read(write(np.asarray(scene(64, 48)).astype(np.uint16) * 257, bits))
    assert_near(pixels, scene(64, 48), 8)
    assert notes == f"Its {bits}-bit values were scaled to 8 bits."


# --- declared ranges --------------------------------------------------------------------------------------------------

RAMP12 = np.linspace(0, 4095, 40 * 30).reshape(30, 40).round().astype(np.uint16)
RAMP12_AS_8 = np.repeat(np.rint(RAMP12 * (255 / 4095))[..., None], 3, axis=-1)


def grey_tiff(samples: bytes, bits: int, **more: int) -> bytes:
    strip = {"tag258": bits, "tag278": 30, "tag279": len(samples), **more}
    return pictures.tiff(pictures.tiff_tags(40, 30, **strip), samples)


def test_packed_12_bit_tiff_is_scaled_by_its_bits_per_sample():
    pairs = RAMP12.reshape(-1, 2).astype(int)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], axis=1)
    pixels, notes = read(grey_tiff(packed.astype(np.uint8).tobytes(), 12))
    assert_near(pixels, RAMP12_AS_8, 0)
    assert "12-bit" in notes


def test_16_bit_tiff_is_scaled_by_a_largest_value_that_is_a_depth():
    pixels, notes = read(grey_tiff(RAMP12.tobytes(), 16, tag281=4095))
    assert_near(pixels, RAMP12_AS_8, 0)
    assert "12-bit" in notes


def test_a_largest_value_that_is_a_statistic_changes_nothing():
    pixels, notes = read(grey_tiff(RAMP12.tobytes(), 16, tag281=4000))
    assert_near(pixels[..., :1], np.rint(RAMP12 / 257.0)[..., None], 0)
    assert "16-bit" in notes


def test_samples_beyond_their_declared_range_are_refused():
    assert "4095" in refusal(grey_tiff(RAMP16.tobytes(), 16, tag281=4095))
    assert "4095" in refusal(b"P5 40 30 4095\n" + RAMP16.astype(">u2").tobytes())


def test_16_bit_tiff_whose_zero_is_white_is_turned_round():
    pixels, _ = read(grey_tiff(RAMP16.tobytes(), 16, tag262=0))
    assert_near(pixels, 255 - RAMP8, 0)


def test_png_says_its_significant_bits_but_fills_its_range():
    extra = pictures.png_chunk(b"sBIT", bytes([10]))
    rows = pictures.png_rows(RAMP16.astype(">u2"))
    pixels, notes = read(pictures.png(40, 30, depth=16, colour=0, extra=extra, pixels=rows))
    assert_near(pixels, RAMP8, 0)
    assert notes == "Its 10-bit values were scaled to 8 bits."


@pytest.mark.parametrize("largest", [1, 15, 100, 255, 1023, 4095, 65_535])
@pytest.mark.parametrize("channels", [1, 3])
def test_pnm_is_scaled_by_its_largest_value(largest: int, channels: int):
    ramp = np.linspace(0, largest, 40 * 30 * channels).round().reshape(30, 40 * channels)
    samples = ramp.astype(">u2" if largest > 255 else "u1")
    pixels, notes = read(b"P%d 40 30 %d\n" % (5 if channels == 1 else 6, largest) + samples.tobytes())
    expected = np.rint(ramp * (255 / largest)).reshape(30, 40, channels)
    assert_near(pixels, np.broadcast_to(expected, (30, 40, 3)), 0)
    assert notes == (f"Its {largest.bit_length()}-bit values were scaled to 8 bits." if largest > 255 else "")


def test_a_dark_16_bit_pgm_stays_dark():
    for head, content in ((b"P5", np.full((4, 4), 200, ">u2").tobytes()), (b"P2", b"200 " * 16)):
        pixels, notes = read(head + b" 4 4 65535\n" + content)
        assert (pixels == 1).all()
        assert "16-bit" in notes


# --- BMP --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 3, 17, 160])
@pytest.mark.parametrize("four_bits", [False, True])
def test_run_length_coded_bmp_is_read_right(four_bits: bool, width: int):
    rng = np.random.default_rng(width)
    colours = 16 if four_bits else 256
    palette = rng.integers(0, 256, (colours, 3)).astype(np.uint8)
    indices = np.repeat(rng.integers(0, colours, (9, width)), rng.integers(1, 5), axis=1)[:, :width].astype(np.uint8)
    indices[4] = 0
    pixels, notes = read(bmp_rle(indices, four_bits, palette))
    assert_near(pixels, palette[indices], 0)
    assert notes == ""


def test_an_8_bit_bmp_of_two_colours_is_not_read_as_one_bit():
    indices = np.random.default_rng(0).integers(0, 2, (12, 16)).astype(np.uint8)
    info = struct.pack("<IiiHHIIiiII", 40, 16, 12, 1, 8, 0, 0, 0, 0, 2, 0)
    head = b"BM" + struct.pack("<IHHI", 62 + 192, 0, 0, 62) + info + b"\0\0\0\0\xff\xff\xff\0"
    assert_near(read(head + indices[::-1].tobytes())[0], np.repeat(indices[..., None] * 255, 3, axis=-1), 0)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_an_indexed_bmp_is_read_unchanged(mode: str):
    picture = scene(33, 20).convert(mode)
    assert_near(read(encoded(picture, "BMP"))[0], picture.convert("RGB"), 0)


# --- palettes, transparency, bilevel ----------------------------------------------------------------------------------


def test_transparency_is_laid_on_white():
    picture = scene().convert("RGBA")
    alpha = np.full((32, 48), 255, np.uint8)
    alpha[:, :16], alpha[:, 16:32] = 0, 128
    picture.putalpha(Image.fromarray(alpha))
    for file_format, settings in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        pixels, notes = read(encoded(picture, file_format, **settings))
        assert_near(pixels[:, :16], np.full((32, 16, 3), 255), 0)
        assert_near(pixels[:, 16:32], np.asarray(scene())[:, 16:32] * (128 / 255) + 127, 2)
        assert_near(pixels[:, 32:], np.asarray(scene())[:, 32:], 0)
        assert "laid on white" in notes


def test_opaque_alpha_is_dropped_without_a_note():
    pixels, notes = read(encoded(scene().convert("RGBA"), "PNG"))
    assert_near(pixels, scene(), 0)
    assert notes == ""


def test_grey_with_alpha_is_laid_on_white():
    picture = Image.new("LA", (4, 4), (80, 255))
    picture.putpixel((0, 0), (0, 0))
    pixels, notes = read(encoded(picture, "PNG"))
    assert pixels[0, 0].tolist() == [255] * 3
    assert pixels[1, 1].tolist() == [80] * 3
    assert "laid on white" in notes


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_a_palette_with_a_transparent_colour_is_laid_on_white(file_format: str):
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((0, 0), 0)
    pixels, notes = read(encoded(picture, file_format, transparency=0))
    assert pixels[0, 0].tolist() == [255] * 3
    assert pixels[1, 1].tolist() == [0, 0, 255]
    assert "laid on white" in notes


def test_a_palette_with_alpha_for_each_colour_is_laid_on_white():
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((0, 0), 0)
    pixels, _ = read(encoded(picture, "PNG", transparency=bytes([128, 255])))
    assert_near(pixels[0, 0], [255, 127, 127], 1)
    assert pixels[1, 1].tolist() == [0, 0, 255]


@pytest.mark.parametrize(("mode", "colour", "key"), [("RGB", (1, 2, 3), (1, 2, 3)), ("L", 7, 7)])
def test_a_transparent_colour_key_is_laid_on_white(mode: str, colour: object, key: object):
    picture = Image.new(mode, (4, 4), "gray")
    picture.putpixel((2, 1), colour)
    pixels, _ = read(encoded(picture, "PNG", transparency=key))
    assert pixels[1, 2].tolist() == [255] * 3
    assert pixels[0, 0].tolist() == [128] * 3


def test_a_transparent_key_in_16_bit_grey_is_laid_on_white():
    values = np.array([[0, 1000], [30_000, 65_535]], np.uint16)
    extra = pictures.png_chunk(b"tRNS", struct.pack(">H", 1000))
    rows = pictures.png_rows(values.astype(">u2"))
    pixels, _ = read(pictures.png(2, 2, depth=16, colour=0, extra=extra, pixels=rows))
    assert pixels[..., 0].tolist() == [[0, 255], [117, 255]]


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_bilevel_grey_and_palette_are_read(mode: str):
    picture = scene().convert(mode)
    pixels, notes = read(encoded(picture, "PNG"))
    assert_near(pixels, picture.convert("RGB"), 0)
    assert notes == ""


@pytest.mark.parametrize("mode", ["RGBX", "RGBa", "La", "PA", "YCbCr", "HSV", "CMYK", "LAB", "I", "F", "I;16", "1"])
def test_every_pil_mode_is_read(mode: str):
    grey = scene().convert("L")
    source = {
        "RGBa": lambda: scene().convert("RGBA").convert("RGBa"), "La": lambda: grey.convert("LA").convert("La"),
        "PA": lambda: scene().convert("P").convert("PA"), "I;16": lambda: Image.fromarray(RAMP16),
        "LAB": lambda: ImageCms.profileToProfile(
            scene(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"),
    }.get(mode, lambda: scene().convert(mode))()  # fmt: skip
    assert source.mode == mode
    pixels, _ = read(source)
    if mode in ("RGBX", "RGBa", "YCbCr", "HSV", "CMYK"):
        assert_near(pixels, scene(), 8)
    if mode == "LAB":  # Its 8 bits are coarse in the dark.
        assert np.abs(pixels - np.asarray(scene())).mean() < 4
    assert pixels.shape == (source.height, source.width, 3)


# --- colour -----------------------------------------------------------------------------------------------------------


def test_cmyk_jpeg_without_a_profile_is_converted_and_noted():
    pixels, notes = read(encoded(scene().convert("CMYK"), "JPEG", quality=95))
    assert_near(pixels, scene(), 14)
    assert "CMYK" in notes


def test_a_wide_profile_is_converted_to_srgb():
    # sRGB's own profile with red and green primaries exchanged: what was red must come out green.
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    pixels, notes = read(encoded(Image.new("RGB", (4, 4), (255, 0, 0)), "PNG", icc_profile=bytes(profile)))
    assert_near(pixels[0, 0], [0, 255, 0], 2)
    assert "colour profile" in notes


def test_an_srgb_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels, notes = read(encoded(scene(), "PNG", icc_profile=profile))
    assert_near(pixels, scene(), 0)
    assert notes == ""


@pytest.mark.parametrize("profile", [b"not a profile", bytes(200), b"\xff" * 5000])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_a_damaged_profile_is_ignored_and_noted(profile: bytes, file_format: str):
    pixels, notes = read(encoded(scene(), file_format, icc_profile=profile))
    assert_near(pixels, scene(), 20)
    assert "profile is damaged" in notes


def test_a_profile_of_another_colour_space_is_left_aside():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels, _ = read(encoded(scene().convert("L"), "PNG", icc_profile=profile))
    assert_near(pixels, scene().convert("L").convert("RGB"), 0)
