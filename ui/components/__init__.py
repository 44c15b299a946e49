"""Parts that the tabs share: picture input, pickers, options form, result panel, dial, figures, errors."""

from ui.components.errors import as_gradio_error, plain_errors
from ui.components.figures import ACCENT, INK, LEVEL_COLOURS, MUTED, SECOND, SERIES, themed, word_probabilities
from ui.components.options import OptionsForm, options_form
from ui.components.panel import ResultPanel, result_panel
from ui.components.pickers import lmm_picker, method_picker
from ui.components.results import cost_line, dial, image_notes, mos, short_model
from ui.components.uploads import EXAMPLES, Page, PictureInput, picture_input, pictures_input, required, uploaded

__all__ = [
    "ACCENT", "EXAMPLES", "INK", "LEVEL_COLOURS", "MUTED", "SECOND", "SERIES", "OptionsForm", "Page", "PictureInput",
    "ResultPanel", "as_gradio_error", "cost_line", "dial", "image_notes", "lmm_picker", "method_picker", "mos",
    "options_form", "picture_input", "pictures_input", "plain_errors", "required", "result_panel", "short_model",
    "themed", "uploaded", "word_probabilities",
]  # fmt: skip
