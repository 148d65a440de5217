"""From a validation slice to settings: a plan, trials of the item-item model, weights of the blend.

Nothing but the training part is looked at, and no clock decides what is tried: the plan follows from the data's size
and the budget, so the same data, budget, seed and record give the same settings. Only an overrun of twice the budget
stops a study, and then the report says so.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys import __version__
from recsys.bundle.bundle import ModelBundle, assembled
from recsys.data.signals import EventWeights
from recsys.errors import NotEnoughDataError
from recsys.models.blend import LENGTHS, BlendWeights
from recsys.models.popularity import PopularityConfig, fit_popularity
from recsys.models.warm_up import warm_up
from recsys.recommend.sources import ALS_SOURCE, CONTENT, POPULAR, REPEAT, RP3BETA, SPECTRAL, in_units_of_spread
from training.evaluation.held_out import HeldOut
from training.evaluation.soon import Soon
from training.fitting import TrainingConfig, catalogue_digest, fingerprint, fit, require_enough, with_rating_scale
from training.relevance.calibrated import Calibrated
from training.relevance.calibrating import calibrate
from training.relevance.listed import MOST_CUSTOMERS
from training.stages import StageLog
from training.tuning.candidates import gather
from training.tuning.findings import Findings, configured
from training.tuning.judging import OBJECTIVE, Each, Jury, gain
from training.tuning.plan import Plan, plan_for
from training.tuning.record import Record, Unrecorded, key_of
from training.tuning.space import (
    SHIPPED_FADING,
    VERSION,
    Fading,
    Parameter,
    fadings,
    parameters,
    presets,
    settings_of,
    shape_of,
)
from training.tuning.trials import Trial, best_of, judged, looks_after, run_trials
from training.tuning.weights import Bench, Candidates, best_step, learn_weights

TUNE_BUDGET = 60.0
"""Seconds, when nothing else is asked for."""

OVERRUN = 2.0
"""A study that takes so many times its budget is stopped."""

LEAST_CUSTOMERS = 25
"""With fewer validation customers nothing is chosen: few lists change with any weight, and each source would seem to be
of no use."""

POPULARITY_DAYS = (30.0, 7.0, 90.0)
"""Half-lives of popularity that are compared; the first is the shipped one."""

SEARCHED = (ALS_SOURCE, SPECTRAL, RP3BETA, CONTENT, POPULAR)
"""The sources whose weights beside item-item's 1 are searched."""


_NOT_ASKED = "as before: these lists do not show again what customers have"
_NOBODY_AGAIN = "as before: no validation customer bought again what they had"


@dataclass(frozen=True, slots=True)
class Validation:
    """What settings are chosen on.

    Attributes
    ----------
    lists : the lists that are asked for.
    discovery : what the item-item model is judged on: as `lists`, where what customers have is masked.
    again : what the weight of repeats is learned on: as `lists`, where nothing is masked. None where there is none.
    soon : what relevance is learned on, or why there is nothing.
    of_long_histories : it was drawn among customers with long histories; theirs are then cut to the lengths of all.
    repeats_asked : whether it was looked for what `again` could be learned on.
    described : how it was drawn, for the manifest.
    """

    lists: HeldOut
    discovery: HeldOut
    again: HeldOut | None
    soon: Soon | str
    of_long_histories: bool
    repeats_asked: bool
    described: Mapping[str, Any]

    @property
    def no_repeats(self) -> str:
        """Why nothing is learned of repeats where `again` is None."""
        return _NOBODY_AGAIN if self.repeats_asked else _NOT_ASKED


@dataclass(frozen=True, slots=True)
class Tuned:
    """A configuration, how it was found, as the manifest says it, and the relevance of the lists that it makes."""

    config: TrainingConfig
    report: Mapping[str, Any]
    relevance: Calibrated


def shipped(config: TrainingConfig, cause: str) -> Tuned:
    """The configuration as it is, and why."""
    return Tuned(config, {"settings": "shipped", "cause": cause}, Calibrated.unknown(cause))


