"""What customers did after they were first shown something: a row of sums for each customer and day.

Everything a customer does counts from their first exposure on, for so many days, whatever they were shown later: later
exposures depend on what the first ones brought, and the first does not. So arms stay comparable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.events import EventKind
from recsys.outcomes.exposure import DAY_MS
from recsys.outcomes.lift import winsorised
from recsys.outcomes.metric import Metric

BEFORE_DAYS: Final = 90
"""So many days before the first exposure say what was to be expected of a customer."""

VALUE_DAYS: Final = 90

OUTCOME_KINDS: Final = (
    EventKind.CLICK,
    EventKind.PURCHASE,
    EventKind.RETURN,
    EventKind.UNSUBSCRIBE,
    EventKind.COMPLAINT,
)
"""The kinds of events that sums are made of."""

_KINDS: Final = pl.Enum([str(kind) for kind in OUTCOME_KINDS])

_SUMS: Final = ("clicks", "bought", "purchased", "returned_items", "revenue", "returned", "left")

_COUNTED: Final = {
    Metric.CLICKS: "clicks",
    Metric.BUYERS: "bought",
    Metric.PURCHASES: "bought",
    Metric.REVENUE: "revenue",
    Metric.REPEAT: "bought",
    Metric.VALUE_90: "revenue",
}
"""Which sum a metric is made of, and which sum of before says what was to be expected."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came after first exposures.

    Attributes
    ----------
    people : customer_id, arm, first (milliseconds UTC), days (on which they were served), crossed (whether they were
        served another arm later); one row per person, ascending by id.
    daily : person (the row of `people`), day, clicks, bought (1 on a day with a purchase), purchased and
        returned_items (items), revenue and returned (amounts), left (1: unsubscribed or complained). Days count from
        the first exposure, 24 hours each: 0 is the first, −1 the one before it. A day on which nothing happened has no
        row.
    currency : the one that amounts are in: that of most purchases, of those before too; None where none is named.
    uncounted : purchases after first exposures that have no price or another currency.
    as_of : nothing later counts, milliseconds UTC.
    """

    people: pl.DataFrame
    daily: pl.DataFrame
    currency: str | None
    uncounted: int
    as_of: int


@dataclass(frozen=True, slots=True)
class Values:
    """One metric of many customers.

    Attributes
    ----------
    arms : shape (customers,); the arm of each.
    values : float64, shape (customers,).
    before : float64, shape (customers,); what was to be expected, from the 90 days before.
    """

    arms: npt.NDArray[np.str_]
    values: npt.NDArray[np.float64]
    before: npt.NDArray[np.float64]


def first_exposures(served: pl.DataFrame, since: int | None) -> pl.DataFrame:
    """The people of `Outcomes`, from a frame in `EXPOSURE_SCHEMA`: each in the arm that they were served first, from
    `since` (milliseconds UTC; None is always) on.

    Whoever is served another arm later, as a visitor who logs in may be, stays in the first: which one that was nobody
    chose, and whether they logged in may depend on it.
    """
    begin = -(2**62) if since is None else since
    return (
        served.filter(pl.col("last") >= begin)
        .with_columns(pl.max_horizontal("first", pl.lit(begin)))
        .sort("first", "arm")
        .group_by("customer_id", maintain_order=True)
        .agg(
            pl.col("arm").first(),
            pl.col("first").first(),
            pl.col("days").sum(),
            crossed=pl.col("arm").n_unique() > 1,
        )
        .sort("customer_id")
    )


def outcomes_of(people: pl.DataFrame, events: pl.DataFrame, as_of: int) -> Outcomes:
    """The sums of people, from a frame in `OUTCOME_SCHEMA`; what is not of `OUTCOME_KINDS` or of others is left out."""
    kind, day = pl.col("kind"), pl.col("day")
    first = people.select("customer_id", "first", person=pl.int_range(pl.len(), dtype=pl.UInt32))
    # As numbers from here on: ids are long, and events are many.
    met = (
        events.lazy()
        .filter(kind.is_in(_KINDS.categories) & (pl.col("timestamp") <= as_of))
        .select("customer_id", "kind", "timestamp", "quantity", "price", "currency")
        .join(first.lazy(), on="customer_id")
        .with_columns(kind.cast(_KINDS), day=((pl.col("timestamp") - pl.col("first")) // DAY_MS).cast(pl.Int32))
        .filter(day >= -BEFORE_DAYS)
        .drop("customer_id", "timestamp", "first")
        .collect()
    )
    bought, returned = kind == str(EventKind.PURCHASE), kind == str(EventKind.RETURN)
    purchases = met.filter(bought)
    currencies = purchases["currency"].drop_nulls().value_counts().sort(["count", "currency"], descending=[True, False])
    currency = str(currencies["currency"][0]) if len(currencies) else None
    ours = pl.col("currency").eq_missing(pl.lit(currency, dtype=pl.String))
    amount = pl.when(ours).then(pl.col("quantity") * pl.col("price")).fill_null(0.0)
    # Told apart row by row and only added up by group: groups are nearly as many as events.
    told = met.select(
        "person",
        "day",
        clicks=kind == str(EventKind.CLICK),
        bought=bought,
        purchased=bought,
        returned_items=returned,
        revenue=pl.when(bought).then(amount).otherwise(0.0),
        returned=pl.when(returned).then(amount).otherwise(0.0),
        left=kind.is_in([str(EventKind.UNSUBSCRIBE), str(EventKind.COMPLAINT)]),
    ).with_columns(pl.col(pl.Boolean).cast(pl.UInt32))
    once = ("bought", "left")
    daily = told.group_by("person", "day").agg(
        *(pl.col(name).max() if name in once else pl.col(name).sum() for name in _SUMS)
    )
    uncounted = purchases.filter((day >= 0) & (~ours | pl.col("price").is_null())).height
    return Outcomes(people, daily, currency, uncounted, as_of)


def values_of(outcomes: Outcomes, metric: Metric, window_days: int) -> Values:
    """One metric of every customer, or of those who were observed for long enough (`VALUE_90`). Amounts are winsorised:
    see `recsys.outcomes.lift.winsorised`."""
    days = VALUE_DAYS if metric is Metric.VALUE_90 else window_days
    sums = summed(outcomes, 0, days)
    values, earlier = sums[_COUNTED[metric]], summed(outcomes, -BEFORE_DAYS, 0)[_COUNTED[metric]]
    if metric is Metric.BUYERS:
        values = (values > 0).astype(np.float64)
    elif metric is Metric.REPEAT:
        values = (values > 1).astype(np.float64)
    elif metric is Metric.VALUE_90:
        values = values - sums["returned"]
    arms = outcomes.people["arm"].to_numpy()
    if metric is Metric.VALUE_90:
        observed = outcomes.people["first"].to_numpy() <= outcomes.as_of - VALUE_DAYS * DAY_MS
        arms, values, earlier = arms[observed], values[observed], earlier[observed]
    amounts = metric in (Metric.REVENUE, Metric.VALUE_90)
    return Values(arms, winsorised(values) if amounts else values, winsorised(earlier))


def summed(outcomes: Outcomes, since: int, until: int) -> Mapping[str, npt.NDArray[np.float64]]:
    """Every sum of `Outcomes.daily`, over the days from `since` up to and without `until`: float64, shape (people,)."""
    within = outcomes.daily.filter((pl.col("day") >= since) & (pl.col("day") < until))
    person, size = within["person"].to_numpy(), outcomes.people.height
    sums: dict[str, npt.NDArray[np.float64]] = {}
    for name in _SUMS:
        sums[name] = np.asarray(np.bincount(person, within[name].to_numpy(), minlength=size), dtype=np.float64)
    return sums
