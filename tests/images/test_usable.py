"""Odd but usable inputs: the pixels are those a viewer shows, and the notes say what was changed."""

from __future__ import annotations

import base64
import io
import urllib.parse
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from methods.images import MAX_PIXELS, Decoded, decode, from_data_url
from tests.images import pictures
from tests.images.pictures import assert_near, encoded, lying, read, scene

LOSSLESS = {
    "PNG": {}, "BMP": {}, "TIFF": {}, "PPM": {}, "WEBP": {"lossless": True}, "JPEG2000": {"irreversible": False}
}  # fmt: skip
LOSSY = {"JPEG": {"quality": 95}, "AVIF": {"quality": 95}, "HEIF": {"quality": 95}, "GIF": {}}


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


@pytest.mark.parametrize("kind", ["path", "text path", "bytes", "bytearray", "memoryview", "file", "stream", "PIL",
                                  "data: address", "data: address in percents"])
def test_every_kind_of_source_gives_the_same_pixels(kind: str, tmp_path: Path):
    content = encoded(scene(), "PNG")
    address = "data:image/png;base64," + base64.b64encode(content).decode()
    path = tmp_path / "without-a-suffix"
    path.write_bytes(content)
    sources = {
        "path": path, "text path": str(path), "bytes": content, "bytearray": bytearray(content),
        "memoryview": memoryview(content), "stream": io.BytesIO(content), "PIL": scene(),
        "data: address": address, "data: address in percents": "data:," + urllib.parse.quote(content),
    }  # fmt: skip
    if kind == "file":
        with path.open("rb") as stream:
            assert_near(read(stream)[0], scene(), 0)
            return
    assert_near(read(sources[kind])[0], scene(), 0)


def test_a_cmyk_jpeg_in_a_data_address_is_the_same_photo():
    content = encoded(scene().convert("CMYK"), "JPEG", quality=95)
    address = "data:image/jpeg;base64," + base64.b64encode(content).decode()
    assert from_data_url(address) == content
    assert_near(read(address)[0], read(content)[0], 0)


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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_set_upright_by_its_reader(orientation: int):
    content = encoded(lying(orientation, scene()), "HEIF", quality=95, exif=pictures.exif_orientation(orientation))
    assert_near(read(content)[0], scene(), 12)


XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP", "JPEG", "AVIF", "HEIF"])
def test_an_orientation_in_xmp_or_text_does_not_count(file_format: str):
    settings = {"xmp": XMP.encode(), "quality": 95, "lossless": True}
    if file_format == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP)
        info.add_text("Raw profile type exif", "\nexif\n26\n" + pictures.exif_orientation(6).hex())
        settings = {"pnginfo": info}
    elif file_format == "TIFF":
        settings = {"tiffinfo": {700: XMP.encode()}}
    elif file_format in ("AVIF", "HEIF"):
        # Their writers would turn the picture; so the value is changed once it is written.
        settings = {"xmp": XMP.replace("6", "1").encode(), "quality": 95}
    content = encoded(scene(), file_format, **settings).replace(b'Orientation="1"', b'Orientation="6"')
    assert b"tiff:Orientation" in content
    pixels, notes = read(content)
    assert_near(pixels, scene(), 12)
    assert notes == ""


def test_heic_goes_by_its_own_turn_and_not_by_exif():
    exif = pictures.exif_orientation(6)
    content = encoded(lying(6, scene()), "HEIF", quality=95, exif=exif)
    assert content.count(exif[8:]) == 0 or b"irot" in content
    # Without its turn, the standard leaves the picture as it is stored, whatever EXIF says.
    unturned = content.replace(b"irot", b"free")
    assert unturned != content
    assert_near(read(unturned)[0], lying(6, scene()), 12)


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
    assert "2 images" in notes


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
