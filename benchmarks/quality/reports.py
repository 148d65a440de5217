"""What an evaluation and the tuning of the peer wrote, read for the page; and what two evaluations say together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from recsys.metrics.uncertainty import CONFIDENCE, Interval, bootstrap_means, intervals
from training.evaluation.evaluating import BLEND
from training.evaluation.report import CUSTOMERS, METRICS


@dataclass(frozen=True, slots=True)
class Report:
    """A folder that `bookmatch evaluate` wrote.

    Attributes
    ----------
    models : per model its metrics; those that the data does not allow are not in it.
    differences : per other model and metric, the blend minus it.
    seconds : per stage.
    peak_bytes : over all processes.
    trials, planned_trials : how many settings tuning tried; fewer than planned where it took twice its budget.
    customers, test_pairs, items, seed : as in `metrics.json`.
    each : a row per model and customer, as in `customers.parquet`.
    """

    models: Mapping[str, Mapping[str, float]]
    differences: Mapping[str, Mapping[str, Interval]]
    seconds: Mapping[str, float]
    peak_bytes: int
    trials: int
    planned_trials: int
    customers: int
    test_pairs: int
    items: int
    seed: int
    each: pl.DataFrame

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What is in the folder."""
        found: dict[str, Any] = orjson.loads((folder / METRICS).read_bytes())
        tuning = found["config"]["training"]["tuning"]
        return cls(
            models={name: metrics for name, metrics in found["models"].items() if metrics is not None},
            differences={
                name: {
                    metric: Interval(bounds["mean"], bounds["low"], bounds["high"])
                    for metric, bounds in metrics.items()
                }
                for name, metrics in found["differences"].items()
            },
            seconds=found["seconds"],
            peak_bytes=found["peak_rss_bytes"],
            trials=tuning.get("trials", 0),
            planned_trials=tuning.get("plan", {}).get("trials", 0),
            customers=found["customers"],
            test_pairs=found["test_pairs"],
            items=found["items"],
            seed=found["seed"],
            each=pl.read_parquet(folder / CUSTOMERS),
        )

    @property
    def total_seconds(self) -> float:
        """Of all stages."""
        return sum(self.seconds.values())

    def blend(self, metric: str) -> float:
        """A metric of what the service answers."""
        return self.models[BLEND][metric]


@dataclass(frozen=True, slots=True)
class PeerModel:
    """One of `implicit`'s models, tuned: its settings, the objective on validation, and its metrics on the test."""

    settings: Mapping[str, float]
    validation: float
    test: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Peer:
    """What `benchmarks.quality.peer` wrote.

    Attributes
    ----------
    models : `cosine` and `als`.
    trials : how many each was tuned with, on how many `validation_customers`.
    customers : how many the test scored.
    fit_seconds : of cosine and ALS together, with the settings that fits are compared by.
    """

    models: Mapping[str, PeerModel]
    trials: int
    validation_customers: int
    customers: int
    fit_seconds: float

    @classmethod
    def read(cls, file: Path) -> Self:
        """What is in the file."""
        found: dict[str, Any] = orjson.loads(file.read_bytes())
        return cls(**{**found, "models": {name: PeerModel(**each) for name, each in found["models"].items()}})

    def best(self, metric: str) -> float:
        """The better of the models on the test."""
        return max(each.test[metric] for each in self.models.values())


@dataclass(frozen=True, slots=True)
class Lift:
    """What one evaluation has more than another of the same customers.

    Attributes
    ----------
    more, less : the metric of each.
    difference : more − less, paired by customer.
    ratio : more / less − 1, from the same resamples.
    """

    more: float
    less: float
    difference: Interval
    ratio: Interval


def lift(more: pl.DataFrame, less: pl.DataFrame, metric: str, seed: int) -> Lift:
    """The lift of the blend, from two `customers.parquet`.

    ValueError when the two did not score the same customers on as many test items, or when the ratio has no interval
    because `less` is 0 in a resample.
    """
    values = paired(more, less, metric)
    (difference,) = intervals((values[:, 0] - values[:, 1])[:, None], seed)
    means = bootstrap_means(values, seed)
    if not means[:, 1].all():
        raise ValueError(f"{metric} without the further kinds is 0 in a resample: a ratio to it has no interval")
    outside = (1.0 - CONFIDENCE) / 2
    low, high = np.quantile(means[:, 0] / means[:, 1] - 1.0, [outside, 1.0 - outside])
    above, below = values.mean(axis=0)
    return Lift(float(above), float(below), difference, Interval(float(above / below - 1.0), float(low), float(high)))


def paired(more: pl.DataFrame, less: pl.DataFrame, metric: str) -> npt.NDArray[np.float64]:
    """The blend's metric for each customer in both: float64, shape (customers, 2). ValueError as in `lift`."""
    columns = ["customer_id", "test_items", metric]
    first, second = (each.filter(pl.col("model") == BLEND).select(columns).sort("customer_id") for each in (more, less))
    for name in ("customer_id", "test_items"):
        if not first[name].equals(second[name]):
            raise ValueError(
                f"the two evaluations have {first.height:,} and {second.height:,} customers and differ in {name}; "
                "expected the same test in both"
            )
    return np.column_stack([first[metric].to_numpy(), second[metric].to_numpy()]).astype(np.float64)
