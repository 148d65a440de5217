"""From divisions of a history to every model's metrics: compile → tune → fit → list → score, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from recsys.data.interactions import Interactions
from recsys.errors import InputError
from training.evaluation.comparison import measure
from training.evaluation.held_out import HeldOut, Repeats, Rules, hold_out, to_foresee, to_learn
from training.evaluation.leaks import after_fitting, before_fitting, refuse
from training.evaluation.listing import BLEND, MODELS, PRODUCTION, Fitted
from training.evaluation.modelling import fit_models
from training.evaluation.pooling import pooled
from training.evaluation.protocols import Division, Part
from training.evaluation.results import TRACKS, Evaluation, Setting, Track, WindowResult
from training.fitting import UNTUNED, TrainingConfig
from training.stages import StageCost, StageLog
from training.tuning import Tuned, Validation, shipped, tune

__all__ = ["BLEND", "MODELS", "PRODUCTION", "Evaluation", "Setting", "evaluate"]

_DIVIDE, _COMPILE = "divide", "compile"
_MICROSECONDS = 1e6


def evaluate(
    settings: Sequence[Setting],
    rules: Rules,
    ks: Sequence[int],
    config: TrainingConfig,
    budget: float,
    stages: StageLog,
) -> Evaluation:
    """Divides, chooses settings on the validation, fits on all of the training part and scores every model, for each
    setting apart; both rules about repeats of `TRACKS`, and that of `rules`, are asked of the same models.

    Parameters
    ----------
    settings : one or more, the earliest first.
    ks : how many places of the lists are looked at, each 1 or more; metrics at each.
    budget : seconds for tuning of each setting; 0 for the shipped settings.

    Raises InputError when a division does, or nothing is left to foresee, NotEnoughDataError, and LeakError when models
    could have seen what they have to foresee.
    """
    config = replace(config, target_kinds=rules.target, related=None)
    return pooled(
        [_window(each, rules, ks, config, budget, stages) for each in settings], rules.repeats, config.seed, stages
    )


def _window(
    setting: Setting, rules: Rules, ks: Sequence[int], config: TrainingConfig, budget: float, stages: StageLog
) -> WindowResult:
    begin = len(stages.costs)
    with stages.stage(_DIVIDE):
        division = setting.divide()
        training = to_learn(division.test, rules, setting.offer.further)
        tests = _tests(division.test, rules, training, setting)
        validation, notes = _validation(division, rules, setting.offer.further)
    with stages.stage("look for leaks"):
        leaks = before_fitting(setting, division, training)
        refuse(leaks)
    tuning = len(stages.costs)
    catalogue = setting.offer.of(training)
    tuned = _tuned(division, validation, setting, training, config, budget, stages)
    fitting = len(stages.costs)
    bundle = fit_models(training, catalogue, tuned, stages)
    scoring = len(stages.costs)
    leaks += after_fitting(setting, training, bundle)
    refuse(leaks)
    fitted = Fitted(bundle, setting.production, config.threads)
    tracks: dict[Repeats, Track | str] = {}
    seconds: dict[str, float] = {}
    asked = 0
    for repeats, test in tests.items():
        if isinstance(test, str):
            tracks[repeats] = test
            continue
        tracks[repeats], spent = _track(fitted, test, setting, division.test, ks, stages)
        asked += len(test.row)
        seconds = {name: seconds.get(name, 0.0) + each for name, each in spent.items()}
    compiled = [cost for cost in stages.costs[fitting:scoring] if cost.name == _COMPILE]
    shown = setting.offer.showable(training)
    return WindowResult(
        setting=setting,
        tracks=tracks,
        part=division.test,
        bundle=bundle,
        candidates=len(training.items) if shown is None else int(np.count_nonzero(shown)),
        validation={
            "customers": len(validation.relevant) if validation else 0,
            "pairs": int(validation.relevant.size.sum()) if validation else 0,
        },
        leaks=leaks,
        fit_seconds=fitted.fit_seconds([c for c in stages.costs[fitting:scoring] if c.name != _COMPILE]),
        list_microseconds={name: each / asked * _MICROSECONDS for name, each in seconds.items()},
        seconds={
            "compile": _spent(stages.costs[begin:tuning]) + _spent(compiled),
            "tune": _spent(stages.costs[tuning:fitting]),
            "fit": _spent(stages.costs[fitting:scoring]) - _spent(compiled),
            "score": _spent(stages.costs[scoring:]),
        },
        notes=(*division.notes, *notes, *setting.offer.notes(training)),
    )


def _tests(part: Part, rules: Rules, training: Interactions, setting: Setting) -> dict[Repeats, HeldOut | str]:
    """What is to be foreseen by each rule about repeats, or why there is nothing. What was asked for must be there."""
    shown = setting.offer.showable(training)
    found: dict[Repeats, HeldOut | str] = {rules.repeats: to_foresee(part, rules, training, shown)}
    for repeats in TRACKS.values():
        if repeats is rules.repeats:
            continue
        mask = rules.mask if repeats is Repeats.EXCLUDE else rules.target
        try:
            found[repeats] = to_foresee(part, replace(rules, repeats=repeats, mask=mask), training, shown)
        except InputError as error:
            found[repeats] = error.found
    return found


def _track(
    fitted: Fitted, test: HeldOut, setting: Setting, part: Part, ks: Sequence[int], stages: StageLog
) -> tuple[Track, dict[str, float]]:
    """One track, and the seconds that each model's lists took."""
    lists = fitted.lists(test, max(ks), stages)
    with stages.stage("measure", len(lists.ranked)):
        facts = setting.facts(test, part.rows)
        measured = measure(lists.ranked, test, facts, ks, PRODUCTION)
    return Track(test, lists.ranked, lists.causes, facts, measured), dict(lists.seconds)


