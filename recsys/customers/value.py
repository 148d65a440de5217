"""What customers are expected to buy, whether they still are customers, and what they are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from recsys.customers.bg_nbd import BgNbd, Counts, Floats, fit_bg_nbd
from recsys.customers.gamma_gamma import GammaGamma, fit_gamma_gamma
from recsys.customers.months import months_after
from recsys.customers.rules import ValueRules
from recsys.errors import NotEnoughDataError

LEAST_REPEAT: Final = 50
"""With fewer customers who bought again nothing is said."""
LEAST_SPAN_DAYS: Final = 28
"""With a shorter history nothing is said."""
MOST_CORRELATION: Final = 0.2
"""Spending that goes along with frequency more than that, either way, makes lifetime values doubtful."""

_DAYS_IN_WEEK: Final = 7


@dataclass(frozen=True, slots=True)
class ValueModel:
    """What was learned from all customers' purchases.

    Attributes
    ----------
    buying : how often they buy and when they leave, in weeks; None where the data do not tell.
    spending : how much they spend, in the shop's currency; None where the data do not tell.
    customers, repeat : how many bought, and how many bought again.
    correlation : between how often repeat buyers bought and how much they spent each time; None with too few.
    notes : what could not be told, or is doubtful, with the figures; for people.
    """

    buying: BgNbd | None
    spending: GammaGamma | None
    customers: int
    repeat: int
    correlation: float | None
    notes: Sequence[str]


def repeat_purchases(days: pl.DataFrame, today: date) -> pl.DataFrame:
    """What the models learn from: customer_id, x, t_x, T (weeks), n and z (how many of the repeat purchases have an
    amount above 0, and the mean of these); ascending by customer. `days` in `PURCHASE_DAYS_SCHEMA`, sorted."""
    first = pl.col("day").first()
    # The first purchase is no repeat: what it says of a customer's spending the note leaves out, and so do we.
    again = pl.col("amount").slice(1)
    paid = again.filter(again > 0)
    weeks = {
        "t_x": (pl.col("day").last() - first).dt.total_days() / _DAYS_IN_WEEK,
        "T": (today - first).dt.total_days() / _DAYS_IN_WEEK,
    }
    return days.group_by("customer_id", maintain_order=True).agg(
        x=(pl.len() - 1).cast(pl.Float64), **weeks, n=paid.len().cast(pl.Float64), z=paid.mean()
    )


def fit_value_model(repeats: pl.DataFrame) -> ValueModel:
    """The model of a frame that `repeat_purchases` returned."""
    notes: list[str] = []
    repeat = int((repeats["x"] > 0).sum())
    buying = _buying(repeats, repeat, notes)
    paid = repeats.filter(pl.col("n") > 0)
    spending, correlation = _spending(paid, notes) if buying is not None else (None, None)
    return ValueModel(buying, spending, len(repeats), repeat, correlation, tuple(notes))


def _buying(repeats: pl.DataFrame, repeat: int, notes: list[str]) -> BgNbd | None:
    nothing = "no expected purchases, no probability of still being a customer and no lifetime value"
    span = repeats["T"].max() if len(repeats) else None
    days = float(span) * _DAYS_IN_WEEK if isinstance(span, float) else 0.0
    if repeat < LEAST_REPEAT:
        notes.append(f"{nothing}: {repeat:,} customers bought again, at least {LEAST_REPEAT} are needed")
        return None
    if days < LEAST_SPAN_DAYS:
        notes.append(f"{nothing}: purchases go back {days:.0f} days, at least {LEAST_SPAN_DAYS} are needed")
        return None
    try:
        fit = fit_bg_nbd(Counts.of(*(repeats[name].to_numpy() for name in ("x", "t_x", "T"))))
    except NotEnoughDataError as error:
        notes.append(f"{nothing}: {error}")
        return None
    if fit.at_limit:
        notes.append(
            "customers hardly differ in how often they buy or in when they leave: the model is at the limit where they "
            f"are alike (r {fit.model.r:.3g}, α {fit.model.alpha:.3g}, a {fit.model.a:.3g}, b {fit.model.b:.3g})"
        )
    return fit.model


def _spending(paid: pl.DataFrame, notes: list[str]) -> tuple[GammaGamma | None, float | None]:
    if len(paid) < LEAST_REPEAT:
        notes.append(
            f"no lifetime value: of {len(paid):,} customers it is known what they paid when they bought again, at "
            f"least {LEAST_REPEAT} are needed"
        )
        return None, None
    x, z = paid["n"].to_numpy(), paid["z"].to_numpy()
    varied = np.ptp(x) > 0 and np.ptp(z) > 0
    correlation = float(np.corrcoef(x, z)[0, 1]) if varied else 0.0
    if abs(correlation) > MOST_CORRELATION:
        notes.append(
            "lifetime values are doubtful: how much customers spend goes along with how often they buy (correlation "
            f"{correlation:+.2f}, up to ±{MOST_CORRELATION} is fine), and the model takes the two as independent"
        )
    try:
        fit = fit_gamma_gamma(x, z)
    except NotEnoughDataError as error:
        notes.append(f"no lifetime value: {error}")
        return None, correlation
    spending = fit.model
    if fit.at_limit:
        notes.append(
            "customers hardly differ in what they spend: the model is at the limit where they are alike "
            f"(p {spending.p:.3g}, q {spending.q:.3g}, γ {spending.gamma:.3g})"
        )
    if spending.q <= 1:
        notes.append(
            f"no lifetime value: amounts scatter so widely that they have no mean (q is {spending.q:.2f}, above 1 is "
            "needed)"
        )
        return None, correlation
    return spending, correlation


def values_of(repeats: pl.DataFrame, model: ValueModel, today: date, rules: ValueRules) -> pl.DataFrame:
    """customer_id, alive, expected_purchases and lifetime_value, as docs/customers.md says what they are; null for what
    the model does not tell. Whether somebody who bought once is still a customer it never tells."""
    rows = {"customer_id": repeats["customer_id"]}
    if model.buying is None:
        return pl.DataFrame(rows).with_columns(
            pl.lit(None, pl.Float64).alias(name) for name in ("alive", "expected_purchases", "lifetime_value")
        )
    x, t_x, t_total = (repeats[name].to_numpy() for name in ("x", "t_x", "T"))
    alive = model.buying.alive(x, t_x, t_total)
    ahead = [months_after(today, months) for months in range(1, rules.months + 1)]
    purchases, discounted = _ahead(model.buying, x, t_total, [(each - today).days for each in ahead], rules.discount)
    found = pl.DataFrame(rows).with_columns(
        pl.Series("alive", alive).set(pl.Series(x == 0), None),
        pl.Series("expected_purchases", alive * purchases),
    )
    if model.spending is None:
        return found.with_columns(pl.lit(None, pl.Float64).alias("lifetime_value"))
    each = model.spending.expected(repeats["n"].to_numpy(), repeats["z"].fill_null(0.0).to_numpy())
    return found.with_columns(pl.Series("lifetime_value", alive * discounted * each * rules.margin))


def _ahead(buying: BgNbd, x: Floats, t_total: Floats, days: Sequence[int], discount: float) -> tuple[Floats, Floats]:
    """Of somebody who is a customer now: purchases expected within the last of these numbers of days, and the same with
    those of each month discounted as of its end."""
    # Many customers share x and T, and the formula is dear.
    pairs = pl.DataFrame({"x": x, "T": t_total})
    unique = pairs.unique(maintain_order=True)
    xs, ts = unique["x"].to_numpy(), unique["T"].to_numpy()
    before, discounted = np.zeros(len(xs)), np.zeros(len(xs))
    for month, day in enumerate(days, 1):
        until = buying.expected_while_alive(day / _DAYS_IN_WEEK, xs, ts)
        discounted += (until - before) / (1 + discount) ** (month / 12)
        before = until
    spread = pairs.join(
        unique.with_columns(pl.Series("all", before), pl.Series("now", discounted)),
        on=["x", "T"],
        how="left",
        maintain_order="left",
    )
    return spread["all"].to_numpy(), spread["now"].to_numpy()
