"""What is known of items and customers, and from where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from tests.training.evaluation.divided_worlds import BUY, DAY, VIEW, Row, rules, timed
from training.evaluation.facts import CATEGORY, FEATURES, MARGIN, POPULARITY, REVENUE, Facts, facts_of
from training.evaluation.held_out import HeldOut, hold_out
from training.evaluation.protocols import cut_in_time

NO_ITEMS = pl.Series("item_id", [], dtype=pl.String)
HISTORY: list[Row] = [
    ("ann", "a", BUY, 1),
    ("ann", "a", BUY, 2),
    ("ann", "b", VIEW, 2),
    ("bob", "a", BUY, 3),
    ("bob", "b", BUY, 4),
    ("ann", "b", BUY, 11),
    ("ann", "new", BUY, 12),
    ("bob", "c", BUY, 12),
    ("eve", "a", BUY, 13),
    ("cat", "c", BUY, 5),
]


def items(**attributes: Mapping[str, Any]) -> pl.DataFrame:
    """A catalogue: id → columns, of which those that the schema lacks are attributes."""
    rows = [
        {"item_id": item, **{name: value for name, value in known.items() if name in ITEM_SCHEMA}}
        | {"attributes": orjson.dumps({n: v for n, v in known.items() if n not in ITEM_SCHEMA}).decode()}
        for item, known in attributes.items()
    ]
    return pl.DataFrame(rows, schema=ITEM_SCHEMA)


def known(
    catalogue: pl.DataFrame, customers: Mapping[str, Mapping[str, Any]] | None = None, prices: Mapping[int, float] = {}
) -> tuple[HeldOut, Facts]:
    """The facts on the tenth day; `prices` are of the rows of the history that have one."""
    rows = timed(HISTORY).with_columns(
        pl.Series("price", [prices.get(place) for place in range(len(HISTORY))], dtype=pl.Float64)
    )
    part = cut_in_time(rows, 10 * DAY, [BUY]).test
    held_out = hold_out(part, rules(), NO_ITEMS)
    told = [
        {"customer_id": name, "attributes": orjson.dumps(each).decode()} for name, each in (customers or {}).items()
    ]
    return held_out, facts_of(held_out, part.rows, catalogue, pl.DataFrame(told, schema=CUSTOMER_SCHEMA))


def by_item(held_out: HeldOut, values: Any) -> dict[str, Any]:
    """Of each candidate."""
    return dict(zip(held_out.training.items, values.tolist(), strict=True))


def test_popularity_and_histories_are_of_before_the_cut() -> None:
    """Customers count once, views do not count as sales, and what happens after the cut changes nothing."""
    held_out, facts = known(items())
    assert by_item(held_out, facts.items.count) == {"a": 2, "b": 1, "c": 1}
    assert facts.items.customers == 3
    assert by_item(held_out, facts.items.first_seen) == {"a": DAY, "b": 2 * DAY, "c": 5 * DAY}
    # Ann looked at b and bought a; eve is new.
    assert dict(zip(held_out.customer_ids, facts.customers.history.tolist(), strict=True)) == {
        "ann": 2,
        "bob": 2,
        "eve": 0,
    }
    assert POPULARITY not in facts.not_applicable


def test_prices_are_the_catalogue_s_else_what_was_paid_before_the_cut() -> None:
    """The median of it; what was paid after the cut is of the test."""
    held_out, facts = known(
        items(b={"price": 7.0}, new={"price": 3.0}), prices={0: 1.0, 1: 9.0, 3: 2.0, 4: 8.0, 9: 4.0, 7: 99.0}
    )
    assert facts.items.price is not None
    assert by_item(held_out, facts.items.price) == {"a": 2.0, "b": 7.0, "c": 4.0}
    assert facts.items.price_of["new"] == 3.0


def test_prices_in_two_currencies_are_not_added_up() -> None:
    """Then there is no revenue, and the cause names both."""
    _, facts = known(items(a={"price": 1.0, "currency": "EUR"}, b={"price": 1.0, "currency": "USD"}))
    assert facts.items.price is None
    assert "EUR, USD" in facts.not_applicable[REVENUE]


def test_a_margin_is_told_or_follows_from_a_cost() -> None:
    """The attribute `margin`, else the price less the attribute `cost`."""
    held_out, facts = known(items(a={"price": 5.0, "cost": 2.0}, b={"margin": "1.5", "price": 9.0, "cost": 1.0}))
    assert facts.items.margin is not None
    found = by_item(held_out, facts.items.margin)
    assert (found["a"], found["b"], np.isnan(found["c"])) == (3.0, 1.5, True)


@pytest.mark.parametrize("text", ["inf", "-inf", "NaN", "1e308", "much"])
def test_a_margin_that_is_no_amount_is_none(text: str) -> None:
    """One such item would make the margin of every list infinite; its cost still says what it brings."""
    _, facts = known(items(a={"margin": text, "price": 5.0, "cost": 2.0}, b={"price": 3.0, "cost": text}))
    assert facts.items.margin_of == {"a": 3.0}


def test_categories_are_the_topmost_in_equal_shares() -> None:
    """Of `X > Y | Z` half is X and half is Z; a customer's mix is that of the items they bought."""
    held_out, facts = known(items(a={"category": "X > Y|Z"}, b={"category": "Z"}, c={"category": "Z > W"}))
    assert facts.items.category_names == ("x", "z")
    assert facts.items.category is not None
    assert facts.customers.mix is not None
    assert by_item(held_out, facts.items.category.toarray()) == {"a": [0.5, 0.5], "b": [0.0, 1.0], "c": [0.0, 1.0]}
    # Ann bought a twice, which is one item; bob a and b; eve nothing.
    assert facts.customers.mix.toarray().tolist() == [[0.5, 0.5], [0.5, 1.5], [0.0, 0.0]]


def test_what_hardly_any_item_has_is_not_applicable() -> None:
    """And the cause says how much is known: c has a seventh of the events."""
    _, facts = known(items(c={"category": "X", "author": "Ann Bee", "price": 1.0, "margin": 1.0}))
    assert set(facts.not_applicable) == {CATEGORY, FEATURES, REVENUE, MARGIN}
    assert facts.not_applicable[CATEGORY] == "only 17% of the events of training are on items with a known category"
    assert (facts.items.price, facts.items.margin, facts.items.category, facts.items.features) == (None,) * 4
    assert known(items())[1].not_applicable[CATEGORY] == "no item has a known category"


def test_attributes_are_values_that_divide_customers() -> None:
    """In the order of the scored customers; texts as labels; what is a list or an object is left out."""
    _, facts = known(items(), {"eve": {"Tier": "Gold  Plus", "tags": ["x"], "age": 7}, "nobody": {"tier": 1}})
    assert facts.customers.attributes == {"Tier": [None, None, "gold plus"], "age": [None, None, 7]}


@pytest.mark.parametrize("later", ["b", "zzz"])
def test_no_fact_depends_on_the_test(later: str) -> None:
    """Whatever is bought after the cut, and for whatever price, the facts of items stay the same."""
    rows = timed([*HISTORY, ("dan", later, BUY, 14)]).with_columns(pl.lit(123.0).alias("price"))
    part = cut_in_time(rows, 10 * DAY, [BUY]).test
    held_out = hold_out(part, rules(), NO_ITEMS)
    facts = facts_of(held_out, part.rows, items(), pl.DataFrame(schema=CUSTOMER_SCHEMA))
    assert by_item(held_out, facts.items.count) == {"a": 2, "b": 1, "c": 1}
