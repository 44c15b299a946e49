"""What is stored: nothing but the record and pixels, under an id that nothing else can have."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from methods.images import decode
from tests.unit.sharing.made import entry, jpeg_with_metadata, picture
from ui.share.entry import (
    ID,
    LONGEST_SIDE,
    TOKEN,
    DamagedError,
    copy_for_sharing,
    hashed,
    new_token,
    pack,
    unpack,
)


def test_an_entry_comes_back_as_it_was():
    before = entry(1).with_owner(hashed("a")).with_owner(hashed("b"))
    assert unpack(pack(before), before.id) == before


def test_the_id_follows_from_the_content_alone():
    one = entry(1)
    assert ID.fullmatch(one.id)
    assert one.id == dataclasses.replace(one, created=5.0).with_owner(hashed("x")).id
    assert one.id != entry(2).id
    assert one.id != dataclasses.replace(one, record={**one.record, "number": 1.5}).id
    assert one.id != dataclasses.replace(one, pictures=(one.pictures[0] + b"\0",)).id


def test_moving_a_byte_from_one_picture_to_the_next_is_another_content():
    assert dataclasses.replace(entry(), pictures=(b"ab", b"c")).id != dataclasses.replace(
        entry(), pictures=(b"a", b"bc")).id


def test_what_was_changed_on_disk_is_refused():
    one = entry(1)
    content = pack(one)
    for changed in (pack(entry(2)), content[:-30], b"", b"PK\x03\x04 no zip", pack(dataclasses.replace(
            one, record={**one.record, "number": 99}))):
        with pytest.raises(DamagedError):
            unpack(changed, one.id)


def test_every_damaged_byte_of_the_content_is_noticed():
    one = entry(1, padding=200)
    content = bytearray(pack(one))
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, len(content), 60):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        try:
            back = unpack(bytes(damaged), one.id)
        except DamagedError:
            refused += 1
        else:
            assert (back.record, back.pictures) == (one.record, one.pictures)
    assert refused > 20


def test_no_metadata_survives(tmp_path):
    path = jpeg_with_metadata(tmp_path / "phone.jpg")
    assert b"SECRET PLACE" in path.read_bytes()
    stored = copy_for_sharing(decode(path).image)
    assert b"SECRET" not in stored
    back = Image.open(io.BytesIO(stored))
    assert not back.getexif()
    assert not {"exif", "xmp", "icc_profile", "comment"} & set(back.info)
    assert back.size == (40, 80), "turned as EXIF said"


def test_metadata_on_the_picture_object_does_not_travel_either():
    image = picture()
    image.info.update(exif=b"Exif\0\0SECRET", xmp=b"SECRET", icc_profile=b"SECRET")
    assert b"SECRET" not in copy_for_sharing(image)


def test_large_pictures_are_scaled_down_and_small_ones_left():
    assert max(Image.open(io.BytesIO(copy_for_sharing(Image.new("RGB", (4000, 1000))))).size) == LONGEST_SIDE
    assert Image.open(io.BytesIO(copy_for_sharing(picture()))).size == (64, 48)


def test_a_copy_looks_like_the_picture():
    rows, columns = np.mgrid[0:96, 0:128]
    smooth = Image.fromarray(np.stack([rows * 2, columns * 1.5, rows + columns], axis=-1).astype(np.uint8))
    back = np.asarray(Image.open(io.BytesIO(copy_for_sharing(smooth))).convert("RGB"), dtype=float)
    assert np.abs(back - np.asarray(smooth, dtype=float)).mean() < 2


def test_tokens_are_long_random_and_kept_as_hashes_only():
    tokens = {new_token() for _ in range(50)}
    assert len(tokens) == 50
    assert all(TOKEN.fullmatch(token) for token in tokens)
    token = tokens.pop()
    one = entry().with_owner(hashed(token))
    assert token.encode() not in pack(one)
    assert one.owned_by(token)
    assert not one.owned_by(token[:-1] + ("A" if token[-1] != "A" else "B"))
    assert not one.owned_by("")
    assert not one.without(token).owners
