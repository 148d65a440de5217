"""How long the library call takes with one bundle beside another: a ratio, measured so that a busy machine cannot tilt
it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from recsys.bundle.bundle import ModelBundle
from recsys.data.catalog import Catalog
from recsys.data.history import HISTORY_LIMIT, History
from recsys.data.vocabulary import UNKNOWN
from recsys.metrics.uncertainty import intervals
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Request
from training.evaluation.held_out import HeldOut
from training.tuning.judging import K

LEAST_CUSTOMERS, MOST_CUSTOMERS = 20, 200
"""So many customers' calls are timed, as the seconds allow."""

PILOT: Final = 5
"""How long the calls of so many take says how many there can be."""

LEAST_ROUNDS, MOST_ROUNDS = 3, 15
"""Each customer is asked for so often with each bundle."""

Call = Callable[[int], float]
"""Asks for the list of one of the customers, by number; returns the seconds that it took."""


@dataclass(frozen=True, slots=True)
class Latency:
    """What one call of the library takes.

    Attributes
    ----------
    candidate, in_force : seconds, the median over customers of the fastest of each one's calls.
    ratio, low, high : candidate by in force, the geometric mean over customers, and its 95 % interval.
    customers, rounds : how many were asked for, and how often with each bundle.
    """

    candidate: float
    in_force: float
    ratio: float
    low: float
    high: float
    customers: int
    rounds: int


def timed(candidate: Call, in_force: Call, customers: int, seconds: float, seed: int) -> Latency:
    """Both calls for each customer, one right after the other, in turns first, round by round until the seconds are
    spent; `LEAST_ROUNDS` in any case. Of each customer's calls the fastest counts: what else goes on makes a call
    slower, never faster, and it meets both alike."""
    fastest = np.full((customers, 2), np.inf)
    begin, rounds = time.perf_counter(), 0
    while rounds < LEAST_ROUNDS or (rounds < MOST_ROUNDS and time.perf_counter() - begin < seconds):
        for number in range(customers):
            pair = ((0, candidate), (1, in_force))
            for place, call in pair if (rounds + number) % 2 == 0 else pair[::-1]:
                fastest[number, place] = min(fastest[number, place], call(number))
        rounds += 1
    logs = np.log(fastest[:, :1]) - np.log(fastest[:, 1:])
    (found,) = intervals(logs, seed)
    middle = np.median(fastest, axis=0)
    ratio, low, high = (float(np.exp(each)) for each in (found.mean, found.low, found.high))
    return Latency(float(middle[0]), float(middle[1]), ratio, low, high, customers, rounds)


def latency_of(
    candidate: ModelBundle,
    in_force: ModelBundle,
    held_out: HeldOut,
    rows: npt.NDArray[np.int32],
    seconds: float,
    seed: int,
) -> Latency:
    """Of `Recommender.recommend`, as the service calls it, for some of the customers at these rows of the training
    part. A call begins with a history that nothing was made of yet, and everything counts as available."""
    begin = time.perf_counter()
    drawn = np.random.default_rng(seed).permutation(len(rows))[:MOST_CUSTOMERS]
    calls = [_call(bundle, held_out, rows[drawn]) for bundle in (candidate, in_force)]
    for call in calls:
        # What is compiled or mapped at the first call is not a customer's to wait for.
        call(0)
    each = sum(call(number) for call in calls for number in range(min(PILOT, len(drawn)))) / min(PILOT, len(drawn))
    left = seconds - (time.perf_counter() - begin)
    number = min(len(drawn), max(LEAST_CUSTOMERS, int(left / (LEAST_ROUNDS * each))))
    return timed(calls[0], calls[1], number, left, seed)


def _call(bundle: ModelBundle, held_out: HeldOut, rows: npt.NDArray[np.int32]) -> Call:
    own = held_out.training.over(bundle.items).newest(HISTORY_LIMIT)
    recommender, catalog = Recommender(bundle, held_out.rules.placement), Catalog.unread(len(bundle.items))
    request = Request(limit=K, now=held_out.now)

    def call(number: int) -> float:
        row = int(rows[number])
        history = History.empty() if row == UNKNOWN else own.history(row)
        started = time.perf_counter()
        recommender.recommend(history, catalog, request)
        return time.perf_counter() - started

    return call
