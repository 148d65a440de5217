"""When new good books get their fair share, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.exploration.loop import Counted
from benchmarks.exploration.world import DAYS, WARM_DAYS, World
from recsys.simulation.spec import MS_PER_DAY

Floats = npt.NDArray[np.float64]

FOLLOWED = 21
"""Books that came out in the last days are not followed long enough to say anything."""
LATELY = 7
"""A share is that of so many days."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """The new good books of one shop, by their age: shape (days,) each, sums over books.

    Attributes
    ----------
    own : the share of each book in the purchases of its day.
    fair : the same where the oracle makes the lists.
    """

    own: Floats
    fair: Floats


def good_books(world: World, oracle: Counted) -> npt.NDArray[np.int64]:
    """The books that came out while lists were explored and of which the oracle sells at least as much a day as of the
    average book."""
    day = _day(world)
    new = np.flatnonzero((day >= WARM_DAYS) & (day <= WARM_DAYS + DAYS - FOLLOWED))
    average = float(oracle.expected[WARM_DAYS:].sum(axis=1).mean()) / len(world.books)
    return np.array([book for book in new if oracle.expected[day[book] :, book].mean() >= average], dtype=np.int64)


def old_books(world: World, oracle: Counted) -> npt.NDArray[np.int64]:
    """Books as good that had been out for half a year or since before the simulation."""
    average = float(oracle.expected[WARM_DAYS:].sum(axis=1).mean()) / len(world.books)
    rate = oracle.expected[WARM_DAYS:].mean(axis=0)
    return np.flatnonzero((_day(world) < -60) & (rate >= average))


def _day(world: World) -> npt.NDArray[np.int64]:
    """The day of the loop on which each book comes out."""
    return np.asarray((world.books.published - world.first) // MS_PER_DAY)


def cohort(world: World, counted: Counted, oracle: Counted) -> Cohort:
    """The new good books' shares by age."""
    day, days = _day(world), WARM_DAYS + DAYS
    own, fair = np.zeros(days), np.zeros(days)
    for book in good_books(world, oracle):
        age = slice(0, days - int(day[book]))
        for into, source in ((own, counted), (fair, oracle)):
            into[age] += (source.expected[:, book] / source.expected.sum(axis=1))[day[book] :]
    return Cohort(own, fair)


def share_of_fair(cohorts: list[Cohort]) -> Floats:
    """What part of the fair share the books of some shops together have, by age: of the days lately."""
    own, fair = sum(each.own for each in cohorts), sum(each.fair for each in cohorts)
    assert isinstance(own, np.ndarray)
    assert isinstance(fair, np.ndarray)

    def lately(values: Floats) -> Floats:
        total = np.cumsum(values)
        return np.asarray(total - np.concatenate([np.zeros(LATELY), total[:-LATELY]]))

    return np.asarray(lately(own) / np.maximum(lately(fair), 1e-12))


@dataclass(frozen=True, slots=True)
class Measured:
    """What is kept of one arm in one shop.

    Attributes
    ----------
    cohort : the new good books'.
    old, old_fair : the share of purchases that old good books have, here and with the oracle.
    expected, purchases : of all lists while one arm explores: what the truth expects, and what happened.
    explored, slots : how many slots were explored, and how many there were.
    lost : purchases that the policy expected to lose.
    """

    cohort: Cohort
    old: float
    old_fair: float
    expected: float
    purchases: int
    explored: int
    slots: int
    lost: float


def measured_sales(world: World, counted: Counted, oracle: Counted) -> tuple[float, float, float, int, int, int, float]:
    """All of `Measured` but the cohort."""
    old, later = old_books(world, oracle), slice(WARM_DAYS, None)

    def share(of: Counted) -> float:
        return float(of.expected[later, old].sum() / of.expected[later].sum())

    return (
        share(counted),
        share(oracle),
        float(counted.expected[later].sum()),
        int(counted.purchases[later].sum()),
        int(counted.explored.sum()),
        int(counted.impressions[later].sum()),
        float(counted.lost.sum()),
    )
