"""Odd but usable inputs: the pixels are those a viewer shows, and the notes say what was changed."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from methods.images import MAX_PIXELS, Decoded, decode
from tests.bad_inputs import pictures
from tests.bad_inputs.pictures import encoded, lying, scene

LOSSLESS = {
    "PNG": {}, "BMP": {}, "TIFF": {}, "PPM": {}, "WEBP": {"lossless": True}, "JPEG2000": {"irreversible": False}
}  # fmt: skip
LOSSY = {"JPEG": {"quality": 95}, "AVIF": {"quality": 95}, "HEIF": {"quality": 95}, "GIF": {}}


def read(source: object, **settings: int) -> tuple[np.ndarray, str]:
    """Pixels and joined notes of a decoded picture, which must be plain RGB without metadata."""
    decoded = decode(source, **settings)
    assert type(decoded.image) is Image.Image
    assert decoded.image.mode == "RGB"
    assert decoded.image.info == {}
    assert all(note.endswith(".") and "\n" not in note for note in decoded.notes)
    return np.asarray(decoded.image).astype(int), " ".join(decoded.notes)


def assert_near(pixels: np.ndarray, expected: object, tolerance: float) -> None:
    expected = np.asarray(expected).astype(int)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= tolerance


@pytest.mark.parametrize("file_format", LOSSLESS)
def test_a_lossless_picture_is_read_unchanged(file_format: str):
    pixels, notes = read(encoded(scene(), file_format, **LOSSLESS[file_format]))
    assert_near(pixels, scene(), 0)
    assert notes == ""


@pytest.mark.parametrize("file_format", LOSSY)
def test_a_lossy_picture_is_read_without_a_note(file_format: str):
    pixels, notes = read(encoded(scene(), file_format, **LOSSY[file_format]))
    assert_near(pixels, scene(), 40 if file_format == "GIF" else 12)
    assert notes == ""


@pytest.mark.parametrize("kind", ["path", "text path", "bytes", "bytearray", "memoryview", "file", "stream", "PIL"])
def test_every_kind_of_source_gives_the_same_pixels(kind: str, tmp_path: Path):
    content = encoded(scene(), "PNG")
    path = tmp_path / "without-a-suffix"
    path.write_bytes(content)
    sources = {"path": path, "text path": str(path), "bytes": content, "bytearray": bytearray(content),
               "memoryview": memoryview(content), "stream": io.BytesIO(content), "PIL": scene()}  # fmt: skip
    if kind == "file":
        with path.open("rb") as stream:
            assert_near(read(stream)[0], scene(), 0)
            return
    assert_near(read(sources[kind])[0], scene(), 0)


def test_a_wrong_extension_does_not_matter(tmp_path: Path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(scene(), "PNG"))
    assert_near(read(path)[0], scene(), 0)


def test_a_decoded_picture_passes_unchanged():
    decoded = Decoded(scene(), ("Seen before.",))
    assert decode(decoded) is decoded


def test_the_callers_picture_is_left_alone_and_not_shared():
    picture = scene()
    picture.info["comment"] = "mine"
    decoded = decode(picture)
    assert picture.info == {"comment": "mine"}
    decoded.image.putpixel((0, 0), (9, 9, 9))
    assert picture.getpixel((0, 0)) != (9, 9, 9)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000), (3, 2)])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "BMP"])
def test_extreme_shapes_keep_their_size(size: tuple[int, int], file_format: str):
    assert decode(encoded(Image.new("RGB", size, (200, 10, 60)), file_format)).image.size == size


# --- orientation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP", "JPEG", "AVIF"])
def test_each_exif_orientation_is_set_upright(orientation: int, file_format: str):
    settings = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}.get(file_format, {"quality": 95})
    stored = lying(orientation, scene())
    content = encoded(stored, file_format, exif=pictures.exif_orientation(orientation), **settings)
    pixels, notes = read(content)
    assert_near(pixels, scene(), 12 if file_format in ("JPEG", "AVIF") else 0)
    assert ("EXIF" in notes) == (orientation != 1)


@pytest.mark.parametrize("orientation", [3, 6])
def test_heic_is_set_upright_by_its_reader(orientation: int):
    content = encoded(lying(orientation, scene()), "HEIF", quality=95, exif=pictures.exif_orientation(orientation))
    assert_near(read(content)[0], scene(), 12)


def test_a_picture_is_not_turned_twice():
    content = encoded(lying(6, scene()), "PNG", exif=pictures.exif_orientation(6))
    once = decode(content).image
    assert_near(read(once)[0], scene(), 0)
    assert_near(read(Image.open(io.BytesIO(content)))[0], scene(), 0)


@pytest.mark.parametrize("value", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_is_ignored(value: int):
    pixels, notes = read(encoded(scene(), "PNG", exif=pictures.exif_orientation(value)))
    assert_near(pixels, scene(), 0)
    assert notes == ""


def test_damaged_exif_does_not_spoil_the_photo():
    pixels, notes = read(encoded(scene(), "PNG", exif=b"Exif\0\0XX*\0garbage"))
    assert_near(pixels, scene(), 0)
    assert "EXIF data is damaged" in notes


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


def test_10_bit_heic_is_noted():
    import pillow_heif

    buffer = io.BytesIO()
    deep = (np.asarray(scene()).astype(np.uint16) * 4) << 6
    pillow_heif.encode("RGB;16", (48, 32), deep.tobytes(), buffer, quality=95)
    pixels, notes = read(buffer.getvalue())
    assert_near(pixels, scene(), 14)
    assert "-bit values were scaled to 8 bits" in notes


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


# --- several pictures in a file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_the_first_of_several_frames_is_used_and_noted(file_format: str):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    content = encoded(frames[0], file_format, save_all=True, append_images=frames[1:])
    pixels, notes = read(content)
    assert_near(pixels, frames[0], 10 if file_format in ("WEBP", "AVIF") else 0)
    assert f"first {'page' if file_format == 'TIFF' else 'frame'} of 3" in notes


def test_a_heic_file_with_several_pictures_gives_its_main_one():
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "lime")]
    pixels, notes = read(encoded(frames[0], "HEIF", save_all=True, append_images=frames[1:], quality=95))
    assert_near(pixels, frames[0], 12)
    assert "2 pictures" in notes


def test_thousands_of_frames_are_not_all_walked_through():
    frames = [Image.new("P", (1, 1), index % 2) for index in range(1200)]
    for frame in frames:
        frame.putpalette([0, 0, 0, 255, 255, 255])
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert "1000 or more" in read(content)[1]


def test_a_phone_jpeg_with_a_second_picture_is_read_as_a_photo():
    pixels, notes = read(encoded(scene(), "MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))], quality=95))
    assert_near(pixels, scene(), 12)
    assert notes == ""


# --- size -------------------------------------------------------------------------------------------------------------


def test_a_12_megapixel_photo_passes_in_full():
    decoded = decode(encoded(Image.new("RGB", (4032, 3024), (90, 120, 30)), "JPEG"))
    assert decoded.image.size == (4032, 3024)
    assert decoded.notes == ()
    assert MAX_PIXELS >= 24_000_000


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_larger_picture_is_scaled_down_and_noted(file_format: str):
    pixels, notes = read(encoded(scene(600, 400), file_format), max_pixels=15_000)
    assert pixels.shape == (100, 150, 3)
    assert_near(pixels, scene(150, 100), 14)
    assert "Scaled down from 600 x 400 to 150 x 100 pixels." in notes


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "CMYK", "P", "1", "I;16", "F", "LAB", "I"])
def test_every_mode_scales_down(mode: str):
    if mode == "LAB":
        source = Image.new("LAB", (60, 40), (128, 0, 0))
    else:
        source = Image.new(mode, (60, 40), 0)
    decoded = decode(source, max_pixels=600)
    assert decoded.image.size == (30, 20)
    assert "from 60 x 40 to 30 x 20" in decoded.notes[-1]


@pytest.mark.parametrize("max_pixels", [1, 2, 7, 100, 999, 19_999])
@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (333, 77)])
def test_the_result_never_has_more_than_max_pixels(size: tuple[int, int], max_pixels: int):
    image = decode(Image.new("RGB", size), max_pixels=max_pixels).image
    assert 1 <= image.width * image.height <= max_pixels


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF", "PNG"])
def test_a_turned_picture_names_its_sizes_as_it_is_seen(file_format: str):
    content = encoded(lying(6, scene(600, 400)), file_format, exif=pictures.exif_orientation(6))
    pixels, notes = read(content, max_pixels=15_000)
    assert pixels.shape == (100, 150, 3)
    assert "from 600 x 400 to 150 x 100" in notes
    assert "EXIF" in notes


def test_long_metadata_is_no_obstacle():
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 500_000, zip=True)
    assert_near(read(encoded(scene(), "PNG", pnginfo=info))[0], scene(), 0)
