"""Many models on one test: their metrics, how sure these are, and what their differences say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.metrics.ranking import COVERAGE, Ranked, Relevant, coverage, per_customer
from recsys.metrics.uncertainty import RESAMPLES, Interval
from training.evaluation.curves import Curves, curves_of, mean_curves
from training.evaluation.differences import (
    Differences,
    differences_as_json,
    judged_main_first,
    judged_together,
    resampled,
)
from training.evaluation.facts import Facts
from training.evaluation.held_out import HeldOut
from training.evaluation.measuring import Measures
from training.evaluation.slices import slices_of

Floats = npt.NDArray[np.float64]

LEAST_IN_SLICE = 20
"""A slice of fewer customers has its means and no differences."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One model's metrics.

    Attributes
    ----------
    each : metric → float64, shape (customers,).
    coverage : metric → its value over all lists; coverage, and the like.
    """

    each: Mapping[str, Floats]
    coverage: Mapping[str, float]

    def means(self) -> dict[str, float]:
        """Every metric as one number: averaged over those who have it, or of all lists. NaN where nobody has it."""
        return {name: mean(values) for name, values in self.each.items()} | dict(self.coverage)


@dataclass(frozen=True, slots=True)
class Sliced:
    """One slice: how many customers it has, the metrics of each model there, and the differences."""

    customers: int
    models: Mapping[str, Mapping[str, float]]
    differences: Differences


@dataclass(frozen=True, slots=True)
class Measured:
    """Every metric of every model on one part of a history, before anything is concluded.

    Attributes
    ----------
    customer_ids : String, of the rows of all arrays.
    models : name → metrics, None for a model that there is not; the first is compared with each other.
    slices : (dimension, value) → the rows, and of each model the metrics there.
    not_applicable : metric, or dimension of slices → why it is not there.
    """

    customer_ids: pl.Series
    models: Mapping[str, Scored | None]
    slices: Mapping[tuple[str, str], tuple[npt.NDArray[np.int64], Mapping[str, Mapping[str, Floats]]]]
    curves: Curves
    not_applicable: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What an evaluation found in one track.

    Attributes
    ----------
    customers : how many different ones were scored.
    models : name → metric → its mean, or its value over all lists; None for a model that there is not.
    not_applicable : metric, or dimension of slices → why it is not there.
    intervals : name → metric → how sure its mean is.
    slices : dimension → value → what was found there.
    """

    customers: int
    models: Mapping[str, Mapping[str, float] | None]
    not_applicable: Mapping[str, str]
    intervals: Mapping[str, Mapping[str, Interval]]
    differences: Differences
    slices: Mapping[str, Mapping[str, Sliced]]
    curves: Curves

    def to_json(self) -> dict[str, Any]:
        """As `metrics.json` has a track."""
        return {
            "models": {name: None if each is None else dict(each) for name, each in self.models.items()},
            "not_applicable": dict(self.not_applicable),
            "intervals": {
                name: {metric: {"mean": of.mean, "low": of.low, "high": of.high} for metric, of in each.items()}
                for name, each in self.intervals.items()
            },
            "differences": differences_as_json(self.differences),
            "slices": {
                dimension: {
                    value: {
                        "customers": each.customers,
                        "models": {name: dict(metrics) for name, metrics in each.models.items()},
                        "differences": differences_as_json(each.differences),
                    }
                    for value, each in values.items()
                }
                for dimension, values in self.slices.items()
            },
            "curves": self.curves.to_json(),
        }


def compare(
    lists: Mapping[str, Ranked | None],
    held_out: HeldOut,
    facts: Facts,
    ks: Sequence[int],
    seed: int,
    reference: str | None = None,
    resamples: int = RESAMPLES,
) -> Comparison:
    """What is to be said of these lists: `measure`, then `conclude`."""
    return conclude([measure(lists, held_out, facts, ks, reference)], seed, resamples)


def measure(
    lists: Mapping[str, Ranked | None],
    held_out: HeldOut,
    facts: Facts,
    ks: Sequence[int],
    reference: str | None = None,
) -> Measured:
    """Every metric of these lists, customer by customer.

    Parameters
    ----------
    lists : name → lists of the scored customers in positions of `held_out.training.items`, at least as wide as the
        largest k where the data can fill it; None for a model that there is not. The first is compared with each other.
    ks : how many places are looked at, ascending.
    reference : the name of the lists that stability is measured against; None, or lists that are None: it is not.
    """
    there = {name: ranked for name, ranked in lists.items() if ranked is not None}
    measures = Measures(held_out, facts, ks, there.get(reference) if reference is not None else None)
    models: dict[str, Scored | None] = dict.fromkeys(lists)
    for name, ranked in there.items():
        models[name] = Scored(measures.per_customer(ranked), measures.overall(ranked))
    slices, causes = slices_of(held_out.relevant, facts)
    parts = {
        (each.dimension, each.value): (
            each.rows,
            {name: each.scored(ranked, max(ks)) for name, ranked in there.items()},
        )
        for each in slices
    }
    curves = curves_of(there, held_out.candidates)
    return Measured(held_out.customer_ids, models, parts, curves, measures.not_applicable | causes)


