"""The compiled part of `choose`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from recsys.models.kernels import Floats, Items, Places, Singles

Flags = npt.NDArray[np.bool_]


@njit(nogil=True, cache=True)
def drawn(
    seed: np.uint64,
    means: Floats,
    free: Flags,
    candidate_means: Floats,
    draws: Singles,
    candidates: Items,
    fit: Singles,
    share: float,
    cost: float,
) -> tuple[Items, Floats, float]:  # pragma: no cover - compiled
    """What each slot gets: the place of an explored item or -1, shape (k,); the probability of what it holds, shape
    (k,); and the expected loss. The rules are told by `choose`."""
    slots, size, scenarios = len(means), len(candidates), draws.shape[1]
    place, propensity = np.full(slots, np.int32(-1)), np.ones(slots)
    stretch, picked, stretches = _stretches(free, share)
    ranks = min(stretches, size)
    if ranks == 0:
        return place, propensity, 0.0
    won = np.zeros((slots, size))
    order, value = np.empty((scenarios, ranks), np.int32), np.empty((scenarios, ranks), np.float32)
    _rank(draws, candidates, fit, order, value)
    worth = candidate_means * np.minimum(fit, np.float32(1.0))
    for scenario in range(scenarios):
        for slot in range(slots):
            if free[slot] and stretch[slot] < ranks:
                best = order[scenario, stretch[slot]]
                won[slot, best] += value[scenario, stretch[slot]] > means[slot]
    loss = 0.0
    for slot in range(slots):
        for own in range(size):
            won[slot, own] *= picked[slot] / scenarios
            loss += won[slot, own] * max(0.0, means[slot] - worth[own])
    allowed = cost * means.sum()
    throttle = min(1.0, allowed / loss) if loss > 0.0 else 1.0
    for slot in range(slots):
        for own in range(size):
            if means[slot] > worth[own]:
                won[slot, own] *= throttle
            propensity[slot] -= won[slot, own]
    # One chance for the scenario, then two for each stretch: which slot, and whether what may lose is let in.
    scenario = min(int(_uniform(seed, 0) * scenarios), scenarios - 1)
    for rank in range(ranks):
        at, slot = _uniform(seed, 2 * rank + 1), -1
        for own in range(slots):
            if slot < 0 and free[own] and stretch[own] == rank:
                at -= picked[own]
                if at < 0.0:
                    slot = own
        best = order[scenario, rank]
        if slot < 0 or not value[scenario, rank] > means[slot]:
            continue
        if means[slot] > worth[best] and _uniform(seed, 2 * rank + 2) >= throttle:
            continue
        place[slot], propensity[slot] = candidates[best], won[slot, best]
    return place, propensity, loss * throttle


@njit(nogil=True, cache=True)
def _stretches(free: Flags, share: float) -> tuple[Places, Floats, int]:  # pragma: no cover - compiled
    """The stretch of each slot, the probability that it is picked, and how many stretches there are.

    As few as hold `share` of the free slots, and about equally long; of each at most one slot is picked, all alike.
    """
    count = 0
    for own in free:
        count += own
    stretches = int(np.ceil(share * count - 1e-9))
    stretch, picked = np.zeros(len(free), np.int64), np.zeros(len(free))
    if stretches == 0:
        return stretch, picked, 0
    length, before = np.zeros(stretches), 0
    for slot in range(len(free)):
        stretch[slot] = min(before, count - 1) * stretches // count
        if free[slot]:
            length[stretch[slot]] += 1.0
            before += 1
    for slot in range(len(free)):
        if free[slot]:
            picked[slot] = min(share, 1.0 / length[stretch[slot]])
    return stretch, picked, stretches


@njit(nogil=True, cache=True)
def _rank(
    draws: Singles, candidates: Items, fit: Singles, order: Items, values: Singles
) -> None:  # pragma: no cover - compiled
    """Writes the candidates whose draws times fit are the largest of each scenario, largest first, and their draws,
    times fit where it is below 1."""
    ranks = order.shape[1]
    best = np.empty(ranks, np.float32)
    for scenario in range(draws.shape[1]):
        size = 0
        for own in range(len(candidates)):
            value = draws[candidates[own], scenario] * fit[own]
            if size == ranks and value <= best[size - 1]:
                continue
            to = min(size, ranks - 1)
            while to > 0 and best[to - 1] < value:
                best[to], order[scenario, to] = best[to - 1], order[scenario, to - 1]
                to -= 1
            best[to], order[scenario, to] = value, own
            size = min(size + 1, ranks)
        for rank in range(ranks):
            own = order[scenario, rank]
            values[scenario, rank] = draws[candidates[own], scenario] * min(fit[own], np.float32(1.0))


@njit(nogil=True, cache=True)
def _uniform(seed: np.uint64, number: int) -> float:  # pragma: no cover - compiled
    """A number in [0, 1): SplitMix64 (Steele, Lea and Flood: Fast splittable pseudorandom number generators, 2014)."""
    z = seed + np.uint64(0x9E3779B97F4A7C15) * np.uint64(number + 1)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)
