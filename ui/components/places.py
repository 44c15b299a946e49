"""Where on the page something is drawn: the tab and the tabs around it, so that a link can bring its reader there."""

from __future__ import annotations

from typing import TypeVar

import gradio as gr

Block = TypeVar("Block", bound=gr.blocks.BlockContext)


def enclosing(kind: type[Block]) -> Block:
    """The innermost block of a kind around the place where this is called.

    Args:
        kind: such as `gr.Tabs`.

    Raises:
        ValueError: there is none.
    """
    block = gr.context.Context.block
    while block is not None:
        if isinstance(block, kind):
            return block
        block = block.parent
    raise ValueError(f"This is drawn inside a gr.{kind.__name__}.")
