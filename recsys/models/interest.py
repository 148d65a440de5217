"""What customers turned to on which day: what lists over a window of days are counted from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from recsys.data.interactions import Interactions
from recsys.data.signals import MS_PER_DAY, UNKNOWN_TIME, EventWeights, event_strengths

Floats = npt.NDArray[np.float64]

MOST_DAYS = 730
"""So many days are kept, the newest: a year, and the year before it to compare it with."""

PER_CUSTOMER = 1000
"""Interest is counted in thousandths of what one customer can show in a day by a purchase: whole numbers add up to the
same whatever their order."""

_PRIOR = 0.5
_DOUBT = 0.05
_UNKNOWN_DAY = 100_000


@dataclass(frozen=True, slots=True)
class Interest:
    """Interest by item and day. Day 0 is the 24 hours that end with the newest event of the shop, day 1 those before.

    The interest of a customer in an item on a day is the sum of the weights of their events, at most the cap; so nobody
    counts for more than one purchase a day, and those who come back on another day count again.

    Attributes
    ----------
    indptr : int64, shape (days + 1,); the entries of day `d` are `indptr[d]:indptr[d + 1]`. There are as many days as
        the history reaches back, at most `MOST_DAYS`; none where times are unknown.
    item : int32, shape (entries,); ascending within a day.
    count : int32, shape (entries,); 1/`PER_CUSTOMER`, above 0.
    total : int64, shape (items,); of the whole history, older days and events of unknown time too.
    first : int64, shape (items,); milliseconds UTC of the first event, `UNKNOWN_TIME` where there is none with a time.
    """

    indptr: npt.NDArray[np.int64]
    item: npt.NDArray[np.int32]
    count: npt.NDArray[np.int32]
    total: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]

    @property
    def days(self) -> int:
        """How many days there are counts of."""
        return len(self.indptr) - 1

    def within(self, newest: int, oldest: int) -> npt.NDArray[np.int64]:
        """The interest in every item on the days from `newest` up to, not including, `oldest`: shape (items,)."""
        size = len(self.total)
        first, last = (int(self.indptr[min(day, self.days)]) for day in (newest, oldest))
        counted = np.bincount(self.item[first:last], weights=self.count[first:last], minlength=size)
        return counted.astype(np.int64)

    def growth(self, days: int) -> Floats:
        """By what factor interest in each item surely grew in the newest `days` against as many before: shape (items,).

        The lower end of what is believed of the ratio of two Poisson rates, each under a Gamma prior: with counts a and
        b over times s and t, x = λ_a·s / (λ_a·s + λ_b·t) follows Beta(a + 1/2, b + 1/2), and the ratio is
        x / (1 − x) · t / s. Ranking by its lower 5 % point, so that 1 → 3 does not come before 200 → 400, is
        DuMouchel's EB05 (Bayesian Data Mining in Large Frequency Tables, The American Statistician 53, 1999), here with
        Jeffreys' prior. Where the history does not reach back twice as far, t is shorter than s.

        0 where interest was not larger at all. `days` is 1 or more and less than `self.days`.
        """
        now = self.within(0, days) / PER_CUSTOMER
        before = self.within(days, 2 * days) / PER_CUSTOMER
        span = min(self.days, 2 * days) - days
        growth = np.zeros(len(now))
        # Few items pass this, and the quantile takes long.
        more = np.flatnonzero(now * span > before * days)
        share = betaincinv(now[more] + _PRIOR, before[more] + _PRIOR, _DOUBT)
        growth[more] = share / (1.0 - share) * (span / days)
        return growth

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What a bundle stores."""
        return {
            "interest.indptr": self.indptr,
            "interest.item": self.item,
            "interest.count": self.count,
            "interest.total": self.total,
            "interest.first": self.first,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[np.generic]]) -> Self:
        """What `arrays` gave."""
        return cls(
            arrays["interest.indptr"].view(np.int64),
            arrays["interest.item"].view(np.int32),
            arrays["interest.count"].view(np.int32),
            arrays["interest.total"].view(np.int64),
            arrays["interest.first"].view(np.int64),
        )


def fit_interest(interactions: Interactions, weights: EventWeights) -> Interest:
    """The interest in every item on every day, by the weights that popularity counts with."""
    size = len(interactions.items)
    time, known = interactions.timestamp, interactions.timestamp != UNKNOWN_TIME
    newest = time.max(initial=UNKNOWN_TIME)
    first = np.full(size, np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(first, interactions.item[known], time[known])
    first[first == np.iinfo(np.int64).max] = UNKNOWN_TIME
    days = 0
    if known.any():
        days = min(int((newest - time[known].min()) // int(MS_PER_DAY)) + 1, MOST_DAYS)
    parts = [
        _of_customers(interactions, start, end, weights, days, int(newest)) for start, end in interactions.blocks()
    ]
    keys, counts = _summed(np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))
    # The last day stands for what is older and for times that are unknown.
    day, item = np.divmod(keys, max(size, 1))
    total = np.zeros(size, dtype=np.int64)
    np.add.at(total, item, counts)
    recent = (day < days) & (counts > 0)
    indptr = np.zeros(days + 1, dtype=np.int64)
    np.cumsum(np.bincount(day[recent], minlength=days)[:days], out=indptr[1:])
    most = np.iinfo(np.int32).max
    return Interest(
        indptr, item[recent].astype(np.int32), np.minimum(counts[recent], most).astype(np.int32), total, first
    )


def _of_customers(
    interactions: Interactions, start: int, end: int, weights: EventWeights, days: int, newest: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The interest of the customers from `start` up to `end`: day · items + item, ascending, and thousandths."""
    size = len(interactions.items)
    own = slice(int(interactions.indptr[start]), int(interactions.indptr[end]))
    row = np.repeat(np.arange(end - start, dtype=np.int64), np.diff(interactions.indptr[start : end + 1]))
    time = interactions.timestamp[own]
    each = event_strengths(
        row * size + interactions.item[own],
        interactions.kind[own],
        np.full(len(time), np.nan),
        interactions.quantity[own],
        interactions.rating[own],
        weights.unfading(),
    )
    known = time != UNKNOWN_TIME
    # Days that are not kept are told apart all the same: whoever came on two of them counts twice.
    day = np.full(len(time), _UNKNOWN_DAY, dtype=np.int64)
    day[known] = np.minimum((newest - time[known]) // int(MS_PER_DAY), _UNKNOWN_DAY - 1)
    visits, place = np.unique(each.index * (_UNKNOWN_DAY + 1) + day, return_inverse=True)
    strength = np.minimum(np.bincount(place, weights=each.strength, minlength=len(visits)), weights.cap)
    pair, when = np.divmod(visits, _UNKNOWN_DAY + 1)
    thousandths = np.rint(strength * PER_CUSTOMER).astype(np.int64)
    return _summed(np.minimum(when, days) * size + each.groups[pair] % max(size, 1), thousandths)


def _summed(
    keys: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The distinct keys, ascending, and the sum of the counts of each."""
    distinct, place = np.unique(keys, return_inverse=True)
    # Exact: far fewer than 2^53 thousandths.
    return distinct, np.bincount(place, weights=counts, minlength=len(distinct)).astype(np.int64)
