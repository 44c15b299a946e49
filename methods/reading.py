"""Images that come next, decoded on other threads while the present ones are scored.

A model on a GPU would wait for every file otherwise, and on a CPU a core stands idle while one file is read. The order
is kept, a file that cannot be read keeps its own sentence, and the pixels that wait to be scored are bounded in bytes.
Nothing is written here, so a kill loses nothing; whoever leaves early closes the iterator, which ends the threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from methods.errors import UserError
from methods.images import MAX_PIXELS, Decoded, decode
from methods.lmm.cpu import cores

BYTES_AHEAD = 320 * 2**20
"""Decoded pixels, and what is made of them ahead, that may wait: four photos of the largest size, or some hundred of
one megapixel that nothing is made of."""

_MOST_AHEAD = 256  # items, since one that cannot be read takes no pixels
_MOST_THREADS = 4
_CLAIM = 3 * MAX_PIXELS
"""What an image counts as while nobody knows its size, unless an earlier one was larger."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Opened(Generic[Item]):
    """An item with its image, or with the sentence that says why there is none.

    Attributes:
        failure: what `prepare` raised.
    """

    item: Item
    decoded: Decoded | None
    error: str = ""
    failure: Exception | None = None

    @property
    def pixels(self) -> int:
        return 0 if self.decoded is None else self.decoded.image.width * self.decoded.image.height


def one_line(text: str) -> str:
    """`text` without line breaks."""
    return " ".join(text.split())


def read_ahead(items: Iterable[Item], source: Callable[[Item], object],
               prepare: Callable[[Decoded], Decoded] | None = None, bytes_ahead: int = BYTES_AHEAD
               ) -> Generator[Opened[Item]]:
    """The items with their images, in order.

    Args:
        items: taken by the reading threads, one at a time.
        source: gives what `methods.images.decode` takes.
        prepare: works on each image after it is decoded.
        bytes_ahead: of what may wait to be taken (`Decoded.nbytes`), and of what is being made; one image at least.

    Raises:
        Exception: what `items` or `source` raise, in the place of the item; a `UserError` of `source` becomes that
            item's error instead, and whatever `prepare` raises its failure.
    """
    reader = _Reader(iter(items), source, prepare, bytes_ahead)
    threads = [threading.Thread(target=reader.run, name=f"read-ahead-{number}", daemon=True)
               for number in range(min(max(cores(), 1), _MOST_THREADS))]
    for thread in threads:
        thread.start()
    try:
        while (one := reader.take()) is not None:
            yield one
    finally:
        reader.stop()
        for thread in threads:
            thread.join()


class _Reader(Generic[Item]):
    """What the reading threads share, and the one that takes from them."""

    def __init__(self, items: Iterator[Item], source: Callable[[Item], object],
                 prepare: Callable[[Decoded], Decoded] | None, bytes_ahead: int) -> None:
        self._items, self._source, self._prepare, self._room = items, source, prepare, bytes_ahead
        self._changed = threading.Condition()
        self._results: dict[int, Opened[Item] | BaseException] = {}
        self._begun = self._taken = 0  # numbers of the next item to read and to hand out
        self._claimed = 0  # bytes
        self._claim = _CLAIM
        self._ended = False

    def run(self) -> None:
        """The work of a thread: an item after the other, until there are none or `stop` is called."""
        while True:
            with self._changed:
                # One image passes whatever its size, or a photo larger than the room would never be read.
                self._changed.wait_for(lambda: self._ended or self._has_room())
                if self._ended:
                    return
                number = self._begun
                try:
                    item = next(self._items)
                except StopIteration:
                    self._end()
                    return
                except BaseException as error:
                    self._begun += 1
                    self._results[number] = error
                    self._end()
                    return
                self._begun += 1
                claim = self._claim
                self._claimed += claim
            result: Opened[Item] | BaseException
            try:
                result = self._read(item)
            except BaseException as error:  # Raised in the taker's thread, in this item's place.
                result = error
            with self._changed:
                self._results[number] = result
                self._claimed += _bytes(result) - claim
                self._claim = max(self._claim, _bytes(result))
                self._changed.notify_all()

    def _has_room(self) -> bool:
        return (self._begun - self._taken < _MOST_AHEAD
                and (not self._claimed or self._claimed + self._claim <= self._room))

    def _read(self, item: Item) -> Opened[Item]:
        try:
            decoded = decode(self._source(item))
        except UserError as refused:
            return Opened(item, None, one_line(str(refused)))
        try:
            return Opened(item, decoded if self._prepare is None else self._prepare(decoded))
        except Exception as failure:  # One image may be at fault, as when it is scored: its row says so.
            return Opened(item, None, failure=failure)

    def take(self) -> Opened[Item] | None:
        """The next item in order, as soon as it is read; None after the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken in self._results
                                   or (self._ended and self._taken >= self._begun))
            if self._taken not in self._results:
                return None
            result = self._results.pop(self._taken)
            self._taken += 1
            self._claimed -= _bytes(result)
            self._changed.notify_all()
        if isinstance(result, BaseException):
            raise result
        return result

    def stop(self) -> None:
        """Stops: no further item is read."""
        with self._changed:
            self._end()

    def _end(self) -> None:
        self._ended = True
        self._changed.notify_all()


def _bytes(result: Opened[Item] | BaseException) -> int:
    return 0 if isinstance(result, BaseException) or result.decoded is None else result.decoded.nbytes
