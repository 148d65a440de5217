"""What customers did after they were first shown something: a row of sums for each customer and day.

Everything a customer does counts from their first exposure on, for so many days, whatever they were shown later: later
exposures depend on what the first ones brought, and the first does not. So arms stay comparable.
"""

from __future__ import annotations

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
    daily : customer_id, day, clicks, bought (1 on a day with a purchase), purchased and returned_items (items), revenue
        and returned (amounts), left (unsubscribed or complained). Days count from the first exposure, 24 hours each: 0
        is the first, −1 the one before it. A day on which nothing happened has no row.
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
    kind = pl.col("kind")
    met = (
        events.filter(kind.is_in([str(each) for each in OUTCOME_KINDS]) & (pl.col("timestamp") <= as_of))
        .join(people.select("customer_id", "first"), on="customer_id")
        .with_columns(day=(pl.col("timestamp") - pl.col("first")) // DAY_MS)
        .filter(pl.col("day") >= -BEFORE_DAYS)
    )
    bought, returned = kind == str(EventKind.PURCHASE), kind == str(EventKind.RETURN)
    purchases = met.filter(bought)
    currencies = purchases["currency"].drop_nulls().value_counts().sort(["count", "currency"], descending=[True, False])
    currency = str(currencies["currency"][0]) if len(currencies) else None
    ours = pl.col("currency").eq_missing(pl.lit(currency, dtype=pl.String))
    amount = pl.when(ours).then(pl.col("quantity") * pl.col("price")).fill_null(0.0)
    daily = met.group_by("customer_id", "day").agg(
        clicks=(kind == str(EventKind.CLICK)).sum(),
        bought=bought.any().cast(pl.Int64),
        purchased=bought.sum(),
        returned_items=returned.sum(),
        revenue=amount.filter(bought).sum(),
        returned=amount.filter(returned).sum(),
        left=kind.is_in([str(EventKind.UNSUBSCRIBE), str(EventKind.COMPLAINT)]).any().cast(pl.Int64),
    )
    uncounted = purchases.filter((pl.col("day") >= 0) & (~ours | pl.col("price").is_null())).height
    return Outcomes(people, daily, currency, uncounted, as_of)


def values_of(outcomes: Outcomes, metric: Metric, window_days: int) -> Values:
    """One metric of every customer, or of those who were observed for long enough (`VALUE_90`). Amounts are winsorised:
    see `recsys.outcomes.lift.winsorised`."""
    people, days = outcomes.people, window_days
    if metric is Metric.VALUE_90:
        people, days = people.filter(pl.col("first") <= outcomes.as_of - VALUE_DAYS * DAY_MS), VALUE_DAYS
    sums = summed(outcomes, people, 0, days)
    earlier = summed(outcomes, people, -BEFORE_DAYS, 0)[_COUNTED[metric]].to_numpy().astype(np.float64)
    values = sums[_COUNTED[metric]].to_numpy().astype(np.float64)
    if metric is Metric.BUYERS:
        values = (values > 0).astype(np.float64)
    elif metric is Metric.REPEAT:
        values = (values > 1).astype(np.float64)
    elif metric is Metric.VALUE_90:
        values = winsorised(values - sums["returned"].to_numpy())
    elif metric is Metric.REVENUE:
        values = winsorised(values)
    return Values(people["arm"].to_numpy(), values, winsorised(earlier))


def summed(outcomes: Outcomes, people: pl.DataFrame, since: int, until: int) -> pl.DataFrame:
    """Sums of some people, in their order, over the days from `since` up to and without `until`; zeros where nothing
    happened."""
    within = outcomes.daily.filter((pl.col("day") >= since) & (pl.col("day") < until))
    sums = within.group_by("customer_id").agg(pl.exclude("customer_id", "day").sum())
    return people.select("customer_id").join(sums, on="customer_id", how="left", maintain_order="left").fill_null(0)
