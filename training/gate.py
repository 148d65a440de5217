"""Whether a bundle is fit to take the place of the one in force.

The bundle in force has seen everything up to the moment that it was trained, a candidate everything up to now: on what
happened before, either has an advantage that no customer will notice. So they are compared on the newest events that
the bundle in force has not seen, and the candidate is stood in for by a rehearsal: the same settings, fitted on what
was known when these events began.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import polars as pl

from recsys.bundle.bundle import ModelBundle
from recsys.data.events import EventKind
from recsys.data.interactions import EventTable
from recsys.errors import InputError, NotEnoughDataError
from recsys.metrics.ranking import COVERAGE, NOTHING, Ranked
from recsys.recommend.placement import DEFAULT_PLACEMENT
from recsys.stores.frames import behaviour
from training.evaluation.comparison import Scored, score
from training.evaluation.held_out import HeldOut, Repeats, Rules, hold_out
from training.evaluation.modelling import fit_models, rank_all
from training.evaluation.protocols import PAIR, Part, latest_part
from training.fitting import TrainingConfig, compile_interactions
from training.stages import StageLog
from training.tuning import Tuned
from training.tuning.judging import OBJECTIVE, Jury, K, gain
from training.validation import MOST_EVENTS, part_of, sampled

MOST_CUSTOMERS: Final = 10_000
"""So many customers are asked for, at most; drawn by the seed."""

LEAST_COVERAGE: Final = 0.75
"""A candidate whose lists show less than this share of what those of the bundle in force show is refused."""

LEAST_FILLED: Final = 0.95
"""The same for the number of items in the lists."""


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
    stages: StageLog,
) -> Verdict:
    """Compares a candidate with the bundle in force; `tuned` is what the candidate was fitted with.

    It is refused when the bundle in force is clearly better in what tuning raises (`Gain.clear`), and when the lists
    show clearly less of the shop or are shorter.
    """
    config = tuned.config
    with stages.stage("draw window"):
        rows, _ = sampled(table, config.seed, MOST_EVENTS)
        unseen = _unseen(rows, config.target_kinds, in_force.manifest.data.get("newest"))
        held_out = _held_out(rows, unseen, config, (candidate, in_force))
        if isinstance(held_out, str):
            return Verdict(judged={"cause": held_out})
        jury = Jury.drawn(held_out, MOST_CUSTOMERS, config.seed)
    with stages.stage("ask both", len(jury.rows)):
        ours = _asked(candidate, held_out, jury, config.threads)
        theirs = _asked(in_force, held_out, jury, config.threads)
    verdict = _of_lists(ours, theirs, len(jury.rows))
    if not isinstance(unseen, Part):
        return verdict.and_also((), {"quality": {"cause": unseen}})
    try:
        before = fit_models(compile_interactions(_before(table, unseen.until)), catalogue, tuned, stages)
    except NotEnoughDataError as error:
        return verdict.and_also((), {"quality": {"cause": error.found}})
    rehearsal = _asked(before, held_out, jury, config.threads)
    return verdict.and_also(*_of_quality(rehearsal.scored, theirs.scored, unseen.until))


def _held_out(
    rows: pl.DataFrame, unseen: Part | str, config: TrainingConfig, bundles: Sequence[ModelBundle]
) -> HeldOut | str:
    """Who is asked for lists, and what they turned out to want: on what is unseen, else on what tuning would take; or
    why there is nobody. Every item of the bundles is a candidate."""
    part = unseen if isinstance(unseen, Part) else part_of(rows, config.target_kinds, config.seed)[0]
    if part is None:
        return f"{unseen}, and no customer has enough items to ask for lists"
    mask = DEFAULT_PLACEMENT.mask_kinds | config.target_kinds
    rules = Rules(target=config.target_kinds, visible=None, repeats=Repeats.EXCLUDE, mask=mask)
    every = pl.concat([pl.Series("item_id", list(bundle.items)) for bundle in bundles]).unique()
    try:
        return hold_out(part, rules, every)
    except InputError as error:
        return error.found


def _of_quality(ours: Scored, theirs: Scored, since: int | None) -> tuple[tuple[str, ...], dict[str, Any]]:
    """What the gate says of what tuning raises."""
    loss = gain(theirs.each[OBJECTIVE], ours.each[OBJECTIVE])
    means = {"candidate": ours.means()[OBJECTIVE], "in_force": theirs.means()[OBJECTIVE]}
    judged = {"metric": OBJECTIVE, "since": since, **means, "loss": loss.mean, "error": loss.error}
    if not loss.clear:
        return (), {"quality": judged}
    fall = f"{OBJECTIVE} falls from {means['in_force']:.4f} to {means['candidate']:.4f}"
    return (f"{fall} on {loss.customers:,} customers' newest events, which neither has seen",), {"quality": judged}


@dataclass(frozen=True, slots=True)
class _Lists:
    """Lists of one bundle: their metrics, and how many of `K` places they fill on average, 0 to 1."""

    scored: Scored
    filled: float


def _of_lists(ours: _Lists, theirs: _Lists, customers: int) -> Verdict:
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


def _unseen(rows: pl.DataFrame, target: Collection[EventKind], newest: int | None) -> Part | str:
    """The newest tenth of what is to be predicted, as far as the bundle in force has not seen it; or why there is
    nothing of it."""
    latest = latest_part(rows, target)
    if latest is None or latest.until is None:
        return "not all events have times, or too many have the same"
    cut = latest.until if newest is None else max(latest.until, newest + 1)
    known = behaviour(rows)
    named = [str(kind) for kind in target]
    wanted = known.filter(pl.col("kind").is_in(named) & (pl.col("timestamp") >= cut)).select(PAIR).unique().sort(PAIR)
    if wanted.is_empty():
        return "nothing that is to be predicted happened since the bundle in force was trained"
    return Part(rows.filter(pl.col("timestamp").is_null() | (pl.col("timestamp") < cut)), wanted, cut)


def _before(table: EventTable, until: int | None) -> EventTable:
    """What had happened by then."""
    earlier = pl.col("timestamp").is_null() | (pl.col("timestamp") < until)
    return replace(table, events=table.events.filter(earlier))


def _asked(bundle: ModelBundle, held_out: HeldOut, jury: Jury, threads: int) -> _Lists:
    """A bundle's lists for the jury, in the positions of what is held out."""
    histories = held_out.training.over(bundle.items)
    row = held_out.row[jury.rows]
    own = rank_all(bundle, held_out.rules.placement, histories, row, K, threads, held_out.now)
    place = np.append(held_out.training.items.positions(bundle.items), np.int32(NOTHING)).astype(np.int32)
    ranked: Ranked = place[own]
    scored = score(ranked, jury.relevant, (K,), len(held_out.training.items))
    return _Lists(scored, float((ranked != NOTHING).mean()))
