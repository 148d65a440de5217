"""Names of what keeps an item out of a list."""

from __future__ import annotations

UNAVAILABLE = "unavailable"
FILTERED = "filtered"
SEEN = "seen"
EXCLUDED = "excluded"
ON_PAGE = "on_page"
UNKNOWN_ITEM = "unknown"
REFUSED = "refused"
RETURNED = "returned"
BOUGHT = "bought"
UNLIKELY = "unlikely"
