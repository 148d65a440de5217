"""The study of intervals, small; docs/evaluation.md has the large one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from benchmarks.coverage import FEW, SHOPS, population, summary, table, worlds

SMALL = replace(SHOPS[1], customers=2_000, items=80)
WORLDS = 60


def test_intervals_hold_the_truth_and_no_difference_is_seen_where_none_is() -> None:
    """In sixty worlds, within what so few can say; the table has a row for each size."""
    found = worlds(SMALL, (150,), WORLDS, resamples=300, seed=1)
    (each,) = found
    assert each.alarms <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / WORLDS)
    usual = [share for metric, share in each.covered.items() if each.different[metric] >= FEW]
    assert len(usual) > 10
    # The metrics of one world are alike, so that their mean is no surer than one of them.
    assert abs(np.mean(usual) - 0.95) < 3 * math.sqrt(0.05 * 0.95 / WORLDS)
    assert len(list(table(found))) == 3
    assert f"of the {len(usual)} shares" in summary(found, WORLDS)


def test_the_two_models_differ_in_truth() -> None:
    """Else covering their difference would be covering nothing."""
    first, second = population(SMALL, seed=1)
    assert abs(np.nanmean(first["average_popularity@10"] - second["average_popularity@10"])) > 1e-3
    assert (first["ndcg@10"] != second["ndcg@10"]).mean() > 0.2
