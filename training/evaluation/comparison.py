"""Many models on one test: their metrics, and how sure their differences are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.metrics.ranking import COVERAGE, Ranked, Relevant, coverage, per_customer
from recsys.metrics.uncertainty import Interval, intervals


@dataclass(frozen=True, slots=True)
class Scored:
    """One model's metrics.

    Attributes
    ----------
    each : metric → float64, shape (customers,).
    coverage : metric → its value over all lists.
    """

    each: Mapping[str, npt.NDArray[np.float64]]
    coverage: Mapping[str, float]

    def means(self) -> dict[str, float]:
        """Every metric as one number: averaged over customers, or of all lists."""
        return {name: float(np.nanmean(values)) for name, values in self.each.items()} | dict(self.coverage)


def score(ranked: Ranked, relevant: Relevant, ks: Sequence[int], candidates: int) -> Scored:
    """The metrics of one model's lists at each k."""
    return Scored(per_customer(ranked, relevant, ks), {f"{COVERAGE}@{k}": coverage(ranked, k, candidates) for k in ks})


def differences(first: Scored, others: Mapping[str, Scored], seed: int) -> dict[str, dict[str, Interval]]:
    """The first model minus each other, per metric, paired by customer; one set of resamples for all of them.

    Coverage has no difference per customer and is not in it.
    """
    columns = [(name, metric) for name in others for metric in first.each]
    if not columns:
        return {}
    paired = np.stack([first.each[metric] - others[name].each[metric] for name, metric in columns], axis=1)
    found: dict[str, dict[str, Interval]] = {name: {} for name in others}
    for (name, metric), interval in zip(columns, intervals(paired, seed), strict=True):
        found[name][metric] = interval
    return found
