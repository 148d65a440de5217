"""What must not get worse, whatever the experiment is about."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from recsys.outcomes.attribution import Outcomes, summed
from recsys.outcomes.lift import Lift, Mean, lift_of, mean_of, ratio_of

LATENCY: Final = "latency"

MARGINS: Final = {LATENCY: 0.2, "short_lists": 0.1, "returns": 0.1, "unsubscribes": 0.1}
"""How much worse than the control, as a share of it, an arm may look before it is warned of."""

NAMES: Final = {
    LATENCY: "seconds of computing per answer",
    "short_lists": "lists with fewer items than asked for",
    "returns": "items returned per item bought",
    "unsubscribes": "customers who unsubscribed or complained",
}


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One of them, of one arm.

    Attributes
    ----------
    control, arm : the value of each.
    lift : how much more it is; more is worse. None while there is too little.
    """

    name: str
    control: float
    arm: float
    lift: Lift | None

    @property
    def is_worse(self) -> bool:
        """Whether it is surely worse, and by more than the margin as it looks."""
        return self.lift is not None and self.lift.low > 0 and self.lift.value > MARGINS[self.name]


def guardrails(
    outcomes: Outcomes, answered: pl.DataFrame, arm: str, control: str, window_days: int, alpha: float
) -> list[Guardrail]:
    """All of them, of one arm against the control.

    Parameters
    ----------
    answered : in `ANSWERS_SCHEMA`. Answers are taken as independent of each other; of one customer they are not quite.
    alpha : how often each may warn without cause, ever.
    """
    found = []
    pairs = {
        LATENCY: [_latency(answered, each) for each in (arm, control)],
        "short_lists": [_short(answered, each) for each in (arm, control)],
        "returns": [_returns(outcomes, each, window_days) for each in (arm, control)],
        "unsubscribes": [_left(outcomes, each, window_days) for each in (arm, control)],
    }
    for name, (own, other) in pairs.items():
        found.append(Guardrail(name, other.value, own.value, lift_of(own, other, MARGINS[name], alpha)))
    return found


def _latency(answered: pl.DataFrame, arm: str) -> Mean:
    answers, _, seconds, squared = _totals(answered, arm)
    if answers < 2 or seconds <= 0:
        return Mean(0.0, math.inf, int(answers), 0)
    mean = seconds / answers
    variance = max(0.0, squared - answers * mean**2) / (answers - 1)
    return Mean(mean, variance / answers / mean**2, int(answers), int(answers))


def _short(answered: pl.DataFrame, arm: str) -> Mean:
    answers, short, _, _ = _totals(answered, arm)
    if answers < 2 or not short:
        return Mean(0.0, math.inf, int(answers), int(short))
    share = short / answers
    return Mean(share, (1 - share) / share / answers, int(answers), int(short))


def _totals(answered: pl.DataFrame, arm: str) -> tuple[float, float, float, float]:
    of_arm = answered.filter(pl.col("arm") == arm)
    answers, short, seconds, squared = (
        float(of_arm[name].sum()) for name in ("answers", "short", "seconds", "seconds_squared")
    )
    return answers, short, seconds, squared


def _returns(outcomes: Outcomes, arm: str, window_days: int) -> Mean:
    sums, own = summed(outcomes, 0, window_days), outcomes.people["arm"].to_numpy() == arm
    return ratio_of(sums["returned_items"][own], sums["purchased"][own])


def _left(outcomes: Outcomes, arm: str, window_days: int) -> Mean:
    left, own = summed(outcomes, 0, window_days)["left"], outcomes.people["arm"].to_numpy() == arm
    return mean_of((left[own] > 0).astype(np.float64))
