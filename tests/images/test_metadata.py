"""Small files whose metadata claims much: neither memory nor time goes into them, and honest metadata still counts."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from methods.images import decode
from methods.images.metadata import MAX_TAGS, tiff_pages
from tests.images import metadata
from tests.images.metadata import BOMBS, MIB, exif_bomb, jpeg_with, tiff_bomb
from tests.images.pictures import encoded, exif_orientation, scene, tiff, tiff_tags
from tests.images.test_refused import refusal

REPOSITORY = Path(__file__).resolve().parents[2]

# One process for all of them; the peak is set back before each one, as Linux allows.
MEASURE = """
import json, re, time, warnings
from pathlib import Path
from methods.images import ImageError, decode
from tests.images.metadata import BOMBS
from tests.images.pictures import encoded, scene

def memory(name):
    return int(re.search(name + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

warnings.simplefilter("ignore")
for kind in ("JPEG", "TIFF", "AVIF", "GIF", "HEIF", "WEBP", "PNG"):
    decode(encoded(scene(), kind))
for name, build in BOMBS.items():
    content = build()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        raise SystemExit(77)
    before, start = memory("VmRSS"), time.process_time()
    try:
        outcome = list(decode(content).image.size)
    except ImageError as error:
        outcome = str(error)
    print(json.dumps([name, memory("VmHWM") - before, time.process_time() - start, outcome]), flush=True)
"""


def test_no_metadata_takes_memory_or_time():
    done = subprocess.run([sys.executable, "-c", MEASURE], cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    if done.returncode == 77 or not Path("/proc/self/clear_refs").exists():
        pytest.skip("peak memory is set back through Linux's /proc, which is not to be had here")
    assert done.returncode == 0, done.stderr[-2000:]
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, *_ in results] == list(BOMBS)
    for name, mebibytes, seconds, outcome in results:
        assert mebibytes < 32, f"{name}: {mebibytes:.0f} MiB"
        assert seconds < 2, f"{name}: {seconds:.1f} s of the processor"
        assert outcome in ([48, 32], [4, 4], [1, 1]) or isinstance(outcome, str)


@pytest.mark.parametrize("name", ["TIFF of 900 tags on one value", "JPEG of a million empty segments",
                                  "GIF with a giant comment", "progressive JPEG of 3,000 scans"])
def test_the_refusal_is_a_sentence_that_says_what_to_do(name: str):
    assert "far more metadata" in refusal(BOMBS[name]())


def test_a_picture_whose_exif_data_is_too_large_is_scored_without_it():
    decoded = decode(jpeg_with((0xE1, b"Exif\0\0" + exif_bomb(900, 50_000))))
    assert decoded.image.size == (48, 32)
    assert decoded.notes == ("Its EXIF data is damaged and was ignored.",)


def test_outside_of_decode_pillow_is_as_ever():
    decode(encoded(scene(), "JPEG"))
    exif = Image.Exif()
    exif.load(exif_bomb(MAX_TAGS + 5, 16))
    assert len(exif) == MAX_TAGS + 5


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_rich_but_honest_metadata_still_counts(file_format: str):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x927C] = bytes(40_000)  # a maker's note
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + b"a comment " * 1000
    decoded = decode(encoded(scene(), file_format, exif=exif.tobytes()))
    assert decoded.image.size == (32, 48)
    assert any("EXIF orientation" in note for note in decoded.notes)


def test_a_phones_depth_map_and_a_layered_tiff_are_no_bombs():
    depth = metadata.in_segments(0xE1, b"http://ns.adobe.com/xmp/extension/\0", bytes(12 * MIB))
    assert decode(jpeg_with((0xE1, b"Exif\0\0" + exif_orientation(3).removeprefix(b"Exif\0\0")), *depth)).notes
    assert decode(tiff_bomb(1, 30 * MIB)).image.size == (4, 4)


def test_a_picture_of_many_strips_is_no_bomb():
    image = decode(metadata.tiff_rows(3000)).image
    assert image.size == (4, 3000)
    assert [image.getpixel((0, row))[0] for row in (0, 100, 2999)] == [0, 100, 2999 % 251]


def test_pages_are_counted_from_the_chain_alone():
    pages = encoded(scene(), "TIFF", save_all=True, append_images=[scene()] * 4)
    assert tiff_pages(io.BytesIO(pages), 1000) == 5
    assert tiff_pages(io.BytesIO(pages), 3) == 3
    assert tiff_pages(io.BytesIO(encoded(scene(), "TIFF", big_tiff=True)), 1000) == 1
    assert tiff_pages(io.BytesIO(tiff(tiff_tags(4, 4))[:9]), 1000) == 1
    looped = bytearray(encoded(scene(), "TIFF"))
    place = int.from_bytes(looped[4:8], "little")
    end = place + 2 + 12 * int.from_bytes(looped[place:place + 2], "little")
    looped[end:end + 4] = looped[4:8]
    assert tiff_pages(io.BytesIO(bytes(looped)), 1000) == 1
