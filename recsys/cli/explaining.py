"""What `bookmatch explain` tells: the service's own answer, and what it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson

from recsys.bundle import BundleRepository
from recsys.data.events import KIND_BY_CODE
from recsys.data.history import History
from recsys.data.signals import UNKNOWN_TIME
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import BundleError, InputError
from recsys.recommend.masks import EXCLUDED, FILTERED, SEEN, UNAVAILABLE, UNKNOWN_ITEM
from recsys.stores import open_store
from serving.http.app import SYSTEM_CLOCKS
from serving.http.asking import Asked, Moment, Person, for_person
from serving.http.filtering import FilterAsked
from serving.http.metrics import Metrics
from serving.http.problems import Problem
from serving.http.settings import Settings
from serving.http.state import open_state

FIRST = 300
"""Where an item would stand is looked for among so many."""


@dataclass(frozen=True, slots=True)
class TasteOf:
    """What one item of the history says.

    Attributes
    ----------
    strength : how much it counts.
    kind : of the event on it that weighs most.
    events : how many events there are on it among those that taste is read from.
    newest : of these, milliseconds UTC, or None.
    """

    item_id: str
    strength: float
    kind: str
    events: int
    newest: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Why an item is on a list, or why not.

    Attributes
    ----------
    place : from 1; None where it is not on the list.
    place_further : among the first `FIRST`, from 1; None where it is not even there.
    masked : `unknown`, `unavailable`, `filtered`, `seen` or `excluded`: the first mask that removes it; None where none
        does.
    because : what is behind this mask.
    score : what the history says of it, whether it is masked or not; None where that is nothing.
    parts : of each source's word, by the source's name; they sum to `score`.
    """

    item_id: str
    place: int | None
    place_further: int | None
    masked: str | None
    because: str | None
    score: float | None
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Report:
    """An answer and what it was made from.

    Attributes
    ----------
    answer : the body that the service answers with, parsed.
    events, unknown_items, earlier : of the history: events that taste is read from, events on items that the models do
        not know, and kinds of events on items before these.
    taste : what speaks, the loudest first.
    weights : of the sources, for a history of this length; those that are not asked are left out.
    standing : of the item that was asked about, or None.
    titles : of all items that are named, where they have one.
    """

    customer_id: str
    answer: dict[str, Any]
    events: int
    unknown_items: int
    earlier: int
    taste: Sequence[TasteOf]
    weights: Mapping[str, float]
    standing: Standing | None
    titles: Mapping[str, str]


async def explained_answer(
    settings: Settings,
    customer_id: str,
    limit: int,
    exclude: frozenset[str],
    item_id: str | None,
    placement: str = "default",
    filtered: FilterAsked | None = None,
) -> Report:
    """Asks as the service asks and answers as it answers. Raises StoreError and BundleError for a shop that cannot
    answer, InputError for an unknown placement and for a filter that does not fit."""
    shop = settings.shop
    store = open_store(shop.store, create=False)
    try:
        if BundleRepository(shop.models).current_id() is None:
            raise BundleError(f"no model is published in {shop.models}", remedy="train one with `bookmatch train`")
        # A cache of its own: the list is ranked as for the service's cache, and nobody else's is touched.
        async with open_state(replace(settings, redis_url=None, cache_size=1), Metrics(), SYSTEM_CLOCKS) as state:
            answerer = state.answerer
            try:
                moment = await answerer.moment(filtered)
            except Problem as error:
                raise BundleError(str(state.engines.trouble), remedy="train again with `bookmatch train`") from error
            spot = moment.engine.spots.get(placement)
            if spot is None:
                raise InputError(
                    f"there is no placement {placement!r}", expected=f"one of {', '.join(sorted(moment.engine.spots))}"
                )
            person = answerer.customer(moment, customer_id)
            try:
                where = answerer.where(moment, person, filtered, spot)
            except Problem as error:
                raise InputError(str(error)) from error
            asked = for_person("recommendations", moment, person, limit, exclude, spot=spot, where=where)
            ranked, note = await answerer.ranked(asked)
            answer = orjson.loads(answerer.body(asked, ranked, note))
        listed = [each["item_id"] for each in answer["items"]]
        standing = None if item_id is None else _standing(moment, person, asked, item_id, listed)
        tastes = _tastes(moment, person.history)
        named = {each.item_id for each in tastes} | set(listed) | ({item_id} if item_id is not None else set())
        rows = store.catalog.get(sorted(named)).select("item_id", "title").drop_nulls()
        return Report(
            customer_id,
            answer,
            len(person.history),
            person.history.unknown_items,
            len(person.history.earlier_item),
            tastes,
            spot.weights(person.history),
            standing,
            dict(rows.iter_rows()),
        )
    finally:
        store.close()


def _tastes(moment: Moment, history: History) -> list[TasteOf]:
    taste = moment.engine.recommender.taste(history)
    ids = moment.engine.bundle.items
    found = []
    for item, strength, kind in zip(taste.items.tolist(), taste.strengths.tolist(), taste.kinds.tolist(), strict=True):
        own = history.item == item
        newest = int(history.timestamp[own].max())
        known = None if newest == UNKNOWN_TIME else newest
        found.append(TasteOf(ids[item], strength, str(KIND_BY_CODE[kind]), int(np.count_nonzero(own)), known))
    return sorted(found, key=lambda each: (-each.strength, each.item_id))


def _standing(moment: Moment, person: Person, asked: Asked, item_id: str, listed: Sequence[str]) -> Standing:
    engine, history = moment.engine, person.history
    item = engine.bundle.items.position(item_id)
    if item == UNKNOWN:
        because = "it was not there when the models were trained, or nobody ever touched it"
        return Standing(item_id, None, None, UNKNOWN_ITEM, because, None, {})
    mask = _mask(moment, person, asked, item_id, item)
    request = replace(asked.request(), limit=FIRST)
    spot = asked.spot or engine.recommender
    order = spot.rank(history, engine.catalog, request, asked.rules).tolist()
    parts = spot.parts(history, item, moment.now)
    own = sum(part for source, part in parts.items() if source != "popular")
    return Standing(
        item_id,
        listed.index(item_id) + 1 if item_id in listed else None,
        order.index(item) + 1 if item in order else None,
        mask[0] if mask is not None else None,
        mask[1] if mask is not None else None,
        sum(parts.values()) if own > 0 else None,
        parts,
    )


def _mask(moment: Moment, person: Person, asked: Asked, item_id: str, item: int) -> tuple[str, str] | None:
    """The first mask that removes an item, and what is behind it; None where nothing does."""
    engine, history = moment.engine, person.history
    if not engine.catalog.showable(moment.now)[item]:
        return UNAVAILABLE, "the catalogue says that it is not available, not yet published or expired"
    spot = asked.spot or engine.recommender
    if asked.rules is not None and asked.rules.passing is not None and not asked.rules.passing[item]:
        own = "" if spot.placement.where is None else f"; the placement's is {spot.placement.where}"
        return FILTERED, f"a filter keeps it out{own}"
    taste = spot.taste(history)
    if item in taste.seen:
        codes = {
            *history.kind[history.item == item].tolist(),
            *history.earlier_kind[history.earlier_item == item].tolist(),
        }
        kinds = {KIND_BY_CODE[code] for code in codes} & spot.placement.mask_kinds
        return SEEN, ", ".join(sorted(map(str, kinds)))
    return (EXCLUDED, "the request excludes it") if item_id in asked.exclude else None
