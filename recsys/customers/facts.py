"""What follows from what customers did: one row per customer, or per account, as of any moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from recsys.customers.accounts import members, of_units, shared
from recsys.customers.purchases import Purchases, purchases_of
from recsys.customers.rules import DEFAULT_RULES, CustomerRules
from recsys.customers.segments import fifth, segment, tier
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

PURCHASE_KINDS: Final = (EventKind.PURCHASE, EventKind.RETURN, EventKind.SHARE, EventKind.REVIEW)
SERVING_KINDS: Final = (EventKind.PURCHASE, EventKind.IMPRESSION, EventKind.EMAIL_SENT)
"""Whoever bought something, was shown something or was written to was served."""

_ALWAYS: Final = -(2**62)
_GIFT: Final = "$.gift"


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
    purchases : what the facts are made of.
    notes : what could not be told, and why; for people.
    """

    table: pl.DataFrame
    as_of: int
    today: date
    purchases: Purchases
    notes: Sequence[str]


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
    events = store.events.period({*PURCHASE_KINDS, *SERVING_KINDS}, _ALWAYS, as_of)
    people = store.customers.read().select("customer_id", "account_id")
    return facts_of(events, people, as_of, rules, unit)


def facts_of(
    events: pl.DataFrame,
    people: pl.DataFrame,
    as_of: int,
    rules: CustomerRules = DEFAULT_RULES,
    unit: Unit = Unit.CUSTOMER,
) -> CustomerFacts:
    """The same from a frame in `OUTCOME_SCHEMA` and one with `customer_id` and `account_id`."""
    today = day_of(as_of, rules.time_zone)
    events = events.filter(pl.col("timestamp") < as_of)
    purchases = purchases_of(events, rules.currency, rules.time_zone)
    everybody = _everybody(events, people)
    if unit is Unit.ACCOUNT:
        units = shared(everybody)
        everybody = members(units, purchases.days)
        events = of_units(events, units)
        # Once more: one of a household brings back what another one bought.
        purchases = purchases_of(events, rules.currency, rules.time_zone)
    table = (
        everybody.join(_bought(purchases.days, today, rules), on="customer_id", how="left")
        .join(_acts(events, today, rules.time_zone), on="customer_id", how="left")
        .with_columns(pl.col("frequency", "tier_purchases", "shares", "reviews", "gifts").fill_null(0))
        .with_columns(advocate=pl.col("shares") + pl.col("reviews") + pl.col("gifts") >= rules.advocate_acts)
    )
    with_amounts = table["monetary"].null_count() < len(table)
    table = table.with_columns(
        r=fifth(pl.col("recency_days"), least_is_best=True),
        f=fifth(pl.when(pl.col("frequency") > 0).then(pl.col("frequency"))),
        m=fifth(pl.col("monetary")),
    ).with_columns(
        segment=segment(rules.segments, with_amounts=with_amounts),
        tier=tier(rules.tiers),
    )
    if unit is Unit.ACCOUNT:
        table = table.with_columns(pl.col("contact").alias("customer_id"))
    missing = [name for name in FACTS_SCHEMA if name not in table.columns]
    table = table.with_columns(pl.lit(None).alias(name) for name in missing)
    table = table.select(pl.col(name).cast(dtype) for name, dtype in FACTS_SCHEMA.items()).sort("customer_id")
    return CustomerFacts(table, as_of, today, purchases, ())


def day_of(as_of: int, time_zone: str) -> date:
    """The day of the last millisecond before a moment, in a zone."""
    return datetime.fromtimestamp((as_of - 1) / 1000, UTC).astimezone(ZoneInfo(time_zone)).date()


def months_before(today: date, months: int) -> date:
    """The same day so many calendar months earlier, or the last of that month where it is shorter."""
    return pl.select(pl.lit(today).dt.offset_by(f"-{months}mo")).item()  # type: ignore[no-any-return]


def _everybody(events: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Who there is, and whose account is whose."""
    met = events.select(pl.col("customer_id").unique()).join(people, on="customer_id", how="anti")
    return pl.concat([people.select("customer_id", "account_id"), met], how="diagonal").with_columns(members=1)


def _bought(days: pl.DataFrame, today: date, rules: CustomerRules) -> pl.DataFrame:
    """When, how often and for how much each customer bought."""
    lately = pl.col("day") > months_before(today, rules.tier_months)
    return days.group_by("customer_id").agg(
        recency_days=(today - pl.col("day").max()).dt.total_days(),
        first_days=(today - pl.col("day").min()).dt.total_days(),
        frequency=pl.len(),
        monetary=pl.when(pl.col("amount").is_not_null().any()).then(pl.col("amount").sum()),
        order_value=pl.col("amount").mean(),
        tier_spent=pl.col("amount").filter(lately).sum(),
        tier_purchases=lately.sum(),
    )


def _acts(events: pl.DataFrame, today: date, time_zone: str) -> pl.DataFrame:
    """How often customers spoke for the shop, and how long ago they were served."""
    kind = pl.col("kind")
    gift = (
        (kind == str(EventKind.PURCHASE))
        & pl.col("context").str.contains('"gift"', literal=True)
        & (pl.col("context").str.json_path_match(_GIFT) == "true")
    )
    served = pl.col("timestamp").filter(kind.is_in([str(each) for each in SERVING_KINDS])).max()
    return (
        events.group_by("customer_id")
        .agg(
            shares=(kind == str(EventKind.SHARE)).sum(),
            reviews=(kind == str(EventKind.REVIEW)).sum(),
            gifts=gift.sum(),
            served=local_day(served, time_zone),
        )
        .with_columns(unserved_days=(today - pl.col("served")).dt.total_days())
        .drop("served")
    )


def local_day(timestamp: pl.Expr, time_zone: str) -> pl.Expr:
    """The day of a time (milliseconds UTC) in a zone."""
    return pl.from_epoch(timestamp, "ms").dt.replace_time_zone("UTC").dt.convert_time_zone(time_zone).dt.date()
