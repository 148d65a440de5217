"""The compiled part of `weigh` and of what is drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from recsys.models.kernels import Floats, Items, Places, Singles

Flags = npt.NDArray[np.bool_]


@njit(nogil=True, cache=True)
def weighed(
    mean: Floats,
    explored: Items,
    draws: Singles,
    listed: Items,
    free: Flags,
    place: Items,
    fit: Singles,
    share: float,
    cost: float,
) -> tuple[Floats, Places, Floats, Floats, Items, Singles, Floats, Floats, float, float]:  # pragma: no cover - compiled
    """`means` to `loss` of `Chances`. The rules are told by `weigh`; the first three are of `Beliefs`."""
    slots, size, scenarios = len(listed), len(place), draws.shape[1]
    means, worth = mean[listed], np.empty(size)
    for own in range(size):
        worth[own] = mean[explored[place[own]]] * min(fit[own], np.float32(1.0))
    stretch, picked, stretches = _stretches(free, share)
    ranks = min(stretches, size)
    order, value = np.empty((ranks, scenarios), np.int32), np.empty((ranks, scenarios), np.float32)
    # Candidates before slots: of one draw all slots of a stretch are next to each other.
    won, stay = np.zeros((size, slots)), np.ones(slots)
    if ranks == 0:
        return means, stretch, picked, worth, order, value, won, stay, 1.0, 0.0
    _rank(draws, place, fit, order, value)
    first = 0
    for rank in range(ranks):
        while stretch[first] < rank:
            first += 1
        last = first
        while last < slots and stretch[last] == rank:
            last += 1
        for scenario in range(scenarios):
            best, drawn = order[rank, scenario], value[rank, scenario]
            for slot in range(first, last):
                won[best, slot] += drawn > means[slot]
    loss = 0.0
    for own in range(size):
        for slot in range(slots):
            won[own, slot] *= picked[slot] / scenarios
            loss += won[own, slot] * max(0.0, means[slot] - worth[own])
    allowed = cost * means.sum()
    throttle = min(1.0, allowed / loss) if loss > 0.0 else 1.0
    for own in range(size):
        for slot in range(slots):
            if means[slot] > worth[own]:
                won[own, slot] *= throttle
            stay[slot] -= won[own, slot]
    return means, stretch, picked, worth, order, value, won, stay, throttle, loss * throttle


@njit(nogil=True, cache=True)
def picked(
    seed: np.uint64,
    means: Floats,
    stretch: Places,
    share: Floats,
    worth: Floats,
    order: Items,
    value: Singles,
    throttle: float,
) -> tuple[Places, Items]:  # pragma: no cover - compiled
    """The slots that are given away, ascending, and which candidate each gets: one chance for the scenario, then two
    for each stretch, which slot, and whether what may lose is let in."""
    ranks, scenarios = order.shape
    taken, given, size = np.empty(ranks, np.int64), np.empty(ranks, np.int32), 0
    scenario = min(int(_uniform(seed, 0) * scenarios), scenarios - 1)
    for rank in range(ranks):
        at, slot = _uniform(seed, 2 * rank + 1), -1
        for own in range(len(means)):
            if slot < 0 and share[own] > 0.0 and stretch[own] == rank:
                at -= share[own]
                if at < 0.0:
                    slot = own
        best = order[rank, scenario]
        if slot < 0 or not value[rank, scenario] > means[slot]:
            continue
        if means[slot] > worth[best] and _uniform(seed, 2 * rank + 2) >= throttle:
            continue
        taken[size], given[size] = slot, best
        size += 1
    return taken[:size], given[:size]


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
    draws: Singles, place: Items, fit: Singles, order: Items, values: Singles
) -> None:  # pragma: no cover - compiled
    """Writes the candidates whose draws times fit are the largest of each scenario, largest first, and their draws,
    times fit where it is below 1: shape (ranks, scenarios) each.

    Insertions without a branch, all scenarios at once: whom a larger one pushes down pushes down the next.
    """
    ranks, scenarios = order.shape
    best = np.full((ranks, scenarios), np.float32(-np.inf))
    value, who = np.empty(scenarios, np.float32), np.empty(scenarios, np.int32)
    pushed = np.empty(scenarios, np.int32)
    for own in range(len(place)):
        row = draws[place[own]]
        for scenario in range(scenarios):
            value[scenario], who[scenario], pushed[scenario] = row[scenario] * fit[own], own, 0
        for rank in range(min(own + 1, ranks)):
            there, known = best[rank], order[rank]
            for scenario in range(scenarios):
                push = pushed[scenario] | np.int32(value[scenario] > there[scenario])
                before, by = there[scenario], known[scenario]
                there[scenario] = value[scenario] if push else before
                known[scenario] = who[scenario] if push else by
                value[scenario] = before if push else value[scenario]
                who[scenario] = by if push else who[scenario]
                pushed[scenario] = push
    for rank in range(ranks):
        for scenario in range(scenarios):
            own = order[rank, scenario]
            values[rank, scenario] = draws[place[own], scenario] * min(fit[own], np.float32(1.0))


@njit(nogil=True, cache=True)
def _uniform(seed: np.uint64, number: int) -> float:  # pragma: no cover - compiled
    """A number in [0, 1): SplitMix64 (Steele, Lea and Flood: Fast splittable pseudorandom number generators, 2014)."""
    z = seed + np.uint64(0x9E3779B97F4A7C15) * np.uint64(number + 1)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)
