"""Lists of what customers have not had: for them, like what they bought, by their authors, popular where they read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from recsys.data.events import EventKind
from recsys.data.history import History
from recsys.data.signals import MS_PER_DAY
from recsys.data.vocabulary import UNKNOWN
from recsys.models.related import Relation
from recsys.recommend.audience import speakers
from recsys.recommend.batch import rank_many
from recsys.recommend.crowd.crowd import Crowd
from recsys.recommend.crowd.own import newest_purchase
from recsys.recommend.crowd.picks import (
    HISTORY,
    NEW_FROM_AUTHOR,
    NONE,
    PICKED,
    POPULAR,
    POPULAR_IN_CATEGORY,
    SIMILAR,
    Flags,
    Items,
    Picks,
    begins,
    best_of_each,
    ends,
    keyed,
)
from recsys.recommend.relevance import relevance_of_rows
from recsys.recommend.types import Request

SPARE = 40
"""A list that is the same for many has so many more items than are wanted: some had them already."""


def for_you(crowd: Crowd, limit: int) -> Picks:
    """What `Recommender.recommend` lists, `limit` items for everybody who may see so many, with their relevance and the
    item of the history that speaks for each most."""
    histories, recommender = crowd.histories, crowd.recommender
    bundle = recommender.bundle
    blend = recommender.placement.blend(bundle.manifest.blend)
    lists = rank_many(bundle, histories, crowd.allowed, limit, crowd.threads, blend=blend, explained=True)
    lengths = np.diff(histories.strengths.indptr).astype(np.int64)
    relevance = relevance_of_rows(recommender.relevance, lists, recommender.popularity, lengths)
    there = np.arange(limit) < lists.counts[:, :1]
    row, place = np.nonzero(there)
    personal = place < lists.counts[row, 1]
    named = lists.named[row, place, 0]
    speaks = personal & (named >= 0)
    because = np.full(len(row), NONE, dtype=np.int32)
    because[speaks] = histories.strengths.indices[histories.strengths.indptr[row[speaks]] + named[speaks]]
    did = np.zeros(len(row), dtype=np.int8)
    did[speaks] = crowd.strongest_kinds(row[speaks], because[speaks])
    reason = np.where(personal, HISTORY, POPULAR)
    return Picks(row, lists.item[there], relevance[there], because, did, reason.astype(np.int8))


def because_you_bought(crowd: Crowd, limit: int, days: float) -> Picks:
    """What goes with the last thing that each customer bought within so many days, as `Recommender.related` says."""
    row, anchor = newest_purchase(crowd, days)
    lists = _Related(crowd, limit + SPARE)
    found = [lists.of(item) for item in anchor.tolist()]
    sizes = np.array([len(each) for each in found], dtype=np.int64)
    picks = Picks.of(
        np.repeat(row, sizes), _joined(found), SIMILAR, because=np.repeat(anchor, sizes), did=EventKind.PURCHASE.code
    )
    return crowd.listable(picks)


def new_from_authors(crowd: Crowd, days: float) -> Picks:
    """What was published within so many days by authors of whom the customer read something, in the order of
    `Recommender.recommend` among these items; `because` is what the customer had to do with most by that author."""
    recent = crowd.allowed & (crowd.catalog.published >= crowd.now - days * MS_PER_DAY)
    if "author" not in crowd.table.columns or not recent.any():
        return Picks.none()
    author = crowd.table.codes("author")
    new = np.flatnonzero(recent & (author >= 0))
    strengths = crowd.histories.strengths.tocoo()
    known = np.isin(author[strengths.col], author[new])
    row, code, had, strength = (
        strengths.row[known],
        author[strengths.col[known]],
        strengths.col[known],
        strengths.data[known],
    )
    # Of each customer and author the item with the most taste speaks.
    order = np.lexsort((had, -strength, code, row))
    pair = keyed(row[order], code[order], crowd.items)
    loudest = order[begins(pair)]
    by_author = new[np.argsort(author[new], kind="stable")]
    start = np.searchsorted(author[by_author], code[loudest], side="left")
    sizes = np.searchsorted(author[by_author], code[loudest], side="right") - start
    place = np.repeat(start - np.append(0, np.cumsum(sizes)[:-1]), sizes) + np.arange(sizes.sum())
    picks = Picks.of(
        np.repeat(row[loudest], sizes), by_author[place], NEW_FROM_AUTHOR, because=np.repeat(had[loudest], sizes)
    )
    picks = crowd.listable(picks)
    return _ranked(crowd, picks._replace(did=crowd.strongest_kinds(picks.row, picks.because)))


def popular_near_taste(crowd: Crowd, limit: int) -> Picks:
    """What is popular in the category that the customer's taste is for most, as `Recommender.recommend` lists it for
    somebody of whom nothing is known."""
    if "category" not in crowd.table.columns:
        return Picks.none()
    category = crowd.table.codes("category")
    strengths = crowd.histories.strengths.tocoo()
    code = category[strengths.col]
    known = code >= 0
    pair, at = np.unique(keyed(strengths.row[known], code[known], crowd.items), return_inverse=True)
    taste = np.bincount(at, weights=strengths.data[known], minlength=len(pair))
    row, code = np.divmod(pair, max(crowd.items, 1))
    order = np.lexsort((code, -np.rint(taste * 1e6), row))
    first = order[best_of_each(row[order], 1)]
    lists = {each: _popular(crowd, category == each, limit + SPARE) for each in np.unique(code[first]).tolist()}
    found = [lists[each] for each in code[first].tolist()]
    sizes = np.array([len(each) for each in found], dtype=np.int64)
    return crowd.listable(Picks.of(np.repeat(row[first], sizes), _joined(found), POPULAR_IN_CATEGORY))


def picked(crowd: Crowd, item_ids: Sequence[str]) -> Picks:
    """The same items for everybody, in this order."""
    items = crowd.recommender.bundle.items.positions(item_ids)
    items = items[items != UNKNOWN]
    row = np.repeat(np.arange(len(crowd), dtype=np.int64), len(items))
    return crowd.listable(Picks.of(row, np.tile(items, len(crowd)), PICKED))


def would_want(crowd: Crowd, item_id: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The customers for whom an item is personally recommended, and its score for each: as
    `recsys.recommend.audience.audience`. Raises UnknownItemError."""
    recommender, items = crowd.recommender, crowd.recommender.bundle.items
    item = items.position(item_id)
    names_it = speakers(recommender, item)
    rows = np.unique(crowd.interactions.row[names_it[crowd.interactions.item]])
    request = Request(limit=1, now=crowd.now, among=frozenset({item_id}))
    found = []
    for row in rows.tolist():
        history = _history(crowd, row)
        if not names_it[recommender.taste(history).items].any():
            continue
        answer = recommender.recommend(history, crowd.catalog, request)
        if answer.items and answer.fallback is None:
            found.append((row, answer.items[0].score))
    return np.array([row for row, _ in found], dtype=np.int64), np.array([score for _, score in found])


