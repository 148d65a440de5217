"""From a division of a history to every model's metrics: compile → tune → fit → score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from recsys.bundle.bundle import ModelBundle
from recsys.bundle.manifest import Manifest
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import InputError
from recsys.metrics.ranking import Ranked
from recsys.metrics.uncertainty import Interval
from training.evaluation import baselines
from training.evaluation.baselines import NotAllowed, Order
from training.evaluation.comparison import Scored, differences, score
from training.evaluation.held_out import HeldOut, Repeats, Rules, hold_out
from training.evaluation.modelling import fit_models, rank_all
from training.evaluation.protocols import Division
from training.fitting import UNTUNED, TrainingConfig
from training.stages import StageCost, StageLog
from training.tuning import Tuned, Validation, shipped, tune

BLEND = "blend"
MODELS = (BLEND, "item_item", "als", "bm25", "popular", "popular_7d", "personal_top")
"""Every model that is compared, in the order of the report; the first three are the service's own `Recommender`."""

_DIVIDE, _COMPILE = "divide", "compile"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found.

    Attributes
    ----------
    models : per name the metrics, None for a model that the data does not allow; why stands in `causes`.
    differences : `blend` minus each other model that there is.
    customer_ids, test_items, known : of the scored customers: who, the number of test items, and whether training knows
        them.
    items : the number of candidates.
    validation : the number of `customers` and `pairs` that settings were chosen on, zeros without validation.
    manifest : of the models, without arrays.
    seconds : of `compile`, `tune`, `fit` (the blend's final fit alone) and `score`.
    notes : what a reader of the result should know.
    """

    models: Mapping[str, Scored | None]
    causes: Mapping[str, str]
    differences: Mapping[str, Mapping[str, Interval]]
    customer_ids: pl.Series
    test_items: pl.Series
    known: pl.Series
    items: int
    validation: Mapping[str, int]
    manifest: Manifest
    seconds: Mapping[str, float]
    notes: tuple[str, ...]


def evaluate(
    divide: Callable[[], Division],
    rules: Rules,
    further_items: pl.Series,
    catalogue: pl.DataFrame,
    ks: Sequence[int],
    config: TrainingConfig,
    budget: float,
    stages: StageLog,
) -> Evaluation:
    """Divides, chooses settings on the validation, fits on all of the training part and scores every model.

    Parameters
    ----------
    further_items : String; candidates without events.
    catalogue : in `ITEM_SCHEMA`; what is known of items.
    ks : how many places of the lists are looked at, each 1 or more; metrics at each.
    budget : seconds for tuning; 0 for the shipped settings.

    Raises InputError when the division does, or nothing is left to foresee, and NotEnoughDataError.
    """
    begin = len(stages.costs)
    with stages.stage(_DIVIDE):
        division = divide()
        test = hold_out(division.test, rules, further_items)
        validation, notes = _validation(division, rules, further_items)
    tuning = len(stages.costs)
    config = replace(config, target_kinds=rules.target, related=None)
    tuned = _tuned(division, validation, further_items, catalogue, config, budget, stages)
    fitting = len(stages.costs)
    bundle = fit_models(test.training, catalogue, tuned, stages)
    scoring = len(stages.costs)
    models, causes = _scores(bundle, test, ks, config.threads, stages)
    with stages.stage("differences"):
        found = {name: each for name, each in models.items() if each is not None}
        blend = found.pop(BLEND)
        between = differences(blend, found, config.seed)
    compiled = [cost for cost in stages.costs[fitting:scoring] if cost.name == _COMPILE]
    return Evaluation(
        models=models,
        causes=causes,
        differences=between,
        customer_ids=test.customer_ids,
        test_items=pl.Series("test_items", test.relevant.size),
        known=pl.Series("known", test.row != UNKNOWN),
        items=len(test.training.items),
        validation={
            "customers": len(validation.relevant) if validation else 0,
            "pairs": int(validation.relevant.size.sum()) if validation else 0,
        },
        manifest=bundle.manifest,
        seconds={
            "compile": _spent(stages.costs[begin:tuning]) + _spent(compiled),
            "tune": _spent(stages.costs[tuning:fitting]),
            "fit": _spent(stages.costs[fitting:scoring]) - _spent(compiled),
            "score": _spent(stages.costs[scoring:]),
        },
        notes=(*division.notes, *notes),
    )


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
    further_items: pl.Series,
    catalogue: pl.DataFrame,
    config: TrainingConfig,
    budget: float,
    stages: StageLog,
) -> Tuned:
    if not budget:
        return shipped(config, UNTUNED["cause"])
    if validation is None or division.validation is None:
        return shipped(config, "there is no validation")
    discovery = validation
    if validation.rules.repeats is not Repeats.EXCLUDE:
        discovering = replace(validation.rules, repeats=Repeats.EXCLUDE, mask=validation.rules.target)
        try:
            discovery = hold_out(division.validation, discovering, further_items)
        except InputError:
            # Everything that was held out had been bought before: there is nothing to discover.
            discovery = validation
    described = {"drawn": "as the protocol says", "customers": len(validation.relevant)}
    slice_ = Validation(
        validation,
        discovery,
        None,
        "an evaluation does not need it",
        division.validation.of_long_histories,
        False,
        described,
    )
    return tune(slice_, catalogue, config, budget, stages)


def _spent(costs: Sequence[StageCost]) -> float:
    return sum(cost.seconds for cost in costs)


def _scores(
    bundle: ModelBundle, test: HeldOut, ks: Sequence[int], threads: int, stages: StageLog
) -> tuple[dict[str, Scored | None], dict[str, str]]:
    models: dict[str, Scored | None] = {}
    causes: dict[str, str] = {}
    for name in MODELS:
        with stages.stage(f"score {name}", len(test.row)):
            try:
                ranked = _lists(name, bundle, test, max(ks), threads, stages.progress.advance)
                models[name] = score(ranked, test.relevant, ks, len(test.training.items))
            except NotAllowed as cause:
                models[name], causes[name] = None, str(cause)
    return models, causes


def _lists(
    name: str, bundle: ModelBundle, test: HeldOut, limit: int, threads: int, progress: Callable[[int], None]
) -> Ranked:
    """One model's lists; NotAllowed when the data does not allow it."""
    weights = bundle.manifest.event_weights
    if name == "bm25":
        return baselines.bm25(test, weights, _fallback(test), limit, threads)
    if name == "popular":
        return baselines.first_of_order(baselines.popular_order(test), test.masked, limit)
    if name == "popular_7d":
        return baselines.first_of_order(baselines.recent_order(test), test.masked, limit)
    if name == "personal_top":
        return baselines.personal_top(test, baselines.popular_order(test), limit)
    placement = test.rules.placement
    if name != BLEND:
        placement = replace(placement, sources=frozenset({name}))
    return rank_all(bundle, placement, test.training, test.row, limit, threads, test.now, test.hidden, progress)


def _fallback(test: HeldOut) -> Order:
    try:
        return baselines.popular_order(test)
    except NotAllowed:
        return test.training.item[:0]
