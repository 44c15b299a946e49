"""A `Prompt` as the chat messages of an OpenAI-compatible server.

Images of the usual datasets travel as PNG, so that no pixel changes; a phone's photo, which would be 20 MB, as JPEG.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

from PIL import Image

from methods.lmm.prompt import Prompt

PNG_PIXELS = 2**20


def to_messages(prompt: Prompt, encode: Callable[[Image.Image], str] | None = None) -> dict[str, object]:
    """The field `messages` of a request; with an answer prefix also vLLM's `add_generation_prompt` and
    `continue_final_message`, which a strict OpenAI API refuses.

    Args:
        prompt: what to say; a non-empty answer prefix becomes the beginning of the assistant's message.
        encode: image -> data URL; `data_url` by default.
    """
    encode = encode or data_url
    messages: list[dict[str, object]] = []
    for turn in prompt.turns:
        if all(isinstance(part, str) for part in turn.parts):
            # Plain text, since some templates know lists of parts for the user alone.
            messages.append({"role": turn.role, "content": turn.text})
            continue
        parts = [{"type": "text", "text": part} if isinstance(part, str)
                 else {"type": "image_url", "image_url": {"url": encode(part)}} for part in turn.parts]
        messages.append({"role": turn.role, "content": parts})
    if not prompt.answer_prefix:
        return {"messages": messages}
    messages.append({"role": "assistant", "content": prompt.answer_prefix})
    return {"messages": messages, "add_generation_prompt": False, "continue_final_message": True}


def data_url(image: Image.Image) -> str:
    """An image as a data URL: PNG up to `PNG_PIXELS`, above that JPEG of quality 95 with its colours in full."""
    buffer = io.BytesIO()
    if image.width * image.height <= PNG_PIXELS:
        kind = "png"
        image.save(buffer, "PNG", compress_level=1)  # the lightest, since the way to the server is short
    else:
        kind = "jpeg"
        image.save(buffer, "JPEG", quality=95, subsampling=0)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
