"""Training again, by a clock: only when there is something new, and never for the worse."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from recsys.bundle.repository import BundleRepository
from recsys.data.events import EXPOSURE_KINDS, EventKind
from recsys.errors import BundleError
from recsys.stores.protocols import Store
from training.checkpoints import training_alone
from training.fitting import TrainingConfig
from training.gate import Budget, Verdict, judge
from training.outcome import Forced, Outcome, Retrained
from training.pipeline import Run, Trained, learn
from training.retraining_report import kept_report
from training.stages import StageLog

_NOT_LEARNED: Final = frozenset({*EXPOSURE_KINDS, EventKind.UNDO})


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """When there is reason to train: any of what is asked for; always, where nothing is.

    Attributes
    ----------
    newer_events : so many events came since the bundle in force was trained; None: not asked for.
    max_age : the bundle in force is older, milliseconds; None: not asked for.
    """

    newer_events: int | None = None
    max_age: int | None = None


def retrain(
    store: Store,
    repository: BundleRepository,
    config: TrainingConfig,
    run: Run,
    when: When,
    stages: StageLog,
    *,
    keep: int | None,
    used: Collection[str] = (),
    forced: Forced | None = None,
) -> Retrained:
    """Trains when there is reason to, judges the result, and puts it in force unless it is clearly worse.

    What the gate found lies beside the bundle before anything is in force. A bundle that was refused stays in the
    repository, where `promote` finds it. `keep` bundles stay there, and those that are `used` elsewhere; None: all.

    Raises what `learn` raises; TrainingUnderWayError when another process trains for the shop.
    """
    with training_alone(run.scratch):
        before = repository.current_id()
        reason, newer, age = _reason(store, repository, before, when, run.now)
        if reason is None:
            return Retrained(Outcome.NOTHING_NEW, "there is nothing new to learn from", newer, age, before)
        trained = learn(
            store, lambda manifest, arrays, build, _: repository.add(manifest, arrays, build), config, run, stages
        )
        if trained.bundle_id == before:
            return Retrained(Outcome.NOTHING_NEW, "the same was learned as before", newer, age, before, trained)
        budget, gate = Budget(trained.fit_seconds), StageLog(stages.progress)
        verdict = _verdict(store, repository, before, trained, budget, gate)
        outcome = Outcome.PUBLISHED if verdict is None or verdict.admits or forced else Outcome.REFUSED
        spent = budget.spent if gate.costs else 0.0
        done = Retrained(outcome, reason, newer, age, before, trained, verdict, spent, gate.costs)
        repository.keep_report(trained.bundle_id, *kept_report(done, run.now, forced))
        if outcome is Outcome.PUBLISHED:
            repository.put_in_force(trained.bundle_id, run.now)
        removed = () if keep is None else tuple(repository.prune(keep, used))
    return replace(done, removed=removed)


def _reason(
    store: Store, repository: BundleRepository, before: str | None, when: When, now: int
) -> tuple[str | None, int | None, int | None]:
    """Why to train, None for no reason; and how much is newer than the bundle in force, and how old that is."""
    if before is None:
        return "there is no bundle in force", None, None
    try:
        build, manifest = repository.build(before), repository.manifest(before)
    except BundleError as error:
        return f"the bundle in force cannot be read: {error}", None, None
    at = build.get("at")
    age = now - at if isinstance(at, int) else None
    learned = build.get("stored", manifest.data["kinds"])
    newer = max(0, _counted(store.events.summary()["events"]) - _counted(learned if isinstance(learned, dict) else {}))
    if when.newer_events is None and when.max_age is None:
        return "it was asked for", newer, age
    if when.newer_events is not None and newer >= when.newer_events:
        return f"{newer:,} events are newer than the bundle in force", newer, age
    if when.max_age is not None and (age is None or age >= when.max_age):
        return "the bundle in force is older than it may be", newer, age
    return None, newer, age


def _counted(kinds: Mapping[str, Any]) -> int:
    """How many events there are that anything is learned from."""
    return sum(int(count) for kind, count in kinds.items() if kind not in {str(each) for each in _NOT_LEARNED})


def _verdict(
    store: Store, repository: BundleRepository, before: str | None, trained: Trained, budget: Budget, stages: StageLog
) -> Verdict | None:
    """What the gate says; None where there is nothing to compare with."""
    if before is None:
        return None
    with stages.stage("load"):
        try:
            in_force = repository.load(before)
        except BundleError as error:
            return Verdict(judged={"cause": f"the bundle in force cannot be read: {error}"})
        candidate = repository.load(trained.bundle_id)
        table, catalogue = trained.read or (store.events.read(), store.catalog.read())
    return judge(table, catalogue, candidate, in_force, trained.tuned, trained.fitted, budget, stages)
