"""What came of an experiment so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from recsys.experiments.definition import HOLDOUT, Experiment
from recsys.outcomes.attribution import BEFORE_DAYS, OUTCOME_KINDS, Outcomes, first_exposures, outcomes_of, values_of
from recsys.outcomes.click_through import SEEN_KINDS, click_through
from recsys.outcomes.exposure import DAY_MS
from recsys.outcomes.guardrails import LATENCY, NAMES, Guardrail, guardrails
from recsys.outcomes.lift import Lift, Mean, adjusted, lift_of, mean_of, ratio_of
from recsys.outcomes.metric import Metric
from recsys.outcomes.sample_ratio import SampleRatio, sample_ratio
from recsys.outcomes.sequences import ALPHA
from recsys.stores.protocols import Store

CLICK_THROUGH: Final = "click_through"
"""Of the items that were seen, the share that was clicked; by the answers' tokens."""

MAX_CROSSED = 0.01
"""A larger share of customers who were served more than one arm is warned of."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric of one arm against the control.

    Attributes
    ----------
    metric : a `Metric`, or `CLICK_THROUGH`.
    control, arm : the mean of each, not adjusted for what was to be expected; the lift is.
    lift : None while there is too little data.
    """

    metric: str
    arm_name: str
    control: Mean
    arm: Mean
    lift: Lift | None
    is_primary: bool


@dataclass(frozen=True, slots=True)
class ArmCount:
    """How many were in an arm.

    Attributes
    ----------
    share : of all customers, as planned.
    customers : who were served it first.
    exposures : days on which these were served any arm, added up.
    """

    name: str
    share: float
    customers: int
    exposures: int


@dataclass(frozen=True, slots=True)
class Report:
    """An experiment as of one moment (milliseconds UTC)."""

    experiment: Experiment
    as_of: int
    arms: tuple[ArmCount, ...]
    split: SampleRatio
    compared: tuple[Compared, ...]
    guardrails: tuple[tuple[str, Guardrail], ...]
    crossed: int
    currency: str | None
    observed_90_days: int
    warnings: tuple[str, ...]


