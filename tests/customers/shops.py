"""Purchases of made-up customers, as frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.customers import CustomerFacts, CustomerRules, Unit, facts_of
from recsys.customers.rules import DEFAULT_RULES
from recsys.outcomes.exposure import OUTCOME_SCHEMA

DAY = 86_400_000
AS_OF = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp() * 1000)
"""A midnight; the day that it ends is 2026-06-30."""


def ago(days: float) -> int:
    """Noon so many days before the day that ends at `AS_OF`, milliseconds UTC."""
    return AS_OF - DAY // 2 - int(days * DAY)


def frame(rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """Events in `OUTCOME_SCHEMA`; one piece of a purchase for 10 EUR where nothing else is said."""
    plain = {"item_id": "book", "kind": "purchase", "quantity": 1.0, "price": 10.0, "currency": "EUR"}
    return pl.DataFrame([plain | dict(row) for row in rows], schema=OUTCOME_SCHEMA)


def bought(customer: str, days: float, price: float | None = 10.0, **further: object) -> dict[str, object]:
    """One purchase so many days ago."""
    return {"customer_id": customer, "timestamp": ago(days), "price": price} | further


def told(
    events: pl.DataFrame,
    as_of: int = AS_OF,
    rules: CustomerRules = DEFAULT_RULES,
    accounts: Mapping[str, str] | None = None,
    unit: Unit = Unit.CUSTOMER,
) -> CustomerFacts:
    """The facts of whoever has events before a moment, some of whom share accounts."""
    seen = events.filter(pl.col("timestamp") < as_of)
    people = seen.select("customer_id").unique().sort("customer_id")
    account_of = accounts or {}
    people = people.with_columns(
        pl.Series("account_id", [account_of.get(each) for each in people["customer_id"]], dtype=pl.String)
    )
    last = seen.group_by("customer_id", "kind").agg(last=pl.col("timestamp").max())
    return facts_of(events, people, last, as_of, rules, unit)


def visits(
    customers: int, r: float, alpha: float, a: float, b: float, weeks: float, seed: int
) -> list[tuple[float, list[float]]]:
    """T, and when customers bought again since their first purchase, in weeks; as the BG/NBD model says. The first was
    within the first 12 weeks."""
    random = np.random.default_rng(seed)
    rate, leaving = random.gamma(r, 1 / alpha, customers), random.beta(a, b, customers)
    found = []
    for total, own_rate, own_leaving in zip(weeks - random.uniform(0, 12, customers), rate, leaving, strict=True):
        times: list[float] = []
        time = random.exponential(1 / own_rate)
        while time <= total:
            times.append(time)
            if random.random() < own_leaving:
                break
            time += random.exponential(1 / own_rate)
        found.append((float(total), times))
    return found


def world(
    customers: int, r: float, alpha: float, a: float, b: float, weeks: float, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """x, t_x and T of the same customers."""
    found = visits(customers, r, alpha, a, b, weeks, seed)
    x = [float(len(times)) for _, times in found]
    last = [times[-1] if times else 0.0 for _, times in found]
    return np.array(x), np.array(last), np.array([total for total, _ in found])


def shop(customers: int = 400, seed: int = 1) -> pl.DataFrame:
    """Purchases of a world that both models fit."""
    rows = []
    for one, (total, times) in enumerate(visits(customers, 0.6, 4.0, 0.8, 2.5, 52, seed)):
        price = 5.0 + one % 13
        rows.append(bought(f"c{one}", 7 * total, price))
        rows += [bought(f"c{one}", 7 * (total - time), price + place % 4) for place, time in enumerate(times)]
    return frame(rows)
