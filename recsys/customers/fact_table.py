"""What follows from what customers did: one row per customer, or per account, as of any moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

import polars as pl

from recsys.customers.accounts import members, of_units, shared
from recsys.customers.months import day_of, local_day, months_after
from recsys.customers.purchases import Purchases, purchases_of
from recsys.customers.rules import DEFAULT_RULES, CustomerRules
from recsys.customers.segments import fifth, segment, tier
from recsys.customers.value import ValueModel, fit_value_model, repeat_purchases, values_of
from recsys.data.events import EventKind
from recsys.stores.protocols import Store

FACTS_SCHEMA: Final[dict[str, pl.DataType]] = {
    "customer_id": pl.String(),
    "account_id": pl.String(),
    "members": pl.Int64(),
    "segment": pl.String(),
    "tier": pl.String(),
    "recency_days": pl.Int64(),
    "first_days": pl.Int64(),
    "frequency": pl.Int64(),
    "monetary": pl.Float64(),
    "order_value": pl.Float64(),
    "r": pl.Int8(),
    "f": pl.Int8(),
    "m": pl.Int8(),
    "alive": pl.Float64(),
    "expected_purchases": pl.Float64(),
    "lifetime_value": pl.Float64(),
    "advocate": pl.Boolean(),
    "shares": pl.Int64(),
    "reviews": pl.Int64(),
    "gifts": pl.Int64(),
    "unserved_days": pl.Int64(),
}
"""A frame of facts, ascending by customer; docs/customers.md says what each column is. Days are whole ones of the
calendar; amounts are in `CustomerFacts.currency`."""

TOLD_KINDS: Final = (
    EventKind.PURCHASE,
    EventKind.RETURN,
    EventKind.SHARE,
    EventKind.REVIEW,
    EventKind.IGNORE_FOR_RECOMMENDATIONS,
)
"""What facts are told from, besides when somebody was served."""
SERVING_KINDS: Final = (EventKind.PURCHASE, EventKind.IMPRESSION, EventKind.EMAIL_SENT)
"""Whoever bought something, was shown something or was written to was served."""

_ALWAYS: Final = -(2**62)
_GIVEN: Final = str(EventKind.IGNORE_FOR_RECOMMENDATIONS)
"""What a shop posts of an item that was a gift: it says nothing of the customer's own taste."""


class Unit(StrEnum):
    """Who a row is about: one customer, or all who share an account."""

    CUSTOMER = "customer"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """All facts as of one moment.

    Attributes
    ----------
    table : in `FACTS_SCHEMA`.
    as_of : milliseconds UTC; nothing that happened then or later counts.
    today : the day on which that moment falls in the shop's zone; of a midnight the day that it ends.
    with_amounts : whether any amount is known; without, frequency alone says who is best.
    purchases : what the facts are made of.
    value : what was learned from them, with what it cannot tell and why.
    """

    table: pl.DataFrame
    as_of: int
    today: date
    with_amounts: bool
    purchases: Purchases
    value: ValueModel


def facts(store: Store, as_of: int, rules: CustomerRules = DEFAULT_RULES, unit: Unit = Unit.CUSTOMER) -> pl.DataFrame:
    """The facts of everybody in a store, in `FACTS_SCHEMA`; see `customer_facts`."""
    return customer_facts(store, as_of, rules, unit).table


def customer_facts(
    store: Store, as_of: int, rules: CustomerRules = DEFAULT_RULES, unit: Unit = Unit.CUSTOMER
) -> CustomerFacts:
    """The facts of everybody in a store as of a moment (milliseconds UTC).

    Everybody is who has a row of attributes, or did something before that moment. What was taken back by now does not
    count, and who was merged by now is one person, whatever was known then.
    """
    events = store.events.period(TOLD_KINDS, _ALWAYS, as_of)
    last = store.facts.last(as_of)
    people = store.facts.people()
    there = people.filter(pl.col("has_row") | pl.col("customer_id").is_in(last["customer_id"].unique().implode()))
    return facts_of(events, there, last, as_of, rules, unit)