def conclude(windows: Sequence[Measured], seed: int, resamples: int = RESAMPLES) -> Comparison:
    """What one part, or several windows together, say. A customer of several windows counts once, with the mean of what
    these found: the bootstrap draws customers. Metrics over all lists, and curves, are means over the windows. A model
    that some window does not have is None.
    """
    names = list(windows[0].models)
    ids = pl.concat([window.customer_ids for window in windows])
    each = {
        name: per_person([found.each for window in windows if (found := window.models.get(name))], ids)
        for name in names
        if all(window.models.get(name) for window in windows)
    }
    means, between = resampled(each, names[0], seed, resamples)
    causes = {what: cause for window in windows for what, cause in window.not_applicable.items()}
    had = {metric.partition("@")[0] for metrics in each.values() for metric in metrics}
    return Comparison(
        customers=ids.n_unique(),
        models={name: _means(each[name], name, windows) if name in each else None for name in names},
        not_applicable={what: cause for what, cause in causes.items() if what not in had},
        intervals=means,
        differences=judged_main_first(between),
        slices=_slices(windows, names[0], seed, resamples),
        curves=mean_curves([window.curves for window in windows]),
    )


def per_person(windows: Sequence[Mapping[str, Floats]], ids: pl.Series) -> Mapping[str, Floats]:
    """Each customer's mean over the windows in which they have a value: metric → float64, shape (different customers,).

    Parameters
    ----------
    windows : metric → one value per row; a metric that some window does not have is left out.
    ids : of the rows of all windows, one after another.
    """
    if len(windows) == 1:
        return windows[0]
    person = ids.rank("dense").to_numpy().astype(np.int64) - 1
    customers = int(person.max()) + 1
    found = {}
    for metric in windows[0]:
        if not all(metric in window for window in windows):
            continue
        values = np.concatenate([window[metric] for window in windows])
        there = ~np.isnan(values)
        count = np.bincount(person[there], minlength=customers)
        total = np.bincount(person[there], weights=values[there], minlength=customers)
        found[metric] = np.divide(total, count, out=np.full(customers, np.nan), where=count > 0)
    return found


def _means(each: Mapping[str, Floats], name: str, windows: Sequence[Measured]) -> dict[str, float]:
    overall = [found.coverage for window in windows if (found := window.models.get(name))]
    return {metric: mean(values) for metric, values in each.items()} | {
        metric: mean(np.array([values[metric] for values in overall])) for metric in overall[0]
    }


def _slices(windows: Sequence[Measured], first: str, seed: int, resamples: int) -> dict[str, dict[str, Sliced]]:
    """Every slice of every window, those of the same value together."""
    found: dict[tuple[str, str], tuple[int, Mapping[str, Mapping[str, Floats]]]] = {}
    for key in dict.fromkeys(key for window in windows for key in window.slices):
        parts = [(window.customer_ids, *window.slices[key]) for window in windows if key in window.slices]
        ids = pl.concat([customer_ids.gather(rows) for customer_ids, rows, _ in parts])
        names = [name for name in parts[0][2] if all(name in models for *_, models in parts)]
        found[key] = ids.n_unique(), {name: per_person([models[name] for *_, models in parts], ids) for name in names}
    judged = judged_together(
        {
            key: resampled(each, first, seed, resamples)[1]
            for key, (customers, each) in found.items()
            if customers >= LEAST_IN_SLICE
        }
    )
    sliced: dict[str, dict[str, Sliced]] = {}
    for (dimension, value), (customers, each) in found.items():
        means = {name: {metric: mean(values) for metric, values in metrics.items()} for name, metrics in each.items()}
        sliced.setdefault(dimension, {})[value] = Sliced(customers, means, judged.get((dimension, value), {}))
    return sliced


def mean(values: Floats) -> float:
    """Over the customers who have a value; NaN where nobody has."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")


def score(ranked: Ranked, relevant: Relevant, ks: Sequence[int], candidates: int) -> Scored:
    """The ranking metrics alone of one model's lists at each k, and coverage."""
    return Scored(per_customer(ranked, relevant, ks), {f"{COVERAGE}@{k}": coverage(ranked, k, candidates) for k in ks})
