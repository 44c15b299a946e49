"""What the page keeps of a visitor between two events, and how soon it forgets it.

Gradio keeps everything of ten thousand sessions, each with a copy of the whole page's description, which takes a tenth
of a second to make on the thread that answers everybody. Here a session is made of nothing, and goes minutes after its
last line has closed; one that was made for a single call goes with that call.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np
from gradio.blocks import Blocks
from gradio.components import State
from gradio.state_holder import SessionState, StateHolder
from PIL import Image

from ui.serving.memory import KEPT
from ui.serving.presence import PRESENCE

MOST_SESSIONS = 1000
SECONDS_AFTER_LEAVING = 300.0
"""In which a visitor who comes back finds what was made."""

SMALL = 100_000
"""Bytes of a state that stays in its session; larger ones share the room of `KEPT`."""


@dataclass(frozen=True)
class _Elsewhere:
    """Stands in a session for a value that `KEPT` holds."""

    name: str


def bytes_of(value: object) -> int:
    """About how much memory a value holds: the pixels, arrays and texts in it, however deep."""
    if isinstance(value, Image.Image):
        return value.width * value.height * len(value.getbands())
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    if isinstance(value, (bytes, str)):
        return len(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return sum(bytes_of(getattr(value, spec.name)) for spec in dataclasses.fields(value))
    if isinstance(value, dict):
        return sum(bytes_of(part) for pair in value.items() for part in pair)
    if isinstance(value, (list, tuple, set, frozenset)):
        return sum(map(bytes_of, value))
    return 8


class Session(SessionState):
    """Gradio's session without the description of every component, which only its deep links read."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks_config = copy.copy(blocks.default_config)
        self.config_values: dict[int, Any] = {}
        self.state_data: dict[int, object] = {}
        self._state_ttl: dict[int, tuple[float, datetime.datetime]] = {}
        self.is_closed = False
        self.STATE_TTL_WHEN_CLOSED = int(SECONDS_AFTER_LEAVING)

    def __setitem__(self, key: int, value: Any) -> None:
        block = self.blocks_config.blocks.get(key)
        if isinstance(block, State):
            self._state_ttl[key] = (block.time_to_live, datetime.datetime.now())
            self._let_go(key)
            size = bytes_of(value)
            self.state_data[key] = value if size <= SMALL else _Elsewhere(KEPT.put(value, size))
        else:
            self.blocks_config.blocks[key] = value

    def __getitem__(self, key: int) -> object:
        value = super().__getitem__(key)
        # A value that was dropped for lack of room reads as None.
        return KEPT.get(value.name) if isinstance(value, _Elsewhere) else value

    def let_go(self) -> None:
        """Frees what is kept elsewhere."""
        for key in list(self.state_data):
            self._let_go(key)

    def _let_go(self, key: int) -> None:
        if isinstance(value := self.state_data.get(key), _Elsewhere):
            KEPT.discard(value.name)

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value: object) -> None:
        pass


class Sessions(StateHolder):
    """All sessions of the process; give `launched` a page that runs."""

    def __getitem__(self, name: str) -> SessionState:
        if name not in self.session_data:
            self.session_data[name] = Session(self.blocks)
        return super().__getitem__(name)

    def forget(self, name: str) -> None:
        """Deletes a session and what its states stand for."""
        session = self.session_data.get(name)
        if isinstance(session, Session):
            session.let_go()
        self.delete_state(name)
        with self.lock:
            self.session_data.pop(name, None)
            self.time_last_used.pop(name, None)

    def forget_old(self) -> None:
        """Forgets the sessions that nobody holds."""
        now = datetime.datetime.now()
        for name, last in list(self.time_last_used.items()):
            if (now - last).total_seconds() > SECONDS_AFTER_LEAVING and not PRESENCE.listens(name):
                self.forget(name)


def launched(page: Blocks) -> Sessions:
    """Puts our sessions in the place of Gradio's, right after a page was launched."""
    sessions = Sessions()
    page.state_session_capacity = MOST_SESSIONS
    sessions.set_blocks(page)
    page.app.state_holder = sessions
    return sessions
