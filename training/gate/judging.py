"""Whether a bundle is fit to take the place of the one in force.

The bundle in force has seen everything up to the moment that it was trained, a candidate everything up to now: on what
happened before, either has an advantage that no customer will notice. So they are compared on the newest events that
the bundle in force has not seen, and the candidate is stood in for by a rehearsal: the same settings, fitted on what
was known when these events began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl

from recsys.bundle.bundle import ModelBundle
from recsys.data.interactions import EventTable
from recsys.errors import NotEnoughDataError
from recsys.metrics.ranking import COVERAGE, NDCG, RECALL
from recsys.metrics.uncertainty import Verdict as Word
from recsys.metrics.uncertainty import holm, intervals, verdicts
from training.evaluation.comparison import Scored
from training.evaluation.held_out import HeldOut
from training.evaluation.protocols import Part
from training.gate.asking import Lists, lists_of
from training.gate.budget import FOR_LATENCY, Budget
from training.gate.latency import Latency, latency_of
from training.gate.rehearsal import drawn, expected_seconds, rehearsed
from training.gate.window import before, held_out_of, newest_of, unseen_part
from training.stages import StageCost, StageLog
from training.tuning import Tuned
from training.tuning.judging import Jury, K
from training.validation import MOST_EVENTS, sampled

MOST_CUSTOMERS: Final = 10_000
"""So many customers are asked for lists, at most; drawn by the seed."""

PILOT: Final = 500
"""So many are asked first: how long that takes decides how many there are."""

JUDGED: Final = (f"{RECALL}@{K}", f"{NDCG}@{K}")
"""What must not fall."""

SURE: Final = 0.99
"""A fall is clear when chance explains it, on any of `JUDGED`, with a probability of at most 1 − this (Holm). A gate
that is asked every night and is wrong once in forty stops a good bundle every six weeks."""

LEAST_QUALITY: Final = 0.98
"""A candidate that keeps this share of a metric is let pass, however clear the rest of it is lost: with ever more
customers ever smaller differences are clear."""

LEARNING: Final = 0.1
"""Quality grows with the customers that are learned from, as their number to this power at most: twice as many, 7 %. A
rehearsal on a part of them is given that much."""

LEAST_COVERAGE: Final = 0.75
"""A candidate whose lists show less than this share of what those of the bundle in force show is refused."""

LEAST_FILLED: Final = 0.95
"""The same for the number of items in the lists."""

MOST_LATENCY: Final = 1.25
"""A candidate is refused when the library call takes surely longer than this times what it takes with the bundle in
force,"""

FAST_ENOUGH: Final = 0.000_5
"""and more than so many seconds: a faster one holds nobody up, however much faster the one before was."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says.

    Attributes
    ----------
    refused : why the candidate must not be put in force; nothing when it may.
    judged : the figures, for the report: numbers and texts by name.
    """

    refused: tuple[str, ...] = ()
    judged: Mapping[str, Any] = field(default_factory=dict)

    @property
    def admits(self) -> bool:
        """Whether the candidate may be put in force."""
        return not self.refused

    def and_also(self, refused: Sequence[str], judged: Mapping[str, Any]) -> Verdict:
        """With further reasons and figures."""
        return Verdict((*self.refused, *refused), {**self.judged, **judged})


def judge(
    table: EventTable,
    catalogue: pl.DataFrame,
    candidate: ModelBundle,
    in_force: ModelBundle,
    tuned: Tuned,
    fitted: Sequence[StageCost],
    budget: Budget,
    stages: StageLog,
) -> Verdict:
    """Compares a candidate with the bundle in force.

    It is refused when recall or NDCG at 20 falls clearly, when the lists show clearly less of the shop or are shorter,
    and when the library call takes clearly longer.

    Parameters
    ----------
    table, catalogue : all that the store has now.
    tuned : what the candidate was fitted with.
    fitted : what each stage of that took.
    budget : what all of this may take; decides how many customers are asked, and learned from.
    """
    config = tuned.config
    with stages.stage("draw window"):
        rows, _ = sampled(table, config.seed, MOST_EVENTS)
        unseen = unseen_part(rows, config.target_kinds, newest_of(in_force))
        held_out = held_out_of(rows, unseen, config.target_kinds, config.seed, (candidate, in_force))
        if isinstance(held_out, str):
            return Verdict(judged={"cause": held_out})
    jury, ours, theirs = _both(candidate, in_force, held_out, tuned, budget, stages)
    verdict = _of_lists(ours, theirs, len(jury.rows))
    with stages.stage("time both"):
        seconds = min(FOR_LATENCY * budget.seconds, budget.left)
        latency = latency_of(candidate, in_force, held_out, held_out.row[jury.rows], seconds, config.seed)
    verdict = verdict.and_also(*of_latency(latency))
    if not isinstance(unseen, Part):
        return verdict.and_also((), {"quality": {"cause": unseen}})
    earlier = before(table, unseen.until)
    events = earlier.events.height / max(1, table.events.height)
    share = budget.share(expected_seconds(fitted, events))
    try:
        earlier = drawn(earlier, share, config.seed)
        rehearsal = lists_of(rehearsed(earlier, catalogue, candidate, tuned, stages), held_out, jury, config.threads)
    except NotEnoughDataError as error:
        return verdict.and_also((), {"quality": {"cause": error.found}})
    return verdict.and_also(*_of_quality(rehearsal.scored, theirs.scored, unseen.until, share, config.seed))


def _both(
    candidate: ModelBundle, in_force: ModelBundle, held_out: HeldOut, tuned: Tuned, budget: Budget, stages: StageLog
) -> tuple[Jury, Lists, Lists]:
    """Whom both are asked about, as many as the budget allows, and their lists."""
    config = tuned.config
    pilot = Jury.drawn(held_out, PILOT, config.seed)
    with stages.stage("ask about some", len(pilot.rows)):
        ours, theirs = (lists_of(bundle, held_out, pilot, config.threads) for bundle in (candidate, in_force))
    number = budget.customers(len(pilot.rows), stages.costs[-1].seconds, MOST_CUSTOMERS)
    if number <= len(pilot.rows) or len(pilot.rows) == len(held_out.relevant):
        return pilot, ours, theirs
    jury = Jury.drawn(held_out, number, config.seed)
    with stages.stage("ask both", len(jury.rows)):
        ours, theirs = (lists_of(bundle, held_out, jury, config.threads) for bundle in (candidate, in_force))
    return jury, ours, theirs


def _of_quality(
    ours: Scored, theirs: Scored, since: int | None, share: float, seed: int
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """What the gate says of what the lists foresee."""
    paired = np.stack([ours.each[metric] - theirs.each[metric] for metric in JUDGED], axis=1)
    found = dict(zip(JUDGED, intervals(paired, seed), strict=True))
    words, adjusted = verdicts(found, SURE), holm([each.p for each in found.values()])
    refused, metrics, kept = [], {}, LEAST_QUALITY * share**LEARNING
    for (metric, difference), p in zip(found.items(), adjusted, strict=True):
        means = {"candidate": ours.means()[metric], "in_force": theirs.means()[metric]}
        told = {"low": difference.low, "high": difference.high, "p_holm": p, "verdict": str(words[metric])}
        metrics[metric] = means | {"difference": difference.mean} | told
        if words[metric] is Word.WORSE and means["candidate"] < kept * means["in_force"]:
            fall = f"{metric} falls from {means['in_force']:.4f} to {means['candidate']:.4f}"
            refused.append(f"{fall} on {len(paired):,} customers' newest events, which neither has seen")
    return tuple(refused), {"quality": {"since": since, "learned_from": share, "metrics": metrics}}


def _of_lists(ours: Lists, theirs: Lists, customers: int) -> Verdict:
    """What the lists alone say, whoever has seen what."""
    name = f"{COVERAGE}@{K}"
    shown = {"candidate": ours.scored.coverage[name], "in_force": theirs.scored.coverage[name]}
    filled = {"candidate": ours.filled, "in_force": theirs.filled}
    refused = []
    if shown["candidate"] < LEAST_COVERAGE * shown["in_force"]:
        refused.append(f"lists show {shown['candidate']:.1%} of all items and showed {shown['in_force']:.1%}")
    if filled["candidate"] < LEAST_FILLED * filled["in_force"]:
        refused.append(f"lists have {filled['candidate'] * K:.1f} of {K} items and had {filled['in_force'] * K:.1f}")
    return Verdict(tuple(refused), {"customers": customers, name: shown, "filled": filled})


def of_latency(found: Latency) -> tuple[tuple[str, ...], dict[str, Any]]:
    """What the gate says of what a list costs."""
    judged = {"latency": asdict(found)}
    if found.low <= MOST_LATENCY or found.candidate <= FAST_ENOUGH:
        return (), judged
    longer = f"a list takes {found.ratio:.2f} times as long ({found.low:.2f} to {found.high:.2f})"
    return (f"{longer}: {found.candidate * 1e6:,.0f} µs, and it took {found.in_force * 1e6:,.0f} µs",), judged
