"""The words of the file of placements: its keys, names and limits."""

from __future__ import annotations

import re

from recsys.data.events import EventKind
from recsys.recommend.placement import DEFAULT_PLACEMENT

SECTIONS = ("time_zone", "filters", "placements", "experiments")
"""The keys of the file."""

RULES = (
    "sources", "fallback", "filter", "repeat", "hide_after", "minimum_relevance", "diversity", "rotation", "explore",
    "pins", "boosts",
)  # fmt: skip
"""The keys of a placement."""

NAME = re.compile(r"[a-z0-9_-]{1,64}")
"""What placements, filters and experiments may be called: names stand in addresses, reports and metrics."""

A_NAME = "a name of 1 to 64 of a-z, 0-9, _ and -"

MOST_CHARACTERS_OF_A_FILTER = 4_000

MOST_SLOTS = 200
"""As many items as a list has at most."""

LEAST_FACTOR, MOST_FACTOR = 0.01, 100.0
"""Of a boost. What is not to be seen is filtered; what has to come first whatever the customer likes is a pin."""

_UNWANTED = frozenset({EventKind.RETURN, EventKind.NOT_INTERESTED})

HIDDEN_BY_REPEAT = {"never": DEFAULT_PLACEMENT.mask_kinds, "allowed": _UNWANTED, "only": _UNWANTED}
"""Which events of a customer hide an item, by what `repeat` says: what was bought before may be there again, what was
given back or refused may not."""