class _Related:
    """What goes with items, for as long as a crowd is served: many customers bought the same last."""

    def __init__(self, crowd: Crowd, limit: int) -> None:
        self.of = lru_cache(maxsize=None)(lambda item: self._made(crowd, limit, item))

    @staticmethod
    def _made(crowd: Crowd, limit: int, item: int) -> Items:
        recommender, items = crowd.recommender, crowd.recommender.bundle.items
        request = Request(limit=limit, now=crowd.now)
        answer = recommender.related(items[item], crowd.catalog, request, Relation.SIMILAR)
        return items.positions(each.item_id for each in answer.items)


def _popular(crowd: Crowd, among: Flags, limit: int) -> Items:
    """The most popular of some items, as somebody sees them of whom nothing is known."""
    recommender, items = crowd.recommender, crowd.recommender.bundle.items
    named = frozenset(items[position] for position in np.flatnonzero(among & crowd.allowed).tolist())
    if not named:
        return np.zeros(0, dtype=np.int32)
    return recommender.rank(History.empty(), crowd.catalog, Request(limit=limit, now=crowd.now, among=named))


def _ranked(crowd: Crowd, picks: Picks) -> Picks:
    """Each customer's items in the order in which the recommender lists them."""
    items = crowd.recommender.bundle.items
    rank = np.zeros(len(picks.row), dtype=np.int64)
    after = (np.flatnonzero(ends(picks.row)) + 1).tolist()
    for first, last in zip([0, *after], after, strict=False):
        own = slice(first, last)
        if own.stop - own.start == 1:
            continue
        among = frozenset(items[position] for position in picks.item[own].tolist())
        request = Request(limit=len(among), now=crowd.now, among=among)
        listed = crowd.recommender.rank(_history(crowd, int(picks.row[first])), crowd.catalog, request)
        place = {item: number for number, item in enumerate(listed.tolist())}
        rank[own] = [place.get(item, len(place)) for item in picks.item[own].tolist()]
    return picks.those(np.lexsort((picks.item, rank, picks.row)))


def _history(crowd: Crowd, row: int) -> History:
    """One customer's, as an answer reads it; what was masked longer ago the crowd knows."""
    return crowd.newest_events.history(row)


def _joined(parts: Sequence[Items]) -> Items:
    return np.concatenate([np.zeros(0, dtype=np.int32), *parts])
