"""Parts that the tabs share: photo inputs, pickers, options form, result panel, dial, figures."""

from ui.components.figures import ACCENT, INK, LEVEL_COLOURS, MUTED, SECOND, SERIES, themed, word_probabilities
from ui.components.options import OptionsForm, options_form
from ui.components.page import Page
from ui.components.panel import ResultPanel, result_panel
from ui.components.pickers import follow, lmm_picker, method_picker, pixel_picker
from ui.components.results import cost_line, dial, image_notes, mos, short_model
from ui.components.uploads import EXAMPLES, PictureInput, picture_input, pictures_input, require, upload_path
from ui.components.verdict import verdict_html
from ui.errors import plain_errors

__all__ = [
    "ACCENT", "EXAMPLES", "INK", "LEVEL_COLOURS", "MUTED", "SECOND", "SERIES", "OptionsForm", "Page", "PictureInput",
    "ResultPanel", "cost_line", "dial", "follow", "image_notes", "lmm_picker", "method_picker", "mos",
    "options_form", "picture_input", "pictures_input", "pixel_picker", "plain_errors", "require", "result_panel",
    "short_model", "themed", "upload_path", "verdict_html", "word_probabilities",
]  # fmt: skip
