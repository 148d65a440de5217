"""Lists of what one customer had to do with already: what they will buy again, what they looked at."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from recsys.bundle.bundle import ModelBundle
from recsys.data.catalog import Catalog
from recsys.data.events import KIND_BY_CODE, EventKind
from recsys.data.history import History
from recsys.data.signals import UNKNOWN_TIME
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.recommend.kernel import UNITS
from recsys.recommend.masks import BOUGHT, EXCLUDED, FILTERED, ON_PAGE, REFUSED, RETURNED, UNAVAILABLE, UNLIKELY
from recsys.recommend.recommender import UNKNOWN_CUSTOMER
from recsys.recommend.sources import REPEAT
from recsys.recommend.types import Answer, Evidence, Reason, Recommendation, Request

HISTORY = "history"
"""The source of what was looked at: the customer's own history."""

LEAST_PROBABILITY = 0.01
"""What is bought again with less than this is not listed: nearly everybody who sees it does not want it."""

LOOKED_AT = (
    EventKind.VIEW,
    EventKind.CLICK,
    EventKind.EMAIL_CLICK,
    EventKind.SHARE,
    EventKind.ADD_TO_LIST,
    EventKind.ADD_TO_CART,
)
"""The kinds of events by which a customer looks at an item."""

_REFUSALS = (EventKind.NOT_INTERESTED, EventKind.IGNORE_FOR_RECOMMENDATIONS)
_HAVING = (EventKind.PURCHASE, EventKind.OWN)

Items = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


def buy_again(bundle: ModelBundle, history: History, catalog: Catalog, request: Request) -> Answer:
    """What a customer bought and will probably buy again within the model's window, the likeliest first.

    The score is that probability (`recsys.models.repeat`), as of the newest event that the models or the history know:
    ages do not count from the wall clock. Nothing is filled in.

    The masks, in this order: `unavailable`, `filtered`, `refused` (or bought for somebody else), `returned`,
    `unlikely` (less than `LEAST_PROBABILITY`), `excluded`.
    """
    repeat = bundle.repeat
    acquired = np.unique(history.item[np.isin(history.kind, [kind.code for kind in repeat.kinds])])
    times = [bundle.manifest.data["newest"] or 0, int(history.timestamp.max(initial=UNKNOWN_TIME))]
    kept = repeat.bought(history, max(times))
    units = np.zeros(len(acquired), dtype=np.int64)
    place = np.searchsorted(acquired, kept.item)
    units[place] = np.rint(repeat.score(kept, repeat.window) * UNITS).astype(np.int64)
    is_kept = np.zeros(len(acquired), dtype=np.bool_)
    is_kept[place] = True
    rules = (
        _not_showable(acquired, catalog, request)
        | {
            REFUSED: np.isin(acquired, history.items_of(_REFUSALS)),
            RETURNED: ~is_kept,
            UNLIKELY: units < LEAST_PROBABILITY * UNITS,
        }
        | _left_out(acquired, bundle.items, request)
    )
    allowed, masked = _masked(rules, len(acquired))
    order = np.lexsort((acquired, -bundle.popularity.count[acquired], -units))
    chosen = order[allowed[order]][: request.limit]
    kinds = _newest_kinds(history, acquired, repeat.kinds)
    items = _listed(bundle.items, "bought_before", acquired[chosen], units[chosen] / UNITS, kinds[chosen])
    what = f"were bought before and are bought again with a probability of {LEAST_PROBABILITY:.0%} or more"
    nothing = f"the history has no {' or '.join(repeat.kinds)} of an item that the models know"
    return _answer(items, REPEAT, history, masked, request, what, nothing if not len(acquired) else None)


