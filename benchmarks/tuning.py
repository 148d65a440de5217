"""`python -m benchmarks.tuning`: what the parts of a trial cost here, beside the table that plans are made of.

On synthetic histories of two sizes, with two threads. The table in `training/tuning/plan.py` holds figures of a machine
with two cores and nothing else to do; on another one a plan takes longer or shorter, and stays the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict

import numpy as np
import polars as pl

from recsys.data.events import EventKind
from recsys.data.interactions import EventTable, Interactions
from recsys.data.signals import EventWeights
from recsys.models.als import ALSConfig, fit_als
from recsys.models.item_item import ItemItemConfig, fit_item_item
from recsys.models.ranking_kernels import top_rows
from training.fitting import TrainingConfig
from training.tuning.plan import COSTS, TRIAL_NEIGHBOURS, CostTable
from training.tuning.space import Shape, parameters, settings_of
from training.tuning.trials import Trial, run_trials

THREADS = 2


def histories(customers: int, items: int, each: int, seed: int = 0) -> Interactions:
    """Customers who bought about so many items each; popular items are bought more."""
    rng = np.random.default_rng(seed)
    lengths = rng.geometric(1 / each, customers)
    item = np.minimum((items * rng.random(lengths.sum()) ** 2).astype(np.int32), items - 1)
    customer = np.repeat(np.arange(customers, dtype=np.int32), lengths)
    size = len(item)
    events = pl.DataFrame(
        {
            "customer": customer,
            "item": item,
            "kind": np.full(size, EventKind.PURCHASE.code, dtype=np.int8),
            "timestamp": pl.Series([None] * size, dtype=pl.Int64),
            "position": np.arange(size, dtype=np.int64),
            "quantity": np.ones(size, dtype=np.float32),
            "rating": pl.Series([None] * size, dtype=pl.Float32),
        }
    )
    ids = (pl.Series([f"{letter}{n:07}" for n in range(count)]) for letter, count in (("c", customers), ("i", items)))
    return Interactions.from_events(EventTable(events, *ids))


def seconds(work: Callable[[], object]) -> float:
    """The least of three."""
    found = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found)


def measured(history: Interactions) -> CostTable:
    """The costs per unit on one history."""
    weights = EventWeights().unfading()
    compile_seconds = seconds(lambda: history.tastes(weights))
    tastes = history.tastes(weights)
    targets = (tastes.strength > 0).astype(np.float32)
    few, many = ItemItemConfig(neighbours=2), ItemItemConfig(neighbours=TRIAL_NEIGHBOURS)
    products = seconds(lambda: fit_item_item(tastes, targets, few, THREADS))
    regressions = max(0.0, seconds(lambda: fit_item_item(tastes, targets, many, THREADS)) - products)
    als = ALSConfig(iterations=5)
    matrix = tastes.matrix()
    factorised = seconds(lambda: fit_als(matrix, als, 0, THREADS))
    rows = 200
    scores = np.random.default_rng(0).random((rows, len(history.items)))
    model = fit_item_item(tastes, targets, many, THREADS).matrix().astype(np.float64)
    few_rows = matrix[:rows].astype(np.float64)
    count = np.zeros(len(history.items), dtype=np.int64)

    def looked_at() -> None:
        (few_rows @ model).toarray()
        top_rows(scores, count, 20)

    pairs = float(np.sum(np.minimum(np.diff(history.indptr), few.history_cap).astype(np.float64) ** 2))
    return CostTable(
        event=compile_seconds / len(history),
        pair=products / pairs,
        regression=regressions / len(history.items) / TRIAL_NEIGHBOURS**2,
        cell=seconds(looked_at) / THREADS / scores.size,
        value=factorised / matrix.nnz / als.iterations / als.factors,
    )


def once_per_trial() -> float:
    """Seconds of a trial that has nothing to learn from: proposing it, and fitting a few items."""
    history = histories(50, 30, 8)
    tastes = history.tastes(EventWeights().unfading())
    targets = (tastes.strength > 0).astype(np.float32)
    varied = parameters(Shape(ordered=True, timed=True, others=(), target=True))
    start = settings_of(TrainingConfig(), varied)

    def judge(settings: Mapping[str, float], before: list[Trial]) -> Trial:
        fit_item_item(tastes, targets, ItemItemConfig(neighbours=TRIAL_NEIGHBOURS), THREADS)
        return Trial(settings, (None, 1.0), float(len(before)), np.zeros(1))

    number = 20
    return seconds(lambda: run_trials(number, [start], varied, 0, judge, [], lambda _: None, lambda: True)) / number


def main() -> None:
    """Prints the table. Not measured: what happens once in a study, lists for relevance, the fixed part of looking at
    a trial.
    """
    found = {
        "10,000 customers, 5,000 items": measured(histories(10_000, 5_000, 20)),
        "60,000 customers, 25,000 items": measured(histories(60_000, 25_000, 10)),
    }
    print(f"{'seconds per':<14}{'in the table':>14}" + "".join(f"{name:>34}" for name in found))
    for name, value in asdict(COSTS).items():
        if name not in ("listed", "trial", "start"):
            print(f"{name:<14}{value:>14.2e}" + "".join(f"{asdict(each)[name]:>34.2e}" for each in found.values()))
    print(f"{'trial':<14}{COSTS.trial:>14.2e}{once_per_trial():>34.2e}")


if __name__ == "__main__":
    main()
