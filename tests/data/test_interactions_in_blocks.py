"""Customers are compiled and weighed some at a time; how many at a time is not seen in the result."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import interactions as module
from recsys.data.events import EventKind
from recsys.data.interactions import EventTable, Interactions
from recsys.data.signals import UNKNOWN_TIME, EventWeights
from recsys.data.vocabulary import Vocabulary
from recsys.models.interest import fit_interest
from recsys.models.popularity import PopularityConfig, fit_popularity

KINDS = (EventKind.VIEW, EventKind.PURCHASE, EventKind.RETURN, EventKind.RATE, EventKind.NOT_INTERESTED)


def table(seed: int, events: int = 200, customers: int = 12, items: int = 9) -> EventTable:
    """Random events, some without time, position or rating; two customers and an item without any."""
    rng = np.random.default_rng(seed)

    def some(values: list[object]) -> list[object]:
        return [None if gone else value for value, gone in zip(values, rng.random(events) < 0.3, strict=True)]

    frame = pl.DataFrame(
        {
            "customer": pl.Series(rng.integers(0, customers - 2, events), dtype=pl.Int32),
            "item": pl.Series(rng.integers(0, items - 1, events), dtype=pl.Int32),
            "kind": pl.Series([KINDS[code].code for code in rng.integers(0, len(KINDS), events)], dtype=pl.Int8),
            "timestamp": pl.Series(some((rng.integers(0, 9, events) * 86_400_000).tolist()), dtype=pl.Int64),
            "position": pl.Series(some(rng.integers(0, 4, events).tolist()), dtype=pl.Int64),
            "quantity": pl.Series(rng.integers(1, 3, events), dtype=pl.Float32),
            "rating": pl.Series(some(rng.integers(1, 6, events).tolist()), dtype=pl.Float32),
        }
    )
    names = rng.permutation(customers)
    return EventTable(
        frame,
        pl.Series([f"ü{n}" if n % 2 else f"c{n}" for n in names], dtype=pl.String),
        pl.Series([f"i{n}" for n in rng.permutation(items)], dtype=pl.String),
    )


@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_events_are_in_order_whatever_the_block(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Customers by id, within a customer by time, position and the rest: what one sort of everything gives."""
    monkeypatch.setattr(module, "_BLOCK_EVENTS", size)
    told = table(1)
    customers, items = (Vocabulary.from_ids(ids) for ids in (told.customer_ids, told.item_ids))
    rows = sorted(
        (
            customers.position(told.customer_ids[c]),
            int(UNKNOWN_TIME) if t is None else t,
            int(UNKNOWN_TIME) if p is None else p,
            items.position(told.item_ids[i]),
            k,
            q,
            np.inf if r is None else r,
        )
        for c, i, k, t, p, q, r in told.events.iter_rows()
    )
    found = Interactions.from_events(told)
    rating = np.where(np.isnan(found.rating), np.inf, found.rating)
    columns = (found.row, found.timestamp, found.position, found.item, found.kind, found.quantity, rating)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == rows
    assert list(found.customers) == list(customers)
    assert list(found.items) == list(items)


@pytest.mark.parametrize("seed", range(3))
def test_tastes_do_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Tastes, pairs with a kind of event, popularity, and interest by day: the same bytes from blocks of one customer
    and of all."""
    found = []
    for size in (1, 50, 10**6):
        monkeypatch.setattr(module, "_BLOCK_EVENTS", size)
        told = Interactions.from_events(table(seed))
        tastes = told.tastes(EventWeights())
        popular = fit_popularity(told, EventWeights(), PopularityConfig())
        arrays = (tastes.indptr, tastes.item, tastes.strength, tastes.clock, popular.score, popular.count)
        by_day = fit_interest(told, EventWeights()).arrays().values()
        found.append([array.tobytes() for array in (*arrays, *by_day, told.pairs_with([EventKind.PURCHASE]))])
    assert found[0] == found[1] == found[2]


def test_pairs_with_a_kind_are_those_that_had_one() -> None:
    """One truth value per pair of `tastes`, true where any event of the customer on the item is of the kinds."""
    told = Interactions.from_events(table(5))
    wanted = {
        (row, item)
        for row, item, kind in zip(told.row.tolist(), told.item.tolist(), told.kind.tolist(), strict=True)
        if kind == EventKind.RATE.code
    }
    tastes = told.tastes(EventWeights())
    row = np.repeat(np.arange(len(told.customers)), np.diff(tastes.indptr))
    pairs = zip(row.tolist(), tastes.item.tolist(), told.pairs_with([EventKind.RATE]).tolist(), strict=True)
    assert {(r, i) for r, i, has in pairs if has} == wanted


def test_nothing_is_compiled_to_nothing() -> None:
    """A store without events has customers and items, and no tastes."""
    told = table(0)
    empty = Interactions.from_events(EventTable(told.events.clear(), told.customer_ids, told.item_ids))
    assert len(empty) == 0
    assert empty.tastes(EventWeights()).indptr.tolist() == [0] * 13
    nobody = Interactions.from_events(EventTable(told.events.clear(), told.customer_ids.clear(), told.item_ids.clear()))
    assert len(nobody.tastes(EventWeights()).item) == 0


@settings(max_examples=60, deadline=None)
@given(ids=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), unique=True, max_size=8))
def test_a_vocabulary_of_sorted_ids_is_the_vocabulary(ids: list[str]) -> None:
    """polars' order of texts is that of a vocabulary, for any script."""
    column = pl.Series("id", ids, dtype=pl.String).sort()
    one, two = Vocabulary.from_sorted(column), Vocabulary.from_ids(ids)
    assert list(one) == list(two) == column.to_list()
    assert (one.text.tobytes(), one.offsets.tolist()) == (two.text.tobytes(), two.offsets.tolist())
