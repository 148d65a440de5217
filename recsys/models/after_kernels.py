"""Compiled inner loops of `recsys.models.after`; what they return is told in `similarity_kernels`."""

from __future__ import annotations

import numpy as np
from numba import njit

from recsys.models.kernels import Floats, Items, Places
from recsys.models.similarity_kernels import Rows, best_first, offer, packed


@njit(nogil=True, cache=True)
def _weight(
    early: int, late: int, clock: Items, day: Floats, fade: Floats, by_step: Floats, rate: float
) -> float:  # pragma: no cover - compiled
    """How much it counts that the item at place `late` came after the one at `early`; see `recsys.models.after`."""
    weight = by_step[clock[late] - clock[early]] * fade[late]
    if rate > 0.0:
        weight *= np.exp2(-rate * (day[late] - day[early]))
    return float(weight)


@njit(nogil=True, cache=True)
def step_totals(
    first: int,
    last: int,
    start: Places,
    clock: Items,
    day: Floats,
    fade: Floats,
    by_step: Floats,
    rate: float,
) -> tuple[Floats, Floats]:  # pragma: no cover - compiled
    """Per place of customers `first` to `last`: the weights of all steps that leave it, and of all that lead to it."""
    size = start[last] - start[first]
    leaving, arriving = np.zeros(size, np.float64), np.zeros(size, np.float64)
    reach = len(by_step) - 1
    for customer in range(first, last):
        for early in range(start[customer], start[customer + 1]):
            for late in range(early + 1, start[customer + 1]):
                gap = clock[late] - clock[early]
                if gap > reach:
                    break
                if gap > 0:
                    weight = _weight(early, late, clock, day, fade, by_step, rate)
                    leaving[early - start[first]] += weight
                    arriving[late - start[first]] += weight
    return leaving, arriving


@njit(nogil=True, cache=True)
def after_rows(
    first: int,
    last: int,
    item_start: Places,
    item_place: Places,
    item_customer: Items,
    start: Places,
    item_at: Items,
    clock: Items,
    day: Floats,
    fade: Floats,
    by_step: Floats,
    rate: float,
    leaving: Floats,
    arriving: Floats,
    total: float,
    prior: float,
    balance: float,
    least: int,
    kept: int,
) -> Rows:  # pragma: no cover - compiled
    """Rows `first` to `last` of (F_XY − R_XY) / (R_XY + prior)^balance, where it is above 0.

    F_XY is the weight of the steps from X to Y, R_XY the larger of F_YX and leaving_X · arriving_Y / total. Pairs that
    fewer than `least` customers went through in this direction are left out; of each row the `kept` largest stay.
    """
    rows = last - first
    column = np.empty((rows, kept), np.int32)
    value = np.empty((rows, kept), np.float32)
    length = np.zeros(rows, np.int32)
    n_items = len(item_start) - 1
    # Weight and number of steps forward, then weight and number of steps back.
    own = np.zeros((n_items, 4), np.float64)
    seen = np.empty(n_items, np.int32)
    reach = len(by_step) - 1
    for row in range(rows):
        item = first + row
        count = 0
        for entry in range(item_start[item], item_start[item + 1]):
            here, customer = item_place[entry], item_customer[entry]
            for direction in range(2):
                step = 1 if direction == 0 else -1
                end = start[customer + 1] if direction == 0 else start[customer] - 1
                for there in range(here + step, end, step):
                    gap = abs(clock[there] - clock[here])
                    if gap > reach:
                        break
                    if gap == 0:
                        continue
                    neighbour = item_at[there]
                    if own[neighbour, 1] + own[neighbour, 3] == 0.0:
                        seen[count] = neighbour
                        count += 1
                    early, late = min(here, there), max(here, there)
                    weight = _weight(early, late, clock, day, fade, by_step, rate)
                    own[neighbour, 2 * direction] += weight
                    own[neighbour, 2 * direction + 1] += 1.0
        size = 0
        for place in range(count):
            neighbour = seen[place]
            if own[neighbour, 1] >= least:
                reference = max(own[neighbour, 2], leaving[item] * arriving[neighbour] / total)
                beyond = own[neighbour, 0] - reference
                if beyond > 0.0:
                    size = offer(value[row], column[row], size, beyond / (reference + prior) ** balance, neighbour)
            for part in range(4):
                own[neighbour, part] = 0.0
        best_first(value[row], column[row], size)
        length[row] = size
    return packed(column, value, length)
