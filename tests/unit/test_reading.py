"""Decoding ahead: the order, each item's own error, a bound in bytes, and threads that end with their reader."""

from __future__ import annotations

import threading
import time

import pytest
from PIL import Image

from methods import reading
from methods.errors import InputError
from methods.images import Decoded
from methods.reading import read_ahead
from methods.scoring import score_batches, score_rows


@pytest.fixture(autouse=True)
def four_threads(monkeypatch):
    monkeypatch.setattr(reading, "cores", lambda: 4)


def blank(side: int) -> Image.Image:
    return Image.new("RGB", (side, side))


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_images_come_in_order_whatever_takes_long_and_errors_stay_with_their_item():
    def source(number):
        time.sleep(0.02 if number % 3 == 0 else 0)
        if number == 5:
            raise InputError("This one\nis missing.")
        return b"no picture" if number == 7 else blank(number + 1)

    opened = list(read_ahead(range(20), source))
    assert [one.item for one in opened] == list(range(20))
    assert [one.item for one in opened if one.decoded is None] == [5, 7]
    assert opened[5].error == "This one is missing."
    assert all(one.pixels == (one.item + 1) ** 2 for one in opened if one.decoded)
    assert not readers()


def test_reading_goes_on_while_a_batch_is_scored():
    begun = [threading.Event() for _ in range(6)]

    def source(number):
        begun[number].set()
        return blank(4)

    def assess(images):
        # The first batch is not done before every image of the others has been begun.
        assert all(event.wait(30) for event in begun)
        return [0.5] * len(images)

    rows = list(score_rows(range(6), source, assess, batch_size=2))
    assert [row.assessment for row in rows] == [0.5] * 6


def test_pixels_that_wait_are_bounded_and_a_larger_image_passes_all_the_same(monkeypatch):
    monkeypatch.setattr(reading, "_CLAIM", 3 * 100 * 100)
    read = []

    def source(number):
        read.append(number)
        return blank(300 if number == 3 else 100)

    images = read_ahead(range(40), source, bytes_ahead=4 * 3 * 100 * 100)
    assert next(images).item == 0
    time.sleep(0.2)  # as long as they like: no more than what fits is begun
    assert len(read) <= 1 + 4
    assert [one.item for one in images] == list(range(1, 40))


def test_items_that_cannot_be_read_do_not_pile_up_either():
    asked = []

    def source(number):
        asked.append(number)
        raise InputError("No.")

    images = read_ahead(range(10_000), source)
    next(images)
    time.sleep(0.1)
    assert len(asked) <= reading._MOST_AHEAD + 1
    images.close()
    assert not readers()


def test_a_defect_is_raised_in_its_place_and_ends_the_threads():
    def source(number):
        if number == 3:
            raise ZeroDivisionError("a defect")
        return blank(2)

    images = read_ahead(range(9), source)
    assert [next(images).item for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError, match="a defect"):
        next(images)
    assert not readers()


def test_items_may_come_from_a_generator_that_fails():
    def items():
        yield 1
        raise InputError("The list breaks off.")

    images = read_ahead(items(), lambda number: blank(number))
    assert next(images).item == 1
    with pytest.raises(InputError, match="breaks off"):
        next(images)


def test_an_interrupt_while_scoring_leaves_no_thread():
    def assess(images):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(score_rows(range(50), lambda number: blank(8), assess))
    assert not readers()


def test_images_are_prepared_on_the_reading_threads():
    where = []

    def prepare(decoded):
        where.append(threading.current_thread().name)
        return Decoded(decoded.image.resize((1, 1)), ("Prepared.",))

    opened = list(read_ahead(range(3), lambda number: blank(9), prepare))
    assert all(one.decoded.notes == ("Prepared.",) and one.pixels == 1 for one in opened)
    assert all(name.startswith("read-ahead") for name in where)


class Made:
    def __init__(self, nbytes):
        self.nbytes = nbytes


def test_what_is_made_ahead_counts_as_what_waits(monkeypatch):
    monkeypatch.setattr(reading, "_CLAIM", 3 * 100 * 100)
    read = []

    def prepare(decoded):
        read.append(decoded)
        return Decoded(decoded.image, ahead=(Made(9 * 3 * 100 * 100),))

    images = read_ahead(range(40), lambda number: blank(100), prepare, bytes_ahead=40 * 3 * 100 * 100)
    first = next(images)
    assert first.decoded.nbytes == 10 * 3 * 100 * 100
    time.sleep(0.2)
    # Four threads begin one each before any of them knows how much there is to hold; then four fit at a time.
    assert len(read) <= 1 + 4 + 3
    assert [one.item for one in images] == list(range(1, 40))


@pytest.mark.parametrize("failure", [InputError("It is too slim."), ZeroDivisionError("a defect")])
def test_an_image_that_cannot_be_prepared_is_a_row_and_the_others_go_on(failure, capsys):
    def prepare(decoded):
        if decoded.image.width == 3:
            raise failure
        return decoded

    rows = list(score_rows(range(5), lambda number: blank(number + 1), lambda images: [0.5] * len(images), batch_size=2,
                           prepare=prepare))
    assert [row.assessment for row in rows] == [0.5, 0.5, None, 0.5, 0.5]
    plain = isinstance(failure, InputError)
    assert rows[2].error == ("It is too slim." if plain else "ZeroDivisionError: a defect")
    assert ("Traceback" in capsys.readouterr().err) is not plain


def test_batches_keep_their_bounds():
    sizes = []

    def assess(images):
        sizes.append(len(images))
        return [image.image.width for image in images]

    def source(number):
        if number == 4:
            raise InputError("Missing.")
        return blank(number + 1)

    batches = [(0, 1, 2), (3, 4), (), (5,), (6, 7)]
    results = list(score_batches(batches, source, assess))
    assert [[row.item for row in rows] for rows in results] == [list(batch) for batch in batches]
    assert [[row.assessment for row in rows] for rows in results] == [[1, 2, 3], [4, None], [], [6], [7, 8]]
    assert sizes == [3, 1, 1, 2]