def facts_of(
    events: pl.DataFrame,
    people: pl.DataFrame,
    last: pl.DataFrame,
    as_of: int,
    rules: CustomerRules = DEFAULT_RULES,
    unit: Unit = Unit.CUSTOMER,
) -> CustomerFacts:
    """The same from frames: events in `OUTCOME_SCHEMA`, of which those of `TOLD_KINDS` before `as_of` count;
    `customer_id` and `account_id` of everybody, of whoever has events too; and the last events before `as_of`, in
    `LAST_SCHEMA`."""
    today = day_of(as_of, rules.time_zone)
    events = events.filter(pl.col("timestamp") < as_of)
    purchases = purchases_of(events, rules.currency, rules.time_zone)
    everybody = people.select("customer_id", "account_id", members=1)
    if unit is Unit.ACCOUNT:
        units = shared(everybody)
        everybody = members(units, purchases.days)
        events, last = of_units(events, units), of_units(last, units)
        # Once more: one of a household brings back what another one bought.
        purchases = purchases_of(events, rules.currency, rules.time_zone)
    repeats = repeat_purchases(purchases.days, today)
    value = fit_value_model(repeats)
    table = (
        everybody.join(_bought(purchases.days, today, rules), on="customer_id", how="left")
        .join(_acts(events), on="customer_id", how="left")
        .join(_served(last, today, rules.time_zone), on="customer_id", how="left")
        .join(values_of(repeats, value, today, rules.value), on="customer_id", how="left")
        .with_columns(pl.col("frequency", "tier_purchases", "shares", "reviews", "gifts").fill_null(0))
    )
    with_amounts = table["monetary"].null_count() < len(table)
    table = table.with_columns(
        r=fifth(pl.col("recency_days"), least_is_best=True),
        f=fifth(pl.when(pl.col("frequency") > 0).then(pl.col("frequency"))),
        m=fifth(pl.col("monetary")),
        advocate=pl.col("shares") + pl.col("reviews") + pl.col("gifts") >= rules.advocate_acts,
    ).with_columns(segment=segment(rules.segments, with_amounts=with_amounts), tier=tier(rules.tiers))
    if unit is Unit.ACCOUNT:
        table = table.with_columns(pl.col("contact").alias("customer_id"))
    table = table.select(pl.col(name).cast(dtype) for name, dtype in FACTS_SCHEMA.items()).sort("customer_id")
    return CustomerFacts(table, as_of, today, with_amounts, purchases, value)


def _bought(days: pl.DataFrame, today: date, rules: CustomerRules) -> pl.DataFrame:
    """When, how often and for how much each customer bought."""
    lately = pl.col("day") > months_after(today, -rules.tier_months)
    return days.group_by("customer_id").agg(
        recency_days=(today - pl.col("day").max()).dt.total_days(),
        first_days=(today - pl.col("day").min()).dt.total_days(),
        frequency=pl.len(),
        monetary=pl.when(pl.col("amount").is_not_null().any()).then(pl.col("amount").sum()),
        order_value=pl.col("amount").mean(),
        tier_spent=pl.col("amount").filter(lately).sum(),
        tier_purchases=lately.sum(),
    )


def _acts(events: pl.DataFrame) -> pl.DataFrame:
    """How often customers spoke for the shop, and how many items they bought there to give them away."""
    kind, pair = pl.col("kind"), ["customer_id", "item_id"]
    bought = events.filter(kind == str(EventKind.PURCHASE)).select(pair).unique()
    told = [str(EventKind.SHARE), str(EventKind.REVIEW), _GIVEN]
    acts = events.filter(kind.is_in(told)).join(bought.with_columns(own=True), on=pair, how="left")
    return acts.group_by("customer_id").agg(
        shares=(kind == str(EventKind.SHARE)).sum(),
        reviews=(kind == str(EventKind.REVIEW)).sum(),
        gifts=pl.col("item_id").filter((kind == _GIVEN) & pl.col("own")).n_unique(),
    )


def _served(last: pl.DataFrame, today: date, time_zone: str) -> pl.DataFrame:
    """How many days ago customers were served last."""
    served = last.filter(pl.col("kind").is_in([str(kind) for kind in SERVING_KINDS]))
    day = local_day(pl.col("last").max(), time_zone)
    return served.group_by("customer_id").agg(unserved_days=(today - day).dt.total_days())