def _validation(division: Division, rules: Rules, further_items: pl.Series) -> tuple[HeldOut | None, tuple[str, ...]]:
    if division.validation is None:
        return None, ()
    try:
        return hold_out(division.validation, rules, further_items), ()
    except InputError as error:
        return None, (f"there is no validation: {error.found}",)


def _tuned(
    division: Division,
    validation: HeldOut | None,
    setting: Setting,
    training: Interactions,
    config: TrainingConfig,
    budget: float,
    stages: StageLog,
) -> Tuned:
    if not budget:
        return shipped(config, UNTUNED["cause"])
    if validation is None or division.validation is None:
        return shipped(config, "there is no validation")
    discovery = validation
    further = setting.offer.further
    if validation.rules.repeats is not Repeats.EXCLUDE:
        discovery = _other(division.validation, validation, Repeats.EXCLUDE, further) or validation
    again = None
    # As in training a shop's bundle: what may be bought again has a weight of its own, learned where nothing is masked.
    if validation.rules.repeats is Repeats.EXCLUDE and _other(division.validation, validation, Repeats.ONLY, further):
        again = _other(division.validation, validation, Repeats.ALLOW, further)
    slice_ = Validation(
        validation,
        discovery,
        again,
        "an evaluation does not need it",
        division.validation.of_long_histories,
        validation.rules.repeats is Repeats.EXCLUDE,
        {"drawn": "as the protocol says", "customers": len(validation.relevant)},
    )
    return tune(slice_, setting.offer.of(training), config, budget, stages)


def _other(part: Part, validation: HeldOut, repeats: Repeats, further_items: pl.Series) -> HeldOut | None:
    """The validation by another rule about repeats; None where that leaves nothing."""
    rules = replace(validation.rules, repeats=repeats, mask=validation.rules.target)
    try:
        return hold_out(part, rules, further_items)
    except InputError:
        return None


def _spent(costs: Sequence[StageCost]) -> float:
    return sum(cost.seconds for cost in costs)
