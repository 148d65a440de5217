"""What stands in for a candidate: the same settings, fitted on what was known when the unseen events began."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from recsys.bundle.bundle import Arrays, ModelBundle, assembled
from recsys.data.interactions import EventTable, Interactions
from training.fitting import compile_interactions, fit, with_rating_scale
from training.stages import StageCost, StageLog
from training.tuning import Tuned

_COMPILE, _CONTENT = "compile", "content"
_NOT_REHEARSED = frozenset({"read", "draw validation", _CONTENT, "related", "publish"})


@dataclass(frozen=True, slots=True)
class _Taken:
    """Implements `Keeping`: the stage of contents is the candidate's, as it is learned from the catalogue alone."""

    content: Arrays | None

    def stage(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """See `Keeping`."""
        return self.content if name == _CONTENT and self.content is not None else compute()


def rehearsed(
    table: EventTable, catalogue: pl.DataFrame, candidate: ModelBundle, tuned: Tuned, stages: StageLog
) -> ModelBundle:
    """The bundle that the candidate's settings would have given on these events; NotEnoughDataError when they are too
    few."""
    with stages.stage(_COMPILE):
        training = compile_interactions(table)
        weights = with_rating_scale(tuned.config.event_weights, training)
        config = replace(tuned.config, event_weights=weights, related=None)
    kept = _Taken(candidate.content.arrays() if _same_items(training, candidate) else None)
    return assembled("rehearsal", *fit(training, catalogue, config, stages, tuned.report, tuned.relevance, kept))


def expected_seconds(costs: Sequence[StageCost], share: float) -> float:
    """How long a rehearsal on this share of the events will take, from what the candidate's stages took."""
    return share * sum(cost.seconds for cost in costs if cost.name not in _NOT_REHEARSED)


def drawn(table: EventTable, share: float, seed: int) -> EventTable:
    """The events of this share of the customers, drawn by the seed and not by the order of a store."""
    if share >= 1.0:
        return table
    place = np.empty(len(table.customer_ids), dtype=np.int64)
    place[table.customer_ids.arg_sort().to_numpy()] = np.arange(len(place))
    kept = pl.Series(np.random.default_rng(seed).random(len(place))[place] < share)
    return replace(table, events=table.events.filter(kept.gather(table.events["customer"])))


def _same_items(training: Interactions, candidate: ModelBundle) -> bool:
    ours, theirs = training.items, candidate.items
    return np.array_equal(ours.offsets, theirs.offsets) and np.array_equal(ours.text, theirs.text)
