"""Facts as of a moment: what they see, and what they do not."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys.customers import FACTS_SCHEMA, CustomerRules, Unit
from recsys.customers.attention import Care, to_look_after
from recsys.customers.rules import Tier, ValueRules
from tests.customers.shops import AS_OF, DAY, ago, bought, frame, shop, told

MONEY = ("monetary", "order_value", "lifetime_value")

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "cid"]),
        st.sampled_from(["book", "map"]),
        st.sampled_from(["purchase", "purchase", "return", "share", "review", "email_sent", "impression"]),
        st.integers(-40, 400),
        st.integers(0, 20),
    ),
    max_size=30,
)


def events_of(rows: list[tuple[str, str, str, int, int]]) -> pl.DataFrame:
    """Events as hypothesis draws them; days below 0 are to come."""
    return frame([bought(who, days, float(price), item_id=item, kind=kind) for who, item, kind, days, price in rows])


@given(EVENTS)
@settings(max_examples=40)
def test_what_comes_later_is_not_seen(rows: list[tuple[str, str, str, int, int]]) -> None:
    """With or without the events of the moment and after, the facts are the same."""
    events = events_of(rows)
    before = told(events.filter(pl.col("timestamp") < AS_OF))
    found = told(events)
    assert_frame_equal(found.table, before.table)
    assert dict(found.table.schema) == FACTS_SCHEMA
    for moment in (AS_OF - 30 * DAY, AS_OF - 200 * DAY):
        assert_frame_equal(told(events, moment).table, told(events.filter(pl.col("timestamp") < moment), moment).table)


@given(EVENTS)
@settings(max_examples=40)
def test_numbers_are_never_below_zero(rows: list[tuple[str, str, str, int, int]]) -> None:
    """Whatever is brought back: frequencies, amounts and days; and first is no later than last."""
    table = told(events_of(rows)).table
    numbers = table.select("frequency", "monetary", "order_value", "recency_days", "first_days", "unserved_days")
    assert all(value >= 0 for column in numbers for value in column.drop_nulls())
    assert (table["frequency"] > 0).to_list() == table["recency_days"].is_not_null().to_list()
    assert (table["first_days"] >= table["recency_days"]).fill_null(value=True).all()


def test_another_unit_of_money_changes_amounts_alone() -> None:
    """Scores, segments and probabilities stay; amounts are a thousand times as large, lifetime values too."""
    events = shop()
    euros = told(events)
    other = told(events.with_columns(pl.col("price") * 1000))
    assert euros.value.spending is not None
    assert_frame_equal(euros.table.drop(MONEY), other.table.drop(MONEY))
    for name in MONEY:
        scaled = other.table[name] / 1000
        assert_frame_equal(euros.table.select(name), scaled.to_frame(), rel_tol=1e-3)


def test_two_ids_of_one_person_are_the_union_of_their_events() -> None:
    """Under one id, whatever was done under which; what one bought and the other returned is taken off."""
    rows = [bought("ann", 50), bought("visitor", 20), bought("visitor", 20, kind="share")]
    rows += [bought("visitor", 10, kind="return")]
    together = told(frame([row | {"customer_id": "ann"} for row in rows])).table.row(0, named=True)
    assert (together["frequency"], together["recency_days"], together["shares"]) == (1, 50, 1)


def test_a_row_by_hand() -> None:
    """Every plain column of one customer."""
    rows = [
        bought("ann", 100, 8.0, quantity=2.0),
        bought("ann", 100, 4.0, item_id="map"),
        bought("ann", 30, 10.0, item_id="vase"),
        *(bought("ann", 29, None, item_id=item, kind="ignore_for_recommendations") for item in ("vase", "vase", "elk")),
        bought("ann", 20, 5.0, item_id="pen"),
        bought("ann", 19, 5.0, item_id="pen", kind="return"),
        bought("ann", 18, kind="share"),
        bought("ann", 7, kind="email_sent", item_id=None),
        bought("bob", 5),
    ]
    ann, bob = told(frame(rows)).table.to_dicts()
    assert {name: ann[name] for name in ("recency_days", "first_days", "frequency", "monetary", "order_value")} == {
        "recency_days": 30,
        "first_days": 100,
        "frequency": 2,
        "monetary": 30.0,
        "order_value": 15.0,
    }
    assert (ann["gifts"], ann["shares"], ann["advocate"], ann["unserved_days"]) == (1, 1, True, 7)
    assert (bob["gifts"], bob["advocate"], bob["unserved_days"], bob["members"]) == (0, False, 5, 1)


def test_an_account_is_its_members_together() -> None:
    """Two who share one are one row, addressed is who bought last, and one brings back what the other bought."""
    accounts = {"ann": "home", "bob": "home"}
    rows = [bought("ann", 50, 3.0), bought("ann", 40, 3.0), bought("bob", 9, 5.0), bought("home", 2, 7.0)]
    rows += [bought("ann", 1, kind="return")]
    found = told(frame(rows), accounts=accounts, unit=Unit.ACCOUNT).table
    assert found.select("customer_id", "account_id", "members", "frequency", "monetary").rows() == [
        ("bob", "home", 2, 2, 6.0),
        ("home", None, 1, 1, 7.0),
    ]


@given(EVENTS)
@settings(max_examples=25)
def test_an_account_of_one_is_that_customer(rows: list[tuple[str, str, str, int, int]]) -> None:
    """Nothing differs where nobody shares anything."""
    events = events_of(rows)
    own: Mapping[str, str] = {}
    assert_frame_equal(told(events).table, told(events, accounts=own, unit=Unit.ACCOUNT).table)


def test_values_follow_the_rules() -> None:
    """Half the margin is half the value; discounting takes some off; a longer view adds; buying once says nothing of
    being a customer still."""
    events = shop()

    def worth(**said: float) -> pl.Series:
        rules = CustomerRules(value=ValueRules(**said))  # type: ignore[arg-type]
        return told(events, rules=rules).table["lifetime_value"]

    plain = worth(discount=0.0)
    assert (worth(discount=0.0, margin=0.5) * 2).to_list() == plain.to_list()
    assert (worth(discount=0.2) < plain).all()
    assert (worth(discount=0.0, months=24) > plain).all()
    table = told(events, rules=CustomerRules(value=ValueRules(discount=0.0))).table
    assert (table["frequency"] == 1).to_list() == table["alive"].is_null().to_list()
    assert table["alive"].drop_nulls().is_between(0, 1).all()
    assert (table["expected_purchases"] > 0).all()


def test_too_few_repeat_buyers_are_said() -> None:
    """With the figure, and nothing is made up."""
    found = told(frame([bought("ann", 90), bought("ann", 30), bought("bob", 20)]))
    assert found.value.buying is None
    assert "1 customers bought again, at least 50 are needed" in found.value.notes[0]
    for name in ("alive", "expected_purchases", "lifetime_value"):
        assert found.table[name].null_count() == 2


def test_a_short_history_is_said() -> None:
    """Sixty repeat buyers within three weeks are no history."""
    rows = [bought(f"c{one}", days) for one in range(60) for days in (20, 5)]
    assert "go back 20 days, at least 28 are needed" in told(frame(rows)).value.notes[0]


def test_amounts_that_go_along_with_frequency_are_said() -> None:
    """With the correlation: the model takes the two as independent."""
    events = shop()
    often = events.with_columns(price=pl.col("price") * pl.len().over("customer_id"))
    notes = told(often).value.notes
    assert any("goes along with how often they buy (correlation +0." in note for note in notes)
    assert not any("goes along" in note for note in told(events).value.notes)


def test_customers_who_are_all_alike_are_said() -> None:
    """No spread to learn from: the values are those of the limit where all are alike."""
    rows = [bought(f"c{one}", days, 10.0 + days % 3) for one in range(80) for days in (100, 71, 42, 13)]
    found = told(frame(rows))
    assert any("at the limit where they are alike" in note for note in found.value.notes)


def test_customers_to_look_after() -> None:
    """New ones, the best of those who slip away, whom nobody served in calendar months, and advocates."""
    rows = [bought(f"once{one}", 40) for one in range(30)]
    rows += [bought("new", 3), bought("fan", 35, kind="share"), bought("fan", 34, kind="review")]
    rows += [bought("best", days, 90.0) for days in (200, 210, 220)]
    rows += [bought("poor", days, 1.0) for days in (200, 210)]
    rows += [bought("written", days, 50.0) for days in (300, 310)]
    rows += [bought("written", 4, kind="email_sent", item_id=None)]
    rules = CustomerRules(tiers=(Tier(name="gold"),), unserved_months=6)
    found = told(frame(rows), rules=rules)
    names = {reason: rows["customer_id"].to_list() for reason, rows in to_look_after(found, rules).items()}
    assert names[Care.NEW] == ["new"]
    assert names[Care.BEST_SLIPPING_AWAY] == ["best", "written"]
    assert names[Care.UNSERVED] == ["best", "poor", "fan"]
    assert names[Care.ADVOCATES] == ["fan"]
    # 2026-06-30 less six months is 2025-12-30: 182 days; one more is too long, that many are not.
    for days, expected in ((182, []), (183, ["ann"])):
        one = told(frame([bought("ann", days)]), rules=rules)
        assert to_look_after(one, rules)[Care.UNSERVED]["customer_id"].to_list() == expected


def test_a_midnight_is_of_the_day_that_it_ends() -> None:
    """And one millisecond later the next day has begun, in the shop's zone."""
    events = frame([bought("ann", 0)])
    assert told(events).table["recency_days"].item() == 0
    assert told(events, AS_OF + 1).table["recency_days"].item() == 1
    seoul = CustomerRules(time_zone="Asia/Seoul")
    assert str(told(events, AS_OF, seoul).today) == "2026-07-01"
    assert ago(0) < AS_OF