def recently_viewed(bundle: ModelBundle, history: History, catalog: Catalog, request: Request) -> Answer:
    """What a customer looked at (by one of `LOOKED_AT`), the last first, each item once.

    The score is 1 / (1 + n), n the number of other items that they looked at later. Items looked at at one time, or
    where no order is known, come with those first that were recorded last.

    The masks, in this order: `unavailable`, `filtered`, `refused` (or bought for somebody else), `bought` (not
    before it was looked at), `excluded`.
    """
    looks = np.flatnonzero(np.isin(history.kind, [kind.code for kind in LOOKED_AT]))[::-1]
    _, newest = np.unique(history.item[looks], return_index=True)
    looks = looks[np.sort(newest)]
    viewed = history.item[looks]
    rules = (
        _not_showable(viewed, catalog, request)
        | {
            REFUSED: np.isin(viewed, history.items_of(_REFUSALS)),
            BOUGHT: _had_since(history, viewed, looks, len(bundle.items)),
        }
        | _left_out(viewed, bundle.items, request)
    )
    allowed, masked = _masked(rules, len(viewed))
    chosen = np.flatnonzero(allowed)[: request.limit]
    scores = np.rint(UNITS / (1.0 + chosen)) / UNITS
    items = _listed(bundle.items, "recently_viewed", viewed[chosen], scores, history.kind[looks[chosen]])
    nothing = "the history says of no item that the models know that it was looked at"
    return _answer(items, HISTORY, history, masked, request, "were looked at", None if len(viewed) else nothing)


def _had_since(history: History, viewed: Items, looks: npt.NDArray[np.int64], size: int) -> Flags:
    """Which viewed items were had when they were last looked at, or later."""
    later = (np.diff(history.timestamp, prepend=history.timestamp[:1]) != 0) | (
        np.diff(history.position, prepend=history.position[:1]) != 0
    )
    clock = np.cumsum(later)
    had = np.isin(history.kind, [kind.code for kind in _HAVING])
    last = np.full(size, -1, dtype=np.int64)
    last[history.item[had]] = clock[had]  # Ascending: the last one stays.
    return np.asarray(last[viewed] >= clock[looks])


def _not_showable(items: Items, catalog: Catalog, request: Request) -> dict[str, Flags]:
    """Which items may not be shown, and which a filter keeps out."""
    unavailable = {UNAVAILABLE: ~catalog.showable(request.now)[items]}
    return unavailable | ({FILTERED: ~request.where.lets(items)} if request.where is not None else {})


def _left_out(items: Items, ids: Vocabulary, request: Request) -> dict[str, Flags]:
    """Which items the request does not want."""

    def named(wanted: frozenset[str]) -> Flags:
        positions = ids.positions(sorted(wanted))
        return np.isin(items, positions[positions != UNKNOWN])

    return {EXCLUDED: named(request.exclude)} | ({ON_PAGE: named(request.on_page)} if request.on_page else {})


def _masked(rules: Mapping[str, Flags], size: int) -> tuple[Flags, dict[str, int]]:
    """What no rule leaves out, and how many each one does that none before it did."""
    allowed, counts = np.ones(size, dtype=np.bool_), {}
    for name, removes in rules.items():
        counts[name] = int(np.count_nonzero(allowed & removes))
        allowed &= ~removes
    return allowed, counts


def _newest_kinds(history: History, items: Items, kinds: tuple[EventKind, ...]) -> npt.NDArray[np.int8]:
    """The code of the newest event of these kinds on each item, ascending; every item has one."""
    rows = np.flatnonzero(np.isin(history.kind, [kind.code for kind in kinds]))[::-1]
    found, first = np.unique(history.item[rows], return_index=True)
    return history.kind[rows[first[np.searchsorted(found, items)]]]


def _listed(
    ids: Vocabulary, code: str, items: Items, scores: npt.NDArray[np.float64], kinds: npt.NDArray[np.int8]
) -> tuple[Recommendation, ...]:
    """Items that stand for themselves."""
    return tuple(
        Recommendation(
            item_id=ids[item],
            score=score,
            relevance=None,
            reason=Reason(code, (Evidence(ids[item], str(KIND_BY_CODE[kind]), score),)),
        )
        for item, score, kind in zip(items.tolist(), scores.tolist(), kinds.tolist(), strict=True)
    )


def _answer(
    items: tuple[Recommendation, ...],
    source: str,
    history: History,
    masked: dict[str, int],
    request: Request,
    what: str,
    nothing: str | None,
) -> Answer:
    """`what` all listed items have in common; `nothing` is why there are none, where the history has none."""
    unknown = UNKNOWN_CUSTOMER if not history.version else None
    short = None
    if len(items) < request.limit:
        removed = ", ".join(f"{count} {name}" for name, count in masked.items() if count)
        short = nothing or f"items that may be shown and {what}: {len(items)}" + (
            f" (left out: {removed})" if removed else ""
        )
    return Answer(items, (source,) if items else (), unknown, masked, short)
