"""Turns a `Prompt` into the text that a model was trained to continue, by the model's own chat template.

The text still holds one image placeholder per image; the processor (or the reuse layer) widens it later to as many
tokens as the image takes. Templates disagree on what they accept, so a conversation that one refuses is retold in
the plainest form that keeps its words in order: the system's words first in the user's turn, and neighbouring turns
of one speaker as one turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PIL import Image

from methods.lmm.base import LMMError
from methods.lmm.prompt import Prompt, Turn

if TYPE_CHECKING:
    from methods.lmm.loaded import Processor


@dataclass(frozen=True)
class Rendered:
    """A prompt as text.

    Attributes:
        text: the whole conversation with one placeholder per image; it ends with the answer prefix.
        tail: the part of `text` that follows the last placeholder, placeholder included.
        images: the images in the order of their placeholders.
        prompt: what was rendered.
        joint: what the template puts between `text` and the first word of an answer that has no prefix: a space after
            "ASSISTANT:", nothing after a new line.
    """

    text: str
    tail: str
    images: tuple[Image.Image, ...]
    prompt: Prompt
    joint: str = ""

    def continuation(self, word: str) -> str:
        """`word` as it continues the answer, as `Prompt.continuation` and the template have it."""
        return self.joint + self.prompt.continuation(word)

    def with_joint(self) -> Rendered:
        """The same with the joint as part of the text, for words whose first token would be the joint alone."""
        return replace(self, text=self.text + self.joint, tail=self.tail + self.joint, joint="")


def render(processor: Processor, prompt: Prompt, name: str) -> Rendered:
    """Renders one prompt.

    Args:
        processor: a transformers processor with a chat template.
        prompt: what to say.
        name: the model's name, for the error's sake.

    Raises:
        LMMError: the model has no chat template, its template cannot hold this conversation, or the prompt's own
            words spell the placeholder.
    """
    if not getattr(processor, "chat_template", None):
        raise LMMError(f"{name} has no chat template, so it cannot be asked anything; choose an instruction-tuned "
                       f"model.")
    placeholder = processor.image_token
    if any(placeholder in part for turn in prompt.turns for part in turn.parts if isinstance(part, str)):
        raise LMMError(f"The prompt's text spells {placeholder!r}, which {name} reserves for images; reword it.")
    text = _templated(processor, prompt, name)
    slots = text.count(placeholder)
    if slots != len(prompt.images):
        raise LMMError(f"The chat template of {name} shows {slots} of the prompt's {len(prompt.images)} images.")
    start = text.rfind(placeholder)
    return Rendered(text, text[max(start, 0) :], prompt.images, prompt, _joint(processor, prompt, text))


def _templated(processor: Processor, prompt: Prompt, name: str) -> str:
    from jinja2 import TemplateError

    failure: Exception | None = None
    for turns in (prompt.turns, plain_turns(prompt.turns)):
        try:
            return _apply(processor, turns, prompt.answer_prefix)
        except TemplateError as error:
            failure = error
    raise LMMError(f"The chat template of {name} refuses this conversation: {failure}") from failure


def _apply(processor: Processor, turns: Sequence[Turn], prefix: str) -> str:
    messages = [{"role": turn.role, "content": _content(turn)} for turn in turns]
    if not prefix.strip():
        return str(processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)) + prefix
    messages.append({"role": "assistant", "content": [{"type": "text", "text": prefix}]})
    text = str(processor.apply_chat_template(messages, tokenize=False, continue_final_message=True))
    # Some templates trim what the assistant said; white space at the end of a prefix decides the next token.
    return text if text.endswith(prefix) else text.rstrip() + prefix[len(prefix.rstrip()) :]


def _joint(processor: Processor, prompt: Prompt, text: str) -> str:
    """White space that the template puts before an answer which begins right after `text`."""
    if prompt.answer_prefix or not text or text[-1].isspace():
        return ""
    try:
        # How an answer is joined is asked of a template that holds one.
        begun = _templated(processor, replace(prompt, answer_prefix="x"), "")
    except LMMError:
        return ""  # It takes no answers that have begun.
    between = begun[len(text) : -1] if begun.startswith(text) and begun.endswith("x") else ""
    return between if between.isspace() else ""


def _content(turn: Turn) -> list[dict[str, str]]:
    return [{"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in turn.parts]


def plain_turns(turns: Sequence[Turn]) -> list[Turn]:
    """System words moved into the user's turn that follows, neighbouring turns of one speaker joined by new lines."""
    retold: list[Turn] = []
    for turn in turns:
        role = "user" if turn.role == "system" else turn.role
        if retold and retold[-1].role == role:
            retold[-1] = Turn(role, (*retold[-1].parts, "\n", *turn.parts))
        else:
            retold.append(Turn(role, turn.parts))
    return retold


def tokenize(processor: Processor, text: str) -> list[int]:
    """Token ids of a rendered text; the beginning-of-text token is added only where the template has not."""
    tokenizer = processor.tokenizer
    begun = tokenizer.bos_token is not None and text.startswith(tokenizer.bos_token)
    return list(tokenizer(text, add_special_tokens=not begun)["input_ids"])
