"""Where a photo loses quality: a button below a result, and the map that it asks for, to look at and to keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr
from gradio.events import Dependency

from methods.base import method_class
from methods.q_bench.where import PASSES
from ui.components.uploads import require
from ui.errors import plain_errors
from ui.serving import gpu, models

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Where:
    """The components, hidden until there is a result."""

    ask: gr.Button
    picture: gr.Image
    legend: gr.Markdown

    @property
    def outputs(self) -> list[gr.components.Component]:
        return [self.ask, self.picture, self.legend]

    def ready(self, is_there: bool = True) -> list[object]:
        """Values for `outputs` after a new result, or before there is one."""
        return [gr.Button(visible=is_there), gr.Image(None, visible=False), gr.Markdown(visible=False)]

    def clearing(self, empty: Callable[[], list[object]]) -> Callable[[], list[object]]:
        """A function that clears the tab's result and the map, for `result_of`."""
        return lambda: [*empty(), *self.ready(False)]

    def wire(self, photo: gr.Image, method: str | gr.Dropdown, lmm: gr.Dropdown, *scored: Dependency
             ) -> Dependency:
        """Connects the button; its event is returned.

        Args:
            photo: the tab's.
            method: the tab's, or its picker.
            lmm: the tab's model picker; of several models the first is asked.
            scored: events after whose success a map can be asked for; none where they have the outputs themselves.
        """
        fixed = [method] if isinstance(method, str) else []

        @plain_errors
        def show(path: str | None, model: str | Sequence[str] | None, progress: gr.Progress = gr.Progress(),
                 *picked: str) -> list[object]:
            (name,) = picked or fixed
            picture, sentence = map_of(require(path), name, model, progress)
            return [gr.Image(picture, visible=True), gr.Markdown(sentence, visible=True)]

        for event in scored:
            event.success(self.ready, None, self.outputs, queue=False, show_progress="hidden",
                          api_visibility="private")
        return self.ask.click(show, [photo, lmm, *([] if fixed else [method])], [self.picture, self.legend],
                              show_progress_on=self.picture, api_visibility="private", **gpu.PHOTO_LANE)


def where_part(prefix: str) -> Where:
    """Draws the part at the place where it is called.

    Args:
        prefix: of the components' ids, such as "score".
    """
    return Where(
        gr.Button("Where does it lose quality?", size="sm", visible=False, elem_id=f"{prefix}-where"),
        gr.Image(format="png", visible=False, interactive=False, elem_id=f"{prefix}-map", show_label=False,
                 label="Map of where the photo loses quality", buttons=["download", "fullscreen"]),
        gr.Markdown(visible=False, elem_classes="result-cost"),
    )


def map_of(path: str, name: str, model: str | Sequence[str] | None, progress: gr.Progress | None
           ) -> tuple[Image.Image, str]:
    """The photo with the parts marked that cost it quality, by the method's own evidence or by its LMM, and what it
    shows in a sentence.

    Raises:
        gr.Error: one plain sentence.
    """
    if legend := method_class(name).map_legend:
        (result,) = gpu.assess(name, [path], progress=progress)
        with gpu.decoded_images([path]) as photos:
            return result.evidence.map_over(photos[0].image), legend
    named = [model] if isinstance(model, str) and model else list(model or ())
    lmm = named[0] if named else models.default_for(name)
    with gpu.decoded_images([path]) as photos:
        result = gpu.call("methods.q_bench.where:where", seconds=gpu.seconds("q-bench", photos * PASSES),
                          progress=progress, lmm=gpu.Model(lmm), image=photos[0])
    if result.loss < 0.01:
        return result.picture, "No part changes the model's plain answer by more than a hundredth: it sees the whole."
    return result.picture, (f"The {result.worst} costs most: {result.loss:.2f} of the model's plain score. Orange: "
                            "without this part the score would be higher; blue: lower. Measured by covering one of "
                            f"{PASSES - 1} parts at a time, compared with the median part; the map is of the model, "
                            "not of what the method adds to its question.")
