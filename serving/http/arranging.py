"""A ranked list as its placement shows it: which item stands where, in the JSON that was written when it was ranked."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import orjson

from recsys.recommend.arrangement import NOWHERE, PINNED, Arranged, Layout, arrange
from recsys.recommend.recommender import Recommender
from recsys.recommend.rules import NO_RULES
from serving.cache.payload import RankedList
from serving.http.asking import OVER_BUDGET, Asked

_BEFORE_CODE: Final = b'"reason":{"code":"'
"""No id can have it inside: quotes are escaped there."""


def arranged_anew(asked: Asked, spot: Recommender, layout: Layout, ranked: RankedList, found: Arranged) -> RankedList:
    """The items to be shown of a list that ran short although there are more: ranked anew without what diversity keeps
    out, as often as it takes."""
    blocked, first, history = found.blocked, ranked, asked.person.history
    if ranked.fallback == OVER_BUDGET:
        history = history.without_taste()
    rules = asked.rules or NO_RULES
    while blocked is not None:
        ranked = asked.engine.for_customer(spot, history, asked.request(), rules.without(blocked))
        found = arrange(ranked.positions, ranked.short is None, asked.limit, layout)
        blocked = None if found.blocked is None else blocked | found.blocked
    return shown(asked, spot, ranked._replace(masked=first.masked, fallback=first.fallback), found)


def shown(asked: Asked, spot: Recommender, ranked: RankedList, found: Arranged) -> RankedList:
    """The items of a list that are to be shown, in their order."""
    short = ranked.short
    if len(found.item) < asked.limit and spot.placement.diversity:
        rules = " and ".join(f"{rule.at_most} agree in {rule.by}" for rule in spot.placement.diversity)
        short = f"items that may be shown and of which no more than {rules}: {len(found.item)}"
    if not len(found.pinned) and np.array_equal(found.place, np.arange(len(found.place))):
        return ranked.head(len(found.place))._replace(short=short, moved=found.moved)
    pinned, parts, ids = set(found.pinned.tolist()), [], asked.engine.bundle.items
    text, starts = ranked.items, [0, *(ranked.ends + 1).tolist()]
    for slot, place in enumerate(found.place.tolist()):
        if place == NOWHERE:
            parts.append(there_for(PINNED, ids[int(found.item[slot])]))
        else:
            part = text[starts[place] : starts[place + 1] - 1]
            parts.append(_pinned(part) if slot in pinned else part)
    return ranked.of(parts, found.item)._replace(short=short, moved=found.moved)


def _pinned(text: bytes) -> bytes:
    """An item whose slot does not depend on its score; what speaks for it stays said."""
    head, mark, rest = text.partition(_BEFORE_CODE)
    return head + mark + PINNED.encode() + rest[rest.index(b'"') :]


@lru_cache(maxsize=10_000)
def there_for(code: str, item_id: str) -> bytes:
    """The JSON of an item that only a rule brought; `code` is that of its reason, and the kind of its evidence."""
    reason = {"code": code, "evidence": [{"item_id": None, "kind": code, "share": 0.0}]}
    return orjson.dumps({"item_id": item_id, "score": 0.0, "relevance": None, "reason": reason})
