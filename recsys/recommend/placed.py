"""A whole list as a placement shows it, for those who ask outside of the service: every rule, from filter to pins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from recsys.data.catalog import Catalog
from recsys.data.item_table import ItemTable
from recsys.data.shown import NOTHING_SHOWN, Shown
from recsys.recommend.arrangement import NOWHERE, PINNED, Arranged, Layout, arrange
from recsys.recommend.filters import AskerFacts
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Answer, Evidence, Reason, Recommendation, Request

_ONLY_PINNED = Reason(PINNED, (Evidence(None, PINNED, 0.0),))


class Placed(NamedTuple):
    """A list as its placement shows it.

    Attributes
    ----------
    moved : how many items each rule that holds for a whole list moved, kept out or put in, by its name.
    """

    answer: Answer
    moved: Mapping[str, int]


def placed(
    recommender: Recommender,
    asker: AskerFacts,
    catalog: Catalog,
    table: ItemTable,
    request: Request,
    shown: Shown = NOTHING_SHOWN,
) -> Placed:
    """The list of a recommender's placement for somebody.

    Parameters
    ----------
    catalog, table : of the same version, in the positions of the recommender's bundle.
    request : where it has a filter, that says what the placement's says as well.
    shown : what the customer was shown lately.
    """
    history = asker.history
    rules = recommender.rules.now(catalog, request.now, table, asker)
    if request.where is not None:
        rules = rules.narrowed(request.where)
    showable = catalog.showable(request.now)
    layout = recommender.layout.now(
        request.now,
        showable if rules.passing is None else showable & rules.passing,
        lambda: recommender.hidden(history, request, rules),
        table,
        shown,
        history,
    )
    if not recommender.layout.arranges:
        return Placed(recommender.recommend(history, catalog, request, rules), {})
    # Mostly a few spare items are enough for diversity; a longer list is ranked where they are not.
    for further in (0, request.limit) if len(layout.codes) else (0,):
        deep = replace(request, limit=request.limit + layout.spare + further)
        first = answer = recommender.recommend(history, catalog, deep, rules)
        found = _arranged(recommender, answer, request.limit, layout)
        if found.blocked is None:
            break
    blocked = found.blocked
    # Where that ran short too although there are more items, it is ranked without what diversity keeps out.
    while blocked is not None:
        answer = recommender.recommend(history, catalog, deep, rules.without(blocked))
        found = _arranged(recommender, answer, request.limit, layout)
        blocked = None if found.blocked is None else blocked | found.blocked
    items = _in_order(recommender, answer, found)
    short = None
    if len(items) < request.limit:
        short = answer.short or f"items that diversity leaves: {len(items)}"
    return Placed(replace(answer, items=items, masked=first.masked, fallback=first.fallback, short=short), found.moved)


def _arranged(recommender: Recommender, answer: Answer, wanted: int, layout: Layout) -> Arranged:
    ranked = recommender.bundle.items.positions(item.item_id for item in answer.items)
    return arrange(ranked, answer.short is None, wanted, layout)


def _in_order(recommender: Recommender, answer: Answer, found: Arranged) -> tuple[Recommendation, ...]:
    items = []
    for place, position in zip(found.place.tolist(), found.item.tolist(), strict=True):
        if place == NOWHERE:
            items.append(Recommendation(recommender.bundle.items[position], 0.0, None, _ONLY_PINNED))
        else:
            items.append(answer.items[place])
    for slot in found.pinned.tolist():
        items[slot] = replace(items[slot], reason=replace(items[slot].reason, code=PINNED))
    return tuple(items)
