"""What belongs to a visit rather than to a tab: photos that arrive anywhere on the page, and the last results.

`arrivals.js` and `history.js` run in the browser; `page.py` draws their one component and answers what they send.
"""

from ui.visit.page import Several, build

__all__ = ["Several", "build"]
