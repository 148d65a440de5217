"""From seconds to a number of trials, before the first one and without looking at a clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.data.interactions import Interactions
from training.fitting import TrainingConfig

MOST_TRIALS = 60
MOST_CUSTOMERS = 6000
LEAST_CUSTOMERS = 1000
MOST_CELLS = 150_000_000
"""Validation customers × items × fadings that a trial scores at most, down to `LEAST_CUSTOMERS`."""

LOOKS = 3
"""The first trial looks at every fading, the others at the best so far and the ones beside it."""

TRIAL_NEIGHBOURS = 50
"""Trials regress on fewer neighbours than the final fit: a quarter of the time, and the same order of settings."""


@dataclass(frozen=True, slots=True)
class CostTable:
    """Seconds on two cores, as `python -m benchmarks.tuning` measures them; a slower machine takes longer for the same
    plan.

    Attributes
    ----------
    event : compiling one event into tastes.
    pair : one pair of items in one history, in the co-occurrence products.
    regression : one item's regression on one neighbour, squared.
    cell : scoring one item for one customer.
    value : one taste in one iteration of one factor of ALS.
    listed : one customer's list, and what relevance learns of it.
    trial : one trial on any data: proposing it, starting threads.
    start : what happens once on any data: loading compiled code, fitting the sources that trials leave out.
    """

    event: float = 4e-7
    pair: float = 1.2e-8
    regression: float = 3.5e-8
    cell: float = 1.2e-8
    value: float = 8e-9
    listed: float = 1.5e-4
    trial: float = 0.04
    start: float = 1.5


COSTS = CostTable()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a budget is good for.

    Attributes
    ----------
    trials : how many settings of the item-item model are tried; 0 when the budget does not suffice for two.
    blend : whether weights of the blend are learned.
    customers : how many validation customers each trial is judged on.
    expected_seconds : by the cost table.
    """

    trials: int
    blend: bool
    customers: int
    expected_seconds: float


def plan_for(
    budget: float,
    history: Interactions,
    validation_customers: int,
    looks: int,
    config: TrainingConfig,
    costs: CostTable = COSTS,
    listed: int = 0,
) -> Plan:
    """The plan for a budget in seconds.

    Parameters
    ----------
    history : what trials learn from.
    looks : how many fadings there are to look at.
    listed : how many customers' lists relevance is learned from.
    """
    items = max(1, len(history.items))
    each = min(looks, LOOKS)
    customers = min(validation_customers, int(np.clip(MOST_CELLS // (items * each), LEAST_CUSTOMERS, MOST_CUSTOMERS)))
    lengths = np.minimum(np.diff(history.indptr), config.item_item.history_cap).astype(np.float64)
    pairs, cells = float(np.sum(lengths**2)), float(customers) * items
    prepare = costs.event * len(history) + costs.pair * pairs
    trial = costs.trial + prepare + costs.regression * items * TRIAL_NEIGHBOURS**2 + costs.cell * cells * each
    factors = config.als.fitting((len(history.customers), items), len(history))
    values = len(history) * factors * config.als.iterations
    blend = costs.start + prepare + costs.regression * items * config.item_item.neighbours**2 + costs.value * values
    blend += 8 * costs.cell * cells + costs.listed * listed
    if budget < blend:
        return Plan(0, False, customers, 0.0)
    first = costs.cell * cells * (looks - each)
    trials = min(MOST_TRIALS, int((budget - blend - first) // trial))
    if trials < 2:
        return Plan(0, True, customers, round(blend, 3))
    return Plan(trials, True, customers, round(blend + first + trials * trial, 3))
