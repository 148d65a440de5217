"""Whether what was expected came true: a window is held out, foreseen from what was before, and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from recsys.customers.months import day_of
from recsys.customers.purchases import purchases_of
from recsys.customers.rules import CustomerRules
from recsys.customers.value import ValueModel, fit_value_model, repeat_purchases
from recsys.data.events import EventKind
from recsys.errors import NotEnoughDataError
from recsys.stores.protocols import Store

MOST_REPEATS: Final = 7
"""Customers who bought again that often or more are one group."""

_ALWAYS: Final = -(2**62)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was foreseen for a window, and what came.

    Attributes
    ----------
    cut, until : the last day that the model saw, and the last of the window.
    model : fitted to what was before.
    customers : of how many it is, those who had bought before the window.
    predicted, actual : purchases in the window.
    spent_predicted, spent_actual : amounts in the window; None where no lifetime value can be told.
    correlation : between what was foreseen of each customer and what came; None where one of the two is all alike.
    absolute_error : per customer, on average.
    groups : repeats (so many repeat purchases before the window; the last group is of that many or more), customers,
        predicted and actual (per customer).
    notes : what could not be told, or is doubtful.
    """

    cut: date
    until: date
    model: ValueModel
    customers: int
    predicted: float
    actual: int
    spent_predicted: float | None
    spent_actual: float | None
    correlation: float | None
    absolute_error: float
    groups: pl.DataFrame
    notes: Sequence[str]


def calibrate(store: Store, cut: int, until: int, rules: CustomerRules) -> Calibration:
    """Holds out what happened from `cut` up to `until` (milliseconds UTC). Raises NotEnoughDataError where what was
    before does not tell anything, with the reasons."""
    events = store.events.period({EventKind.PURCHASE, EventKind.RETURN}, _ALWAYS, until)
    return calibration_of(events, cut, until, rules)


def calibration_of(events: pl.DataFrame, cut: int, until: int, rules: CustomerRules) -> Calibration:
    """The same from a frame in `OUTCOME_SCHEMA`."""
    last_seen, last = day_of(cut, rules.time_zone), day_of(until, rules.time_zone)
    before = purchases_of(events.filter(pl.col("timestamp") < cut), rules.currency, rules.time_zone)
    repeats = repeat_purchases(before.days, last_seen)
    model = fit_value_model(repeats)
    if model.buying is None:
        raise NotEnoughDataError(
            "; ".join(model.notes), expected="a longer history before the window", remedy="hold out a shorter window"
        )
    # What was brought back in the window, but bought before, the model could not know.
    after = purchases_of(events.filter(pl.col("timestamp") < until), before.currency, rules.time_zone)
    came = (
        after.days.filter((pl.col("day") > last_seen) & (pl.col("day") <= last))
        .group_by("customer_id")
        .agg(actual=pl.len().cast(pl.Int64), spent=pl.col("amount").sum())
    )
    x, t_x, t_total = (repeats[name].to_numpy() for name in ("x", "t_x", "T"))
    told = repeats.with_columns(
        predicted=pl.Series(model.buying.expected((last - last_seen).days / 7, x, t_x, t_total))
    ).join(came, on="customer_id", how="left", maintain_order="left")
    told = told.with_columns(pl.col("actual", "spent").fill_null(0))
    predicted, actual = told["predicted"].to_numpy(), told["actual"].to_numpy().astype(np.float64)
    spent = None
    if model.spending is not None:
        each = model.spending.expected(told["n"].to_numpy(), told["z"].fill_null(0.0).to_numpy())
        spent = float(predicted @ each)
    return Calibration(
        cut=last_seen,
        until=last,
        model=model,
        customers=len(told),
        predicted=float(predicted.sum()),
        actual=int(actual.sum()),
        spent_predicted=spent,
        spent_actual=None if spent is None else float(told["spent"].sum()),
        correlation=float(np.corrcoef(predicted, actual)[0, 1]) if np.ptp(predicted) and np.ptp(actual) else None,
        absolute_error=float(np.mean(np.abs(predicted - actual))),
        groups=_groups(told),
        notes=model.notes,
    )


def _groups(told: pl.DataFrame) -> pl.DataFrame:
    return (
        told.group_by(repeats=pl.col("x").clip(upper_bound=MOST_REPEATS).cast(pl.Int64))
        .agg(customers=pl.len(), predicted=pl.col("predicted").mean(), actual=pl.col("actual").mean())
        .sort("repeats")
    )
