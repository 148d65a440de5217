"""From a store to a published bundle: read → compile → tune → fit → publish."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from recsys import __version__
from recsys.bundle.bundle import Arrays
from recsys.bundle.manifest import Manifest
from recsys.bundle.repository import BundleRepository
from recsys.data.events import EventKind
from recsys.data.interactions import EventTable
from recsys.stores.protocols import Store
from training.checkpoints import Checkpoints, training_alone
from training.fitting import (
    UNTUNED,
    TrainingConfig,
    catalogue_digest,
    compile_interactions,
    fingerprint,
    fit,
    with_rating_scale,
)
from training.stages import StageCost, StageLog
from training.tuning import Tuned, shipped, tune
from training.tuning.record import FolderRecord
from training.validation import predicted_kinds, validation_of

KEPT_EVENTS = 5_000_000
"""So many events, some 170 MB, stay in memory while models are fitted, for whoever judges them; more are read again."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training run made.

    Attributes
    ----------
    bundle_id : of what was published.
    data, tuning, relevance : sections of its manifest.
    costs, fitted : what each stage cost, and those of the fit once more.
    tuned : with which settings.
    read : the events and the catalogue that it learned from, where it is little (`KEPT_EVENTS`).
    """

    bundle_id: str
    data: Mapping[str, Any]
    tuning: Mapping[str, Any]
    relevance: Mapping[str, Any]
    costs: list[StageCost]
    fitted: Sequence[StageCost]
    tuned: Tuned
    read: tuple[EventTable, pl.DataFrame] | None = None

    @property
    def fit_seconds(self) -> float:
        """What fitting took: neither reading nor tuning nor writing."""
        return sum(cost.seconds for cost in self.fitted)


Publish = Callable[[Manifest, Arrays, Mapping[str, object], int], str]
"""Takes a bundle's manifest, arrays and build, and the time in milliseconds UTC; returns the bundle's id."""


@dataclass(frozen=True, slots=True)
class Run:
    """How one training run is to go.

    Attributes
    ----------
    target : the kinds of events that lists predict; None: what `predicted_kinds` finds.
    budget : seconds for tuning; 0 for the shipped settings.
    scratch : where finished stages are kept until the bundle is published.
    record : where studies are kept from one run to the next.
    now : milliseconds UTC, for the list of publications; the bundle itself does not depend on it.
    host : a name of this machine for `build.json`.
    """

    target: frozenset[EventKind] | None
    budget: float
    scratch: Path
    record: Path
    now: int
    host: str


def train(store: Store, repository: BundleRepository, config: TrainingConfig, run: Run, stages: StageLog) -> Trained:
    """Learns from everything in the store and puts the result in force, whatever it is: `retrain` asks the gate first.
    A run that was stopped goes on where it was.

    Raises NotEnoughDataError when the store holds too little, BundleError when the bundle cannot be written, InputError
    when another process is training for this shop.
    """
    with training_alone(run.scratch):
        return learn(store, repository.publish, config, run, stages)


def learn(store: Store, publish: Publish, config: TrainingConfig, run: Run, stages: StageLog) -> Trained:
    """The same for a caller who sees to it that nobody else trains, and decides what becomes of the bundle."""
    with stages.stage("read"):
        stored = dict(store.events.summary()["events"])
        table, catalogue = store.events.read(), store.catalog.read()
    with stages.stage("compile"):
        interactions = compile_interactions(table)
        config = replace(
            config,
            event_weights=with_rating_scale(config.event_weights, interactions),
            target_kinds=run.target or predicted_kinds(interactions),
        )
    compiled = stages.costs[-1:]
    tuned = _tuned(table, catalogue, config, run, stages)
    described = {
        "data": fingerprint(interactions),
        "catalogue": catalogue_digest(catalogue),
        "config": tuned.config.described(),
        "software": __version__,
    }
    read = (table, catalogue) if table.events.height <= KEPT_EVENTS else None
    del table
    kept = Checkpoints.of(run.scratch, described)
    begin = len(stages.costs)
    manifest, arrays = fit(interactions, catalogue, tuned.config, stages, tuned.report, tuned.relevance, kept)
    fitted = [*compiled, *stages.costs[begin:]]
    with stages.stage("publish"):
        build = {
            "at": run.now,
            "host": run.host,
            "threads": config.threads,
            "stored": stored,
            "stages": [asdict(cost) for cost in stages.costs],
        }
        bundle_id = publish(manifest, arrays, build, run.now)
    kept.clear()
    return Trained(bundle_id, manifest.data, manifest.tuning, manifest.relevance, stages.costs, fitted, tuned, read)


def _tuned(table: EventTable, catalogue: pl.DataFrame, config: TrainingConfig, run: Run, stages: StageLog) -> Tuned:
    if not run.budget:
        return shipped(config, UNTUNED["cause"])
    with stages.stage("draw validation"):
        validation = validation_of(table, config.target_kinds, config.seed)
    if isinstance(validation, str):
        return shipped(config, validation)
    tuned = tune(validation, catalogue, config, run.budget, stages, FolderRecord(run.record))
    # The rating scale of everything, not of what validation left.
    weights = replace(tuned.config.event_weights, rating_scale=config.event_weights.rating_scale)
    return replace(tuned, config=replace(tuned.config, event_weights=weights))
