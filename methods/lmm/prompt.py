"""What is said to an LMM: turns of text and images, and the words that the assistant has already said.

Prompts are data. Methods build them, backends turn them into token ids (transformers) or a chat request (server),
and tests compare them with the papers' printed text, all without an LMM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PIL import Image

Role = Literal["system", "user", "assistant"]
Part = str | Image.Image


@dataclass(frozen=True)
class Turn:
    """One speaker's turn: text and images in the order in which they are shown."""

    role: Role
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        if self.role not in ("system", "user", "assistant"):
            raise ValueError(f"A turn is spoken by system, user or assistant; got {self.role!r}.")
        for part in self.parts:
            if not isinstance(part, (str, Image.Image)):
                raise TypeError(f"A turn holds text and PIL images; got {type(part).__name__}.")

    @property
    def text(self) -> str:
        """The text alone, images left out."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def images(self) -> tuple[Image.Image, ...]:
        return tuple(part for part in self.parts if isinstance(part, Image.Image))


@dataclass(frozen=True)
class Prompt:
    """A conversation that the LMM has to continue.

    Args:
        turns: at least one; the last one is the user's.
        answer_prefix: what the assistant has already said of its answer, for example
            "The quality of the image is". The next token is read right after it. A candidate word is joined to a
            non-empty prefix with one space, unless the prefix already ends in white space.
    """

    turns: tuple[Turn, ...]
    answer_prefix: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "turns", tuple(self.turns))
        if not self.turns or self.turns[-1].role != "user":
            raise ValueError("A prompt ends with the user's turn; put what the assistant has begun in answer_prefix.")

    @classmethod
    def ask(cls, *parts: Part, system: str | None = None, answer_prefix: str = "") -> Prompt:
        """One user turn, with an optional system turn before it."""
        turns = (Turn("user", parts),)
        return cls((Turn("system", (system,)), *turns) if system else turns, answer_prefix)

    @property
    def images(self) -> tuple[Image.Image, ...]:
        """Every image in the order in which it is shown, repeats included."""
        return tuple(image for turn in self.turns for image in turn.images)

    def continuation(self, word: str) -> str:
        """`word` as it continues the answer: with a leading space where the prefix asks for one."""
        joined = self.answer_prefix and not self.answer_prefix[-1].isspace()
        return f" {word}" if joined else word

    def transcript(self) -> str:
        """The prompt as a person reads it, with `<image>` where an image stands; used in evidence and tests."""
        lines = []
        for turn in self.turns:
            text = "".join(part if isinstance(part, str) else "<image>" for part in turn.parts)
            lines.append(f"{turn.role}: {text}")
        lines.append(f"assistant: {self.answer_prefix}".rstrip())
        return "\n".join(lines)