def report_on(experiment: Experiment, store: Store, as_of: int, arm_of: Callable[[str], str | None]) -> Report:
    """The report as of a moment (milliseconds UTC): what happened later is not seen, what was known of it then is.

    Parameters
    ----------
    arm_of : what the token of an answer says of its arm, as `Experiment.label`; None for one that is not ours.

    Every interval of a comparison holds at all looks together. With several arms beside the control, each has its part
    of alpha, so that in an experiment without effects the verdict on any of them is wrong with probability at most
    alpha. Only the primary metric has a verdict: the others say what else moved.
    """
    people = first_exposures(store.exposures.served(experiment.name, as_of), experiment.starts)
    people = people.filter(pl.col("arm").is_in(list(experiment.shares)))
    since = _int(people["first"].min(), as_of)
    events = store.events.period(OUTCOME_KINDS, since - BEFORE_DAYS * DAY_MS, as_of + 1)
    outcomes = outcomes_of(people, events, as_of)
    seen = _seen(experiment, store, people, since, as_of, arm_of)
    # Answers of before a start that was moved are no part of it, as their customers are not.
    begin = -(2**31) if experiment.starts is None else experiment.starts // DAY_MS
    answered = store.exposures.answered(experiment.name).filter(pl.col("day").is_between(begin, as_of // DAY_MS))
    others = [name for name in experiment.shares if name != experiment.control]
    alpha = ALPHA / len(others)
    compared = [*_compared(experiment, outcomes, others, alpha), *_clicked(experiment, seen, others, alpha)]
    rails = [
        (name, rail)
        for name in others
        for rail in guardrails(outcomes, answered, name, experiment.control, experiment.window_days, alpha)
        # Lists of the holdout are made for each answer and those of the arms are kept: that is no fault of an arm.
        if not (name == HOLDOUT and rail.name == LATENCY)
    ]
    split = _split(experiment, people)
    return Report(
        experiment=experiment,
        as_of=as_of,
        arms=_counts(experiment, people),
        split=split,
        compared=tuple(compared),
        guardrails=tuple(rails),
        crossed=int(people["crossed"].sum()),
        currency=outcomes.currency,
        observed_90_days=people.filter(pl.col("first") <= as_of - 90 * DAY_MS).height,
        warnings=tuple(_warnings(experiment, outcomes, split, rails)),
    )


def verdict(compared: Compared, smallest: float) -> str:
    """The primary metric's lift in words."""
    lift = compared.lift
    if lift is None:
        return "too little data yet"
    if lift.low > 0:
        return f"better, by {lift.low:.1%} or more"
    if lift.high < 0:
        return f"worse, by {-lift.high:.1%} or more"
    if lift.high < smallest:
        return f"not better by {smallest:.1%} or more"
    return "no difference found yet"


def _compared(experiment: Experiment, outcomes: Outcomes, others: list[str], alpha: float) -> list[Compared]:
    found = []
    for metric in Metric:
        known = values_of(outcomes, metric, experiment.window_days)
        expected = adjusted(known.values, known.before)
        of_arm = {name: known.arms == name for name in (*others, experiment.control)}
        raw = {name: mean_of(known.values[where]) for name, where in of_arm.items()}
        fair = {name: _with_active(mean_of(expected[where]), raw[name]) for name, where in of_arm.items()}
        found += [
            Compared(
                str(metric),
                name,
                raw[experiment.control],
                raw[name],
                lift_of(fair[name], fair[experiment.control], experiment.smallest_lift, alpha),
                metric is experiment.primary,
            )
            for name in others
        ]
    return found


def _with_active(mean: Mean, raw: Mean) -> Mean:
    """Adjusted values are hardly ever zero: how many customers did something is said by the values as they were."""
    return mean._replace(active=raw.active)


def _seen(
    experiment: Experiment,
    store: Store,
    people: pl.DataFrame,
    since: int,
    as_of: int,
    arm_of: Callable[[str], str | None],
) -> pl.DataFrame:
    labels = {experiment.label(name): name for name in experiment.shares}
    events = store.events.period(SEEN_KINDS, since, as_of + 1)
    return click_through(events, people, lambda token: labels.get(arm_of(token) or ""), as_of)


def _clicked(experiment: Experiment, seen: pl.DataFrame, others: list[str], alpha: float) -> list[Compared]:
    def of(name: str) -> Mean:
        rows = seen.filter(pl.col("arm") == name)
        return ratio_of(rows["clicked"].to_numpy().astype(np.float64), rows["shown"].to_numpy().astype(np.float64))

    control = of(experiment.control)
    return [
        Compared(
            CLICK_THROUGH,
            name,
            control,
            of(name),
            lift_of(of(name), control, experiment.smallest_lift, alpha),
            is_primary=False,
        )
        for name in others
    ]


def _counts(experiment: Experiment, people: pl.DataFrame) -> tuple[ArmCount, ...]:
    counted = {
        str(arm): (customers, days)
        for arm, customers, days in people.group_by("arm").agg(pl.len(), pl.col("days").sum()).iter_rows()
    }
    return tuple(ArmCount(name, share, *counted.get(name, (0, 0))) for name, share in experiment.shares.items())


def _split(experiment: Experiment, people: pl.DataFrame) -> SampleRatio:
    """Looked at after every day on which somebody came in."""
    names = list(experiment.shares)
    by_day = (
        people.with_columns(day=pl.col("first") // DAY_MS)
        .group_by("day")
        .agg(*((pl.col("arm") == name).sum().alias(name) for name in names))
        .sort("day")
    )
    counts = by_day.select(pl.col(name).cast(pl.Int64).cum_sum() for name in names).to_numpy().reshape(-1, len(names))
    return sample_ratio(counts, np.array(list(experiment.shares.values())))


def _warnings(
    experiment: Experiment, outcomes: Outcomes, split: SampleRatio, rails: list[tuple[str, Guardrail]]
) -> list[str]:
    people = outcomes.people
    if people.is_empty():
        return ["nobody has been served an arm yet"]
    told = []
    if split.is_off:
        told.append(
            f"the split of customers is not as planned (p = {split.p_value:.1g}): something drops or moves customers "
            "of one arm, and no figure here can be trusted until it is found"
        )
    for name, rail in rails:
        if rail.is_worse and rail.lift is not None:
            told.append(f"{name}: {NAMES[rail.name]} are {rail.lift.value:.0%} more than in {experiment.control}")
    crossed = int(people["crossed"].sum())
    if crossed > MAX_CROSSED * people.height:
        told.append(
            f"{crossed:,} of {people.height:,} customers were served more than one arm, as visitors who log in may be, "
            "or as arms, weights or salt were changed; they count for their first, which makes differences look smaller"
        )
    if outcomes.uncounted:
        told.append(
            f"{outcomes.uncounted:,} purchases have no price or are not in {outcomes.currency or 'one currency'}; "
            "revenue and value leave them out"
        )
    return told


def _int(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
