"""A damaged file is refused, or gives the pixels of the whole one: cut, zero-filled and flipped at random.

A cut and a block of zeros as large as a disk's sector are always noticed, but for zeros in pixels that are stored as
they are. A flipped bit is always noticed where the format has a checksum; without one it may make other valid pixels,
and nobody can know. `python -m tests.images.damage` counts both.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from methods.images import decode
from tests.images.damage import FILES, cut, flipped, outcome, whole, zeroed
from tests.images.pictures import encoded, exif_orientation, scene
from tests.images.test_refused import refusal

CHECKSUM = ("PNG", "PNG 16", "PNG palette", "APNG", "TIFF deflate")
STORED_AS_THEY_ARE = ("BMP", "TIFF strips", "TIFF tiles", "PPM")
SECTOR = 512

# Where the pixels begin in files whose colour table stands in front of them, without a checksum.
BEHIND_THE_COLOURS = {"GIF": 781, "GIF animated": 781, "BMP RLE4": 118, "BMP RLE8": 1078}

DAMAGE = settings(max_examples=25, suppress_health_check=list(HealthCheck))
PLACE = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_sound_before_it_is_damaged(name: str):
    content, pixels = whole(name)
    assert outcome(name, content) == "same"
    assert len(content) > 2 * SECTOR
    assert len(set(pixels)) > 30


@pytest.mark.parametrize("name", FILES)
@DAMAGE
@given(place=PLACE)
def test_a_cut_is_always_noticed(name: str, place: float):
    assert outcome(name, cut(whole(name)[0], place)) in ("refused", "same")


@pytest.mark.parametrize("name", [name for name in FILES if name not in STORED_AS_THEY_ARE])
@DAMAGE
@given(place=PLACE, sectors=st.sampled_from([1, 2, 8]))
def test_a_sector_of_zeros_is_always_noticed(name: str, place: float, sectors: int):
    content = whole(name)[0]
    first = BEHIND_THE_COLOURS.get(name, 0)
    assert outcome(name, content[:first] + zeroed(content[first:], place, sectors * SECTOR)) != "altered"


@pytest.mark.parametrize("name", CHECKSUM)
@DAMAGE
@given(place=PLACE, mask=st.integers(1, 255))
def test_a_changed_byte_is_noticed_where_there_is_a_checksum(name: str, place: float, mask: int):
    assert outcome(name, flipped(whole(name)[0], place, mask)) != "altered"


@pytest.mark.parametrize("name", [name for name in FILES if name not in CHECKSUM])
@DAMAGE
@given(places=st.lists(PLACE, min_size=1, max_size=6), mask=st.integers(1, 255))
def test_changed_bytes_without_a_checksum_end_in_a_picture_or_a_refusal(name: str, places: list[float], mask: int):
    content = whole(name)[0]
    for place in places:
        content = flipped(content, place, mask)
    assert outcome(name, content) in ("refused", "same", "noted", "altered")


def test_a_lossy_webp_notices_nearly_every_changed_bit_although_it_has_no_checksum():
    content = whole("WebP lossy")[0]
    outcomes = [outcome("WebP lossy", flipped(content, place / 100, 4)) for place in range(1, 100)]
    assert outcomes.count("altered") <= 10


# --- JPEG, whose decoder only warns ---------------------------------------------------------------------------------


def scan_starts(content: bytes) -> list[int]:
    return [place for place in range(len(content) - 1) if content[place:place + 2] == b"\xff\xda"]


def test_a_progressive_jpeg_without_its_last_scan_is_refused():
    content = whole("JPEG progressive")[0]
    for start in scan_starts(content)[1:]:
        assert "last scans" in refusal(content[:start] + b"\xff\xd9")


def test_restart_markers_out_of_order_are_refused():
    content = whole("JPEG restarts")[0]
    assert b"\xff\xd1" in content
    assert "decoder says" in refusal(content.replace(b"\xff\xd1", b"\xff\xd3", 1))


@pytest.mark.parametrize("padding", [b"\0", bytes(8), b"\xff" * 9, b"\x55" * 4])
def test_padding_before_the_end_marker_is_no_damage(padding: bytes):
    content, pixels = whole("JPEG")
    assert decode(content[:-2] + padding + content[-2:]).image.tobytes() == pixels


@pytest.mark.parametrize("rest", [bytes(30), b"\1\2\3\4\5\6\7\1\2\3\4\5"])
def test_data_left_over_before_the_end_marker_is_damage(rest: bytes):
    content = whole("JPEG")[0]
    assert "decoder says" in refusal(content[:-2] + rest + content[-2:])


def test_odd_but_harmless_headers_are_read_and_hide_no_damage():
    content, pixels = whole("JPEG")
    odd = bytearray(content)
    odd[11] = 7  # JFIF 7.01
    scan = scan_starts(content)[0]
    odd[scan + 11:scan + 14] = bytes([0, 9, 0])  # a spectral selection that means nothing in a sequential file
    odd[20:20] = b"junk that an editor left"
    assert decode(bytes(odd)).image.tobytes() == pixels
    assert "decoder says" in refusal(bytes(odd[:len(odd) // 2]) + b"\xff\xd9")


@pytest.mark.parametrize("optimize", [False, True])
def test_a_flat_jpeg_full_of_zeros_is_sound(optimize: bool):
    for progressive in (False, True):
        flat = scene(8, 8).resize((900, 700)).convert("L").point(lambda _: 128)
        assert decode(encoded(flat, "JPEG", optimize=optimize, progressive=progressive)).image.size == (900, 700)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "GIF", "JPEG2000", "BMP"])
def test_flat_pictures_of_every_format_are_sound(file_format: str):
    for colour in ((0, 0, 0), (255, 255, 255), (0, 135, 0)):
        flat = scene(8, 8).resize((1200, 900)).point(lambda _: 0)
        flat.paste(colour, (0, 0, 1200, 900))
        assert decode(encoded(flat, file_format)).image.size == (1200, 900)


def test_what_lies_behind_the_picture_does_not_matter():
    for name in ("JPEG", "MPO", "PNG", "WebP lossy", "GIF", "BMP", "PPM", "TIFF strips", "JPEG 2000"):
        assert outcome(name, whole(name)[0] + b"trailer of some phone") == "same"


# --- other containers -----------------------------------------------------------------------------------------------


def test_png_chunks_that_decide_nothing_may_have_a_wrong_checksum():
    content, pixels = whole("PNG")
    end = content.rindex(b"IEND") - 4
    unknown = b"\0\0\0\3prVt" + b"abc" + b"\0\0\0\0"
    assert decode(content[:end] + unknown + content[end:]).image.tobytes() == pixels
    assert "checksum" in refusal(content[:end] + unknown.replace(b"prVt", b"PRVT") + content[end:])


def test_each_tile_of_a_heic_is_looked_through():
    content = whole("HEIC grid")[0]
    start = content.index(b"mdat") + 4
    for share in (0.02, 0.3, 0.6, 0.97):
        place = start + int((len(content) - start) * share)
        assert "tile" in refusal(content[:place] + bytes(24) + content[place + 24:])


def test_a_heic_that_ends_before_its_last_tile_is_refused_whatever_the_boxes_say():
    content = whole("HEIC grid")[0]
    assert "missing at the end" in refusal(content[:-200])


def test_exif_of_a_cut_heic_is_no_excuse():
    content = encoded(scene(160, 120), "HEIF", exif=exif_orientation(6))
    refusal(content[:-40])
