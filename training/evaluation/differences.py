"""How sure differences between models are, and what they say in words.

What a track is asked for comes first: the first model against every other by the `MAIN` metrics at the largest k. All
other metrics and ks *explore*. Each of these two families is corrected by Holm at half of the permitted error, so that
the verdicts of a track are right all together in 95 of 100 evaluations and the few that matter are not drowned by the
hundreds that do not. Slices are a family of their own, all of them together: a slice in which a model is "better" was
not picked for being so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from recsys.metrics.ranking import NDCG, RECALL
from recsys.metrics.uncertainty import CONFIDENCE, Interval, Verdict, holm, paired_intervals
from training.evaluation.measuring import LOWER_IS_BETTER, NEITHER_IS_BETTER, STABILITY

Floats = npt.NDArray[np.float64]
Key = TypeVar("Key")


MAIN = (RECALL, NDCG)
"""The metrics that a track is about, at the largest k; those that slices have, too."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first model minus another.

    Attributes
    ----------
    p_holm : the p-value, corrected for its family.
    main : whether it is one of those that the evaluation was made for; others explore.
    """

    interval: Interval
    p_holm: float
    verdict: Verdict
    main: bool = True

    def to_json(self) -> dict[str, Any]:
        """As `metrics.json` has it."""
        found = self.interval
        bounds = {"mean": found.mean, "low": found.low, "high": found.high}
        return bounds | {"p": found.p, "p_holm": self.p_holm, "verdict": str(self.verdict), "main": self.main}


Differences = Mapping[str, Mapping[str, Difference]]
"""Other model → metric → the first model minus it."""


def resampled(
    each: Mapping[str, Mapping[str, Floats]], first: str, seed: int, resamples: int
) -> tuple[dict[str, dict[str, Interval]], dict[str, dict[str, Interval]]]:
    """The interval of every mean, and of every difference from the first model; one set of resamples for all."""
    single = [(name, metric) for name, metrics in each.items() for metric in metrics]
    paired = [
        (name, metric)
        for name, metrics in each.items()
        if name != first and first in each
        for metric in metrics
        if metric in each[first] and not metric.startswith(STABILITY)
    ]
    if not single:
        return {}, {}
    place = {column: number for number, column in enumerate(single)}
    values = np.stack([each[name][metric] for name, metric in single]).T
    pairs = [(place[first, metric], place[name, metric]) for name, metric in paired]
    alone, apart = paired_intervals(values, pairs, seed, resamples)
    means: dict[str, dict[str, Interval]] = {name: {} for name in each}
    between: dict[str, dict[str, Interval]] = {name: {} for name in each if name != first and first in each}
    for (name, metric), interval in zip(single, alone, strict=True):
        means[name][metric] = interval
    for (name, metric), interval in zip(paired, apart, strict=True):
        between[name][metric] = interval
    return means, between


def judged_together(
    family: Mapping[Key, Mapping[str, Mapping[str, Interval]]],
) -> dict[Key, dict[str, dict[str, Difference]]]:
    """What the differences of a family say, corrected for all of them."""
    places = [
        (key, name, metric) for key, models in family.items() for name, metrics in models.items() for metric in metrics
    ]
    corrected = holm([family[key][name][metric].p for key, name, metric in places])
    judged: dict[Key, dict[str, dict[str, Difference]]] = {
        key: {name: {} for name in models} for key, models in family.items()
    }
    for (key, name, metric), p in zip(places, corrected, strict=True):
        interval = family[key][name][metric]
        judged[key][name][metric] = Difference(interval, p, verdict_of(metric, interval.mean, p))
    return judged


def judged_main_first(between: Mapping[str, Mapping[str, Interval]]) -> dict[str, dict[str, Difference]]:
    """What the differences of a track say: those by the `MAIN` metrics at their largest k, and all others, corrected as
    two families at half of the error each. Where there are only one family's, it has all of the error."""
    names = dict.fromkeys(metric for metrics in between.values() for metric in metrics)
    places = [int(name.partition("@")[2]) for name in names if name.partition("@")[0] in MAIN]
    main = {f"{name}@{max(places)}" for name in MAIN} if places else set[str]()
    families = 1 if set(names) <= main or not main else 2
    parts = [
        judged_together(
            {
                None: {
                    other: {m: each for m, each in of.items() if (m in main) is wanted} for other, of in between.items()
                }
            }
        )[None]
        for wanted in (True, False)
    ]
    judged: dict[str, dict[str, Difference]] = {}
    for other, metrics in between.items():
        judged[other] = {}
        for metric, interval in metrics.items():
            is_main = metric in main
            p = float(np.minimum(1.0, families * parts[not is_main][other][metric].p_holm))
            judged[other][metric] = Difference(interval, p, verdict_of(metric, interval.mean, p), is_main)
    return judged


def verdict_of(metric: str, difference: float, p: float, confidence: float = CONFIDENCE) -> Verdict:
    """In words, for a metric such as `recall@10` and a corrected p-value."""
    if not p <= 1.0 - confidence or difference == 0:
        return Verdict.NO_CLEAR_DIFFERENCE
    family = metric.partition("@")[0]
    if family in NEITHER_IS_BETTER:
        return Verdict.HIGHER if difference > 0 else Verdict.LOWER
    return Verdict.BETTER if (difference > 0) is (family not in LOWER_IS_BETTER) else Verdict.WORSE


def differences_as_json(differences: Differences) -> dict[str, Any]:
    """As `metrics.json` has them."""
    return {name: {metric: each.to_json() for metric, each in metrics.items()} for name, metrics in differences.items()}