def tune(
    validation: Validation,
    catalogue: pl.DataFrame,
    config: TrainingConfig,
    budget: float,
    stages: StageLog,
    record: Record | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Settings and blend weights for this history.

    Parameters
    ----------
    catalogue : in `ITEM_SCHEMA`.
    config : the shipped settings, with the kinds to predict, seed and threads.
    budget : seconds, more than 0.
    record : what earlier and interrupted studies found; none by default.
    monotonic : seconds; for the overrun alone.
    """
    record = record or Unrecorded()
    scaled = with_rating_scale(config.event_weights, validation.discovery.training)
    config = replace(config, event_weights=scaled)
    study = _Study.of(validation, catalogue, config, budget, record.last())
    if study.known is not None:
        return Tuned(study.known.config(config, study.varied), study.known.report, study.known.relevance)
    if not study.plan.blend:
        return shipped(config, f"a budget of {budget:g} s does not suffice for data of this size")
    customers = len(validation.lists.relevant)
    if customers < LEAST_CUSTOMERS:
        return shipped(
            config, f"{customers} validation customers are too few to choose by: {LEAST_CUSTOMERS} are needed"
        )
    try:
        require_enough(validation.lists.training.strengths(config.event_weights.unfading()))
    except NotEnoughDataError as error:
        return shipped(config, f"too little is left to learn from beside validation: {error.found}")
    with stages.stage("tune settings", max(1, study.plan.trials)):
        # What a machine pays for once, compiling, is not the study's: it must not decide how many trials there are.
        warm_up()
        deadline = monotonic() + OVERRUN * budget
        trials = study.trials(record, stages, lambda: monotonic() < deadline)
    best = best_of(trials) if trials else None
    with stages.stage("tune blend"):
        found = _with_blend(validation, catalogue, study, trials, best, lambda: monotonic() < deadline)
    if found.report["stopped"] is None:
        record.finish(study.key, found)
    return Tuned(found.config(config, study.varied), found.report, found.relevance)


@dataclass(frozen=True, slots=True)
class _Study:
    """One study: what is varied, from where, and how often.

    Attributes
    ----------
    shipped : the configuration whose parameters are varied.
    previous : what the last study found; where this one starts.
    known : what the last study found, when it was this one.
    cut : by what histories are cut, see `Jury.drawn`; None where they are not.
    """

    shipped: TrainingConfig
    varied: tuple[Parameter, ...]
    looks: tuple[Fading, ...]
    previous: Findings | None
    known: Findings | None
    jury: Jury
    cut: EventWeights | None
    plan: Plan
    budget: float
    key: str

    @classmethod
    def of(
        cls,
        validation: Validation,
        catalogue: pl.DataFrame,
        config: TrainingConfig,
        budget: float,
        last: tuple[str, Findings] | None,
    ) -> _Study:
        history = validation.discovery.training
        shape = shape_of(history, config)
        looks = fadings(shape)
        listed = min(len(history.customers), MOST_CUSTOMERS) if isinstance(validation.soon, Soon) else 0
        plan = plan_for(budget, history, len(validation.discovery.relevant), len(looks), config, listed=listed)
        key = key_of(
            {
                "data": [_digest(part) for part in (validation.lists, validation.discovery, validation.again) if part],
                "soon": validation.soon.digest() if isinstance(validation.soon, Soon) else validation.soon,
                "catalogue": catalogue_digest(catalogue),
                "software": __version__,
                "budget": budget,
                "seed": config.seed,
                "config": config.described(),
                "space": VERSION,
            }
        )
        known = last[1] if last and last[0] == key else None
        cut = config.event_weights if validation.of_long_histories else None
        jury = Jury.drawn(validation.discovery, plan.customers, config.seed, cut)
        return cls(config, parameters(shape), looks, last[1] if last else None, known, jury, cut, plan, budget, key)

    @property
    def start(self) -> dict[str, float]:
        """The settings of the first trial."""
        own = settings_of(self.shipped, self.varied)
        before = self.previous.settings if self.previous else {}
        return own | {each.name: each.nearest(before[each.name]) for each in self.varied if each.name in before}

    @property
    def fading(self) -> Fading:
        """How tastes fade in the first trial."""
        if self.previous is not None and self.previous.fading in self.looks:
            return self.previous.fading
        return SHIPPED_FADING if SHIPPED_FADING in self.looks else self.looks[0]

    def trials(self, record: Record, stages: StageLog, go_on: Callable[[], bool]) -> list[Trial]:
        """The planned trials, those of an interrupted study among them."""
        # Twice the start: as it is, and with every fading.
        proposed = [self.start, self.start] + [self.start | preset for preset in presets(self.varied)]
        if len(self.looks) == 1:
            proposed = proposed[1:]
        known = [trial for trial in record.trials(self.key) if len(trial.each) == len(self.jury.rows)]
        if known and (known[0].settings != self.start or known[0].fading != self.fading):
            known = []  # Interrupted under another last record.
        done = len(known)

        def note(trial: Trial) -> None:
            nonlocal done
            done += 1
            record.add(self.key, trial)
            stages.progress.advance(done)

        return run_trials(
            self.plan.trials,
            proposed,
            self.varied,
            self.shipped.seed,
            lambda settings, before: judged(
                settings, self.shipped, self.varied, looks_after(before, self.fading, self.looks), self.jury
            ),
            known,
            note,
            go_on,
        )


def _with_blend(
    validation: Validation,
    catalogue: pl.DataFrame,
    study: _Study,
    trials: list[Trial],
    best: Trial | None,
    go_on: Callable[[], bool],
) -> Findings:
    """The weights of the blend with the settings found, and the report of the study.

    When `go_on` says no, classes of history length that were not yet looked at keep the weights of all customers."""
    before = study.previous
    settings = best.settings if best else (before.settings if before else {})
    fading = best.fading if best else (before.fading if before else None)
    config = replace(configured(study.shipped, study.varied, settings, fading), related=None)
    # Fitted with a weight for every source, so that each is there to be judged.
    everything = replace(config, blend=BlendWeights.constant(dict.fromkeys(config.blend.weights, 1.0)))
    bundle = assembled("tuning", *fit(validation.lists.training, catalogue, everything, StageLog()))
    # The last study may have been one of other sources.
    last = before.blend.weights.keys() & config.blend.weights.keys() if before else ()
    start = [
        config.blend.at(length) | {name: before.blend.at(length)[name] for name in last if before}
        for length in (0, *LENGTHS)
    ]
    found = _learned(bundle, validation.lists, study, start, go_on)
    blend, causes = found.weights, {REPEAT: validation.no_repeats, **found.causes}
    if validation.again is not None:
        own = [blend.at(length) for length in (0, *LENGTHS)]
        jury, candidates = _gathered(bundle, validation.again, study, {POPULAR: found.common})
        again = learn_weights(Bench.of(candidates, jury.relevant), candidates.lengths, own, (REPEAT,), go_on)
        blend, causes = again.weights, {**causes, **again.causes}
    report = {
        "settings": "tuned",
        "validation": dict(validation.described),
        "objective": OBJECTIVE,
        "budget_seconds": study.budget,
        "plan": asdict(study.plan),
        "trials": len(trials),
        "stopped": None
        if len(trials) == study.plan.trials and go_on()
        else f"after {OVERRUN:g} times the budget, with {len(trials)} of {study.plan.trials} trials",
        "started_from": "shipped settings" if before is None else "the last record",
        "item_item": _report_of(trials, best),
        "popularity_days": found.days,
        "blend": {"before": found.before, "after": found.after, "sources": causes},
    }
    popularity = fit_popularity(validation.lists.training, bundle.manifest.event_weights, PopularityConfig(found.days))
    chosen = replace(bundle, manifest=replace(bundle.manifest, blend=blend), popularity=popularity)
    relevance = calibrate(chosen, validation.lists, validation.soon, config.seed, config.threads)
    return Findings(settings, fading, found.days, blend, report, relevance)


def _report_of(trials: list[Trial], best: Trial | None) -> dict[str, Any] | None:
    if best is None:
        return None
    over = gain(best.each, trials[0].each)
    return {
        "settings": dict(best.settings),
        "half_life_steps": best.fading[0],
        "half_life_days_factor": best.fading[1],
        "value": best.value,
        "start_value": trials[0].value,
        "gain": over.mean,
        "gain_error": over.error,
    }


def _gathered(
    bundle: ModelBundle, held_out: HeldOut, study: _Study, common: Mapping[str, npt.NDArray[np.float64]]
) -> tuple[Jury, Candidates]:
    jury = Jury.drawn(held_out, study.plan.customers, study.shipped.seed, study.cut)
    return jury, gather(bundle, jury, common, study.shipped.threads)


@dataclass(frozen=True, slots=True)
class _Learned:
    """The blend for the lists that are asked for, with the popularity that suits it."""

    days: float
    common: npt.NDArray[np.float64]
    weights: BlendWeights
    before: float
    after: float
    causes: Mapping[str, str]


def _learned(
    bundle: ModelBundle, held_out: HeldOut, study: _Study, start: list[dict[str, float]], go_on: Callable[[], bool]
) -> _Learned:
    """The half-life of popularity is chosen first, by what each brings with any weight; the shipped one stays unless
    another is clearly better. Then all weights are learned."""
    weights, names = bundle.manifest.event_weights, {}
    for days in POPULARITY_DAYS if held_out.until is not None else POPULARITY_DAYS[:1]:
        popularity = fit_popularity(held_out.training, weights, PopularityConfig(days))
        names[days] = in_units_of_spread(popularity.score)
    common = {POPULAR if days == POPULARITY_DAYS[0] else f"{POPULAR}/{days:g}": each for days, each in names.items()}
    jury, candidates = _gathered(bundle, held_out, study, common)
    benches = {
        days: Bench.of(candidates, jury.relevant, name, tuple(common)) for days, name in zip(names, common, strict=True)
    }
    everyone = np.arange(len(jury.rows))
    best: tuple[float, Each] | None = None
    for days, bench in benches.items():
        each = best_step(bench, start[-1], POPULAR, everyone)[1]
        if best is None or gain(each, best[1]).clear:
            best = (days, each)
    chosen = best[0] if best else POPULARITY_DAYS[0]
    repeats = held_out.rules.placement.repeats(bundle.repeat.kinds)
    searched = (*SEARCHED, REPEAT) if repeats else SEARCHED
    found = learn_weights(benches[chosen], candidates.lengths, start, searched, go_on)
    return _Learned(chosen, names[chosen], found.weights, found.before, found.after, found.causes)


def _digest(part: HeldOut) -> str:
    """What a study depends on in a part: its history, its rules and what was wanted of whom."""
    digest = hashlib.sha256(fingerprint(part.training).encode())
    relevant, masked = part.relevant, part.masked
    for array in (part.row, relevant.indptr, relevant.item, relevant.size, masked.indptr, masked.indices):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(f"{part.rules.repeats} {sorted(part.rules.mask)} {part.until}".encode())
    return digest.hexdigest()
