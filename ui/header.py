"""The top of the page: its name, what it is for, what it runs on, and which model it takes there and why."""

from __future__ import annotations

import html

from ui.serving import models

# An opinion scale: five bars, the higher the better, drawn in the text's colour so that it follows the theme.
MARK = (
    '<svg class="mark" viewBox="0 0 40 40" aria-hidden="true">'
    '<rect x="3" y="27" width="5" height="10" rx="1.5"/><rect x="10.5" y="21" width="5" height="16" rx="1.5"/>'
    '<rect x="18" y="9" width="5" height="28" rx="1.5" class="mark-mean"/>'
    '<rect x="25.5" y="17" width="5" height="20" rx="1.5"/><rect x="33" y="25" width="5" height="12" rx="1.5"/></svg>'
)


def header() -> str:
    """HTML."""
    return (
        f'<header class="masthead">{MARK}<div><h1>Mean Opinion</h1>'
        "<p>How good does a photo look? Ask large multimodal models the way the papers do, "
        "and see why each gave its score.</p></div>"
        f'<span class="machine">{html.escape(machine())}</span></header>'
        f'<p class="defaults">{html.escape(" ".join(models.reasons()))}</p>'
    )


def machine() -> str:
    """What this page runs on, in a few words."""
    import torch

    if models.ON_ZERO_GPU:
        return "ZeroGPU"
    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    return "CPU"
