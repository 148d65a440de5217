"""Names of what keeps an item out of a list, in the order in which they are counted."""

from __future__ import annotations

UNAVAILABLE = "unavailable"
SEEN = "seen"
EXCLUDED = "excluded"
ON_PAGE = "on_page"
UNKNOWN_ITEM = "unknown"
