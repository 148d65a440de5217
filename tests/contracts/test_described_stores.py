"""What every catalogue store and every customer store does, sentence by sentence of their protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from recsys.errors import InputError
from recsys.stores.protocols import CatalogStore, CustomerStore, Ingested, Store
from tests.contracts.plain_store import OpenStore, view

Row = dict[str, object]
Values = Mapping[str, st.SearchStrategy[object]]

texts = st.sampled_from([None, "", "x", "X", "0", "é"])
numbers = st.sampled_from([None, 0.0, 1.0, 1.5, 1e300])
moments = st.sampled_from([None, 0, -1, 1, 2**63 - 1])
ITEM_VALUES: Values = {
    "title": texts,
    "author": texts,
    "category": texts,
    "price": numbers,
    "currency": texts,
    "available": st.sampled_from([None, True, False]),
    "published": moments,
    "expires": moments,
    "attributes": st.sampled_from([None, '{"pages": 3}']),
}
CUSTOMER_VALUES: Values = {"account_id": texts, "attributes": st.sampled_from([None, '{"city": "Turin"}'])}


@dataclass(frozen=True)
class Part:
    """One of the two stores and how to talk about it."""

    of: Callable[[Store], CatalogStore | CustomerStore]
    schema: Mapping[str, pl.DataType]
    values: Values

    @property
    def key(self) -> str:
        """The column of ids."""
        return next(iter(self.schema))

    def frame(self, *rows: Row) -> pl.DataFrame:
        """The rows as a frame in the store's schema; what a row leaves out is null."""
        return pl.DataFrame(list(rows), schema=self.schema)

    def rows(self) -> st.SearchStrategy[Row]:
        """Rows of few ids, most of them null: equal rows and rows that differ by a null are common."""
        filled = st.fixed_dictionaries({}, optional=dict(self.values))
        ids = st.sampled_from(["a", "b", "01", "ü/"])
        return st.tuples(ids, filled).map(lambda pair: {self.key: pair[0], **pair[1]})


PARTS = {
    "items": Part(lambda store: store.catalog, ITEM_SCHEMA, ITEM_VALUES),
    "customers": Part(lambda store: store.customers, CUSTOMER_SCHEMA, CUSTOMER_VALUES),
}


@pytest.fixture(scope="session", params=PARTS.values(), ids=PARTS.keys())
def part(request: pytest.FixtureRequest) -> Part:
    """Both parts run the same tests."""
    return request.param


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_put_agrees_with_a_dictionary(
    fresh: Callable[[], AbstractContextManager[OpenStore]], part: Part, data: st.DataObject
) -> None:
    """Whole rows replace each other, the last of a frame counts, and the counts and the version tell what changed."""
    plain: dict[object, Row] = {}
    empty: Row = dict.fromkeys(part.schema)
    with fresh() as opened:
        store = opened()
        for rows in data.draw(st.lists(st.lists(part.rows(), max_size=6), min_size=1, max_size=4)):
            version = store.catalog.version()
            last = {row[part.key]: empty | row for row in rows}
            added = sum(key not in plain for key in last)
            changed = sum(key in plain and plain[key] != row for key, row in last.items())
            plain |= last
            assert part.of(store).put(part.frame(*rows)) == Ingested(added, len(rows) - added - changed, changed)
            assert (store.catalog.version() > version) == (part is PARTS["items"] and added + changed > 0)
            assert (store.catalog.version() == version) or added + changed
        expected = part.frame(*(plain[key] for key in sorted(plain, key=str)))
        assert part.of(store).read().equals(expected)
        assert part.of(store).read().schema == expected.schema
        assert part.of(opened()).read().equals(expected)


def test_get_hands_out_known_rows_once_ordered_by_id(store: Store, part: Part) -> None:
    """Ids without a row are left out, repeated ids come once, and impossible ids find nothing."""
    part.of(store).put(part.frame(*({part.key: key} for key in ("b", "a", "ü/", "01", "A"))))
    found = part.of(store).get(["b", "nobody", "ü/", "b", "\ud800", "\0", ""])
    assert found[part.key].to_list() == ["b", "ü/"]
    assert dict(found.schema) == dict(part.schema)
    nothing = part.of(store).get([])
    assert nothing.height == 0
    assert dict(nothing.schema) == dict(part.schema)


def test_get_takes_many_ids(store: Store, part: Part) -> None:
    """There is no limit on how many ids are asked for at once, and the order is that of their UTF-8 bytes."""
    keys = [f"{number}-é"[::-1] for number in range(25_000)]
    assert part.of(store).put(part.frame(*({part.key: key} for key in keys))) == Ingested(25_000, 0)
    found = part.of(store).get(list(reversed(keys)))
    assert found[part.key].to_list() == sorted(keys)
    assert part.of(store).read().equals(found)


def test_ids_seen_in_events_only_have_no_row(store: Store, part: Part) -> None:
    """An event alone describes nobody; a later row for the same id is new and the events stay with it."""
    store.events.append([view("e1", item_id="x", customer_id="x")])
    assert part.of(store).read().height == 0
    assert part.of(store).get(["x"]).height == 0
    assert part.of(store).put(part.frame({part.key: "x"})) == Ingested(1, 0)
    assert part.of(store).put(part.frame({part.key: "x"})) == Ingested(0, 1)
    assert part.of(store).get(["x"])[part.key].to_list() == ["x"]
    table = store.events.read()
    assert (table.customer_ids.to_list(), table.item_ids.to_list()) == (["x"], ["x"])
    assert len(store.histories.get("x", 9).rows) == 1


def test_events_do_not_change_the_catalogue_version(store: Store) -> None:
    """A new item in an event is no change of the catalogue."""
    before = store.catalog.version()
    store.events.append([view("e1")])
    assert store.catalog.version() == before


def test_bad_frames_are_refused_whole(store: Store, part: Part) -> None:
    """A frame of another shape, or with an id that is null, empty, overlong or not text, leaves nothing."""
    good = part.frame({part.key: "good"})
    bad = [
        good.drop(part.schema.keys() - {part.key}),
        good.with_columns(extra=pl.lit(1)),
        *(pl.concat([good, part.frame({part.key: key})]) for key in (None, "", "x" * 257, "a\0")),
        pl.concat([good, part.frame({part.key: "b", "attributes": "\0"})]),
    ]
    for frame in bad:
        with pytest.raises(InputError):
            part.of(store).put(frame)
    assert part.of(store).read().height == 0


def test_infinite_prices_are_refused(store: Store) -> None:
    """A price that is not finite is bad input."""
    with pytest.raises(InputError, match="price"):
        store.catalog.put(PARTS["items"].frame({"item_id": "a", "price": float("nan")}))


def test_a_sample_is_of_customers_who_are_there(store: Store) -> None:
    """Customers with a row or an event are drawn, each once; one seed draws the same again, another one others."""
    store.customers.put(pl.DataFrame([{"customer_id": "row"}], schema=CUSTOMER_SCHEMA))
    store.events.append([view(f"e{number}", customer_id=f"c{number}") for number in range(40)])
    store.profiles.merge("c0", "c1", at=0)
    everybody = {"row", *(f"c{number}" for number in range(1, 40))}
    assert sorted(store.customers.sample(100, 0)) == sorted(everybody)
    some = store.customers.sample(10, 0)
    assert some == store.customers.sample(10, 0)
    assert len(set(some)) == 10
    assert len({tuple(sorted(store.customers.sample(10, seed))) for seed in range(20)}) > 1
    assert store.customers.sample(0, 0) == []
