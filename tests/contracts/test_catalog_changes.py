"""What changed in a catalogue since a version of it, sentence by sentence of `CatalogStore`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.catalog import ITEM_SCHEMA, UNREAD, Catalog, CatalogChanges
from recsys.data.vocabulary import Vocabulary
from recsys.stores.protocols import Ingested, Store
from tests.contracts.plain_store import OpenStore, view
from tests.contracts.test_described_stores import ITEM_VALUES

Row = dict[str, object]
IDS = ["01", "a", "b", "c", "ü/"]
UNHEARD = "unheard of"

items = st.sampled_from(IDS)
rows = st.lists(
    st.tuples(items, st.fixed_dictionaries({}, optional=dict(ITEM_VALUES))).map(
        lambda pair: {"item_id": pair[0], **pair[1]}
    ),
    max_size=4,
)
moves = st.one_of(
    st.tuples(st.just("put"), rows),
    st.tuples(st.just("put"), rows),
    st.tuples(st.just("remove"), st.lists(st.sampled_from([*IDS, UNHEARD, "\ud800", "a"]), max_size=4)),
    st.tuples(st.just("event"), items),
)


def frame(*given_rows: Row) -> pl.DataFrame:
    """The rows as a frame of items."""
    return pl.DataFrame(list(given_rows), schema=ITEM_SCHEMA)


class PlainCatalog:
    """The oracle: the whole state after each version."""

    def __init__(self) -> None:
        self.here: set[str] = set()
        self.rows: dict[str, Row] = {}
        self.removed: set[str] = set()
        self.states: dict[int, tuple[dict[str, Row], set[str]]] = {}

    def put(self, given_rows: list[Row]) -> None:
        """Whole rows; the last of a call counts."""
        for row in given_rows:
            key = str(row["item_id"])
            self.here.add(key)
            self.rows[key] = dict.fromkeys(ITEM_SCHEMA) | row
            self.removed.discard(key)

    def remove(self, ids: list[str]) -> list[bool]:
        """True for each that was there and is gone now."""
        gone = []
        for key in ids:
            gone.append(key in self.here and key not in self.removed)
            if gone[-1]:
                self.rows.pop(key, None)
                self.removed.add(key)
        return gone

    def kept_at(self, version: int) -> None:
        """Remembers what there is as the state of a version."""
        self.states[version] = dict(self.rows), set(self.removed)

    def differences(self, since: int) -> tuple[set[str], set[str]]:
        """Ids whose rows, and ids whose removal, must be told since a version, as they ended up differently."""
        before_rows, before_removed = self.states.get(since, ({}, set()))
        changed = {key for key, row in self.rows.items() if before_rows.get(key) != row}
        return changed, self.removed - before_removed


@settings(max_examples=120, deadline=None)
@given(
    sequence=st.lists(moves, min_size=1, max_size=10),
    known=st.sets(st.sampled_from([*IDS, "z"]), min_size=1),
    later=st.sets(st.sampled_from([*IDS, "z"])),
)
def test_changes_lead_from_any_version_to_the_newest(
    fresh: Callable[[], AbstractContextManager[OpenStore]],
    sequence: list[tuple],
    known: set[str],  # type: ignore[type-arg]
    later: set[str],
) -> None:
    """Against an oracle that keeps all states: from every earlier version the changes hold what differs, each with the
    row of now; and a catalogue that is kept up by them is the one that is read whole, masks and all. So is one that
    moves to another vocabulary and reads what there is of items that it did not have."""
    plain, names, others = PlainCatalog(), Vocabulary.from_ids(known), Vocabulary.from_ids(later)
    origins, new = names.positions(others), sorted(later - known)
    with fresh() as opened:
        store, other = opened(), opened()
        plain.kept_at(0)
        kept = {0: Catalog.of(other.catalog.changes(UNREAD), names)}
        for number, (what, how) in enumerate(sequence):
            for catalog in kept.values():
                catalog.showable(0)
            if what == "put":
                store.catalog.put(frame(*how))
                plain.put(how)
            elif what == "remove":
                assert store.catalog.remove(how) == plain.remove(how)
            else:
                store.events.append([view(f"e{number}", item_id=how)])
                plain.here.add(how)
            version = store.catalog.version()
            plain.kept_at(version)
            for since in [UNREAD, *plain.states]:
                changes = other.catalog.changes(since)
                changed, removed = plain.differences(since)
                assert changes.version == version
                assert changes.items.equals(frame(*(plain.rows[key] for key in changes.items["item_id"])))
                assert changed <= set(changes.items["item_id"])
                assert removed <= set(changes.removed) <= plain.removed
            assert set(other.catalog.changes(UNREAD).items["item_id"]) == set(plain.rows)
            assert list(other.catalog.changes(UNREAD).removed) == sorted(plain.removed)
            assert_none_changed(other.catalog.changes(version))
            for since, each in kept.items():
                changes = other.catalog.changes(since, None, new)
                assert changes is not None
                told = [*changes.items["item_id"], *changes.removed]
                assert len(set(told)) == len(told)
                assert changes.items["item_id"].is_sorted()
                assert_same(each.moved(origins).with_changes(changes, others), plain, others, version)
            # One that followed every step, and one that read all at once now and then.
            kept = {since: each.with_changes(other.catalog.changes(since), names) for since, each in kept.items()}
            for catalog in kept.values():
                assert_same(catalog, plain, names, version)
            kept = {version: next(iter(kept.values()))}


def assert_none_changed(changes: CatalogChanges) -> None:
    """Nothing is told twice."""
    assert (changes.items.height, list(changes.removed)) == (0, [])


def assert_same(catalog: Catalog, plain: PlainCatalog, names: Vocabulary, version: int) -> None:
    """The catalogue is what the rows say, item by item and moment by moment."""
    bounds = np.iinfo(np.int64)
    assert catalog.version == version
    whole = Catalog.from_items(frame(*plain.rows.values()), names, version)
    for name in ("published", "expires", "appearances", "expiries"):
        assert np.array_equal(getattr(catalog, name), getattr(whole, name)), name
    for now in (bounds.min + 1, -1, 0, 1, 2, bounds.max - 1):
        expected = []
        for position, key in enumerate(names):
            row = plain.rows.get(key, {})
            first, last = row.get("published"), row.get("expires")
            expected.append(
                key not in plain.removed
                and row.get("available") is not False
                and (first is None or first <= now)
                and (last is None or now < last)
            )
            assert (catalog.hidden_because(position, now) is None) == expected[-1]
        assert catalog.showable(now).tolist() == expected
        assert catalog.hidden(now) == expected.count(False)


def test_more_changes_than_are_wanted_are_not_read(store: Store) -> None:
    """None above the bound, and at the bound all of them; removals count, items known from events alone do not."""
    store.events.append([view(f"e{number}", item_id=f"seen{number}") for number in range(5)])
    store.catalog.put(frame({"item_id": "a"}, {"item_id": "b"}, {"item_id": "c"}))
    store.catalog.remove(["c"])
    for since in (UNREAD, 0):
        assert store.catalog.changes(since, 2) is None
        changes = store.catalog.changes(since, 3)
        assert changes is not None
        assert (changes.items["item_id"].to_list(), list(changes.removed)) == (["a", "b"], ["c"])
    assert store.catalog.changes(1, 0) is None
    assert store.catalog.changes(2, 0) is not None


def test_a_removed_item_has_no_row_and_a_later_one_brings_it_back(store: Store) -> None:
    """Nothing of the old row is left, and the events are; putting it again adds it."""
    row = {"item_id": "a", "title": "A", "price": 3.0, "attributes": '{"pages":3}'}
    store.events.append([view("e1", item_id="a")])
    store.catalog.put(frame(row))
    assert store.catalog.remove(["a", "a", "nobody"]) == [True, False, False]
    assert store.catalog.read().height == store.catalog.get(["a"]).height == 0
    assert len(store.histories.get("ann", 9).rows) == 1
    assert store.catalog.remove(["a"]) == [False]
    assert store.catalog.put(frame({"item_id": "a"})) == Ingested(added=1, known=0)
    assert store.catalog.get(["a"]).equals(frame({"item_id": "a"}))
    assert list(store.catalog.changes(UNREAD).removed) == []


def test_what_a_transaction_takes_back_is_no_change(opened: OpenStore) -> None:
    """Rows, removals and versions go together, and nobody sees them before."""
    store, other = opened(), opened()
    store.catalog.put(frame({"item_id": "a"}))

    def stop() -> None:
        with store.transaction():
            store.catalog.remove(["a"])
            store.catalog.put(frame({"item_id": "b"}))
            assert store.catalog.version() == 3
            assert_none_changed(other.catalog.changes(1))
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        stop()
    for each in (store, other):
        assert each.catalog.version() == 1
        assert_none_changed(each.catalog.changes(1))
        assert each.catalog.read()["item_id"].to_list() == ["a"]
    other.catalog.put(frame({"item_id": "b"}))
    assert store.catalog.changes(1).items["item_id"].to_list() == ["b"]


def test_changes_are_one_state_while_others_write(opened: OpenStore) -> None:
    """A reader that goes from version to version never misses a row: each put counts its own version up."""
    writer, reader = opened(), opened()
    last = 150

    def write() -> None:
        for number in range(1, last + 1):
            writer.catalog.put(
                frame({"item_id": "a", "price": float(number)}, {"item_id": f"n{number % 7}", "price": float(number)})
            )

    price: dict[str, float] = {}
    version = 0
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while version < last:
            changes = reader.catalog.changes(version)
            price |= dict(changes.items.select("item_id", "price").iter_rows())
            version = changes.version
            assert price.get("a", 0.0) == version
            assert price.get(f"n{version % 7}", 0.0) == version
        writing.result()
    assert price == dict(reader.catalog.read().select("item_id", "price").iter_rows())


def test_a_catalogue_shares_what_stayed_the_same() -> None:
    """A new price costs nothing; a sell-out copies availability alone, and the mask that is known stays known."""
    names = Vocabulary.from_ids(IDS)
    first = Catalog.from_items(frame({"item_id": "a", "published": 5}), names, 1)
    first.showable(7)
    price = first.with_changes(CatalogChanges(frame({"item_id": "a", "published": 5, "price": 2.0}), [], 2), names)
    assert (price.version, price.showable(7) is first.showable(7)) == (2, True)
    sold = price.with_changes(CatalogChanges(frame({"item_id": "b", "available": False}), [], 3), names)
    assert (sold.published is first.published, sold.appearances is first.appearances) == (True, True)
    assert (first.hidden(7), sold.hidden(7), first.gained(sold), sold.gained(first)) == (0, 1, True, False)


Dates = tuple[int | None, int | None]
DATES: list[Dates] = [(None, None), (5, None), (None, 9), (5, 9)]


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(DATES, 2)))
def test_dates_that_reach_further_gain_an_item(before: Dates, after: Dates) -> None:
    """An earlier publication or a later expiry; never for an item that is not available at all."""
    names = Vocabulary.from_ids(["a"])

    def catalog(dates: Dates, available: bool) -> Catalog:
        row = {"item_id": "a", "available": available, "published": dates[0], "expires": dates[1]}
        return Catalog.from_items(frame(row), names, 1)

    shown = [{now for now in range(12) if catalog(dates, True).showable(now)[0]} for dates in (before, after)]
    assert catalog(after, True).gained(catalog(before, True)) == bool(shown[1] - shown[0])
    assert not catalog(after, False).gained(catalog(before, True))
