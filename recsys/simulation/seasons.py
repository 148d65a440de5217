"""When people shop: the year, the week and the day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from recsys.simulation.spec import MS_PER_DAY

_HOUR_WEIGHTS = np.array([3, 1.5, 1, 0.7, 0.7, 1, 2, 4, 5.5, 6, 6, 6, 7, 6.5, 6, 6, 6, 6.5, 7.5, 9, 11, 12, 10, 6])
_WEEKDAY_WEIGHTS = np.array([1.0, 0.95, 0.95, 1.0, 1.05, 1.15, 1.3])
"""Monday first."""
_CHRISTMAS_RISE, _SUMMER_RISE, _CHRISTMAS_GIFTS = 2.2, 0.35, 8.0

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Seasons:
    """How busy each simulated day is.

    Attributes
    ----------
    start_ms : the first moment, milliseconds UTC.
    running : float64, shape (days + 1,); the total busyness of the days before each day.
    christmas : float64, shape (days,); 1 in the weeks before Christmas, 0 elsewhere, with a rise in between.
    """

    start_ms: int
    running: Floats
    christmas: Floats

    @classmethod
    def of(cls, start_ms: int, days: int) -> Self:
        """The seasons of so many days from a midnight on."""
        day = np.arange(days) + start_ms // MS_PER_DAY
        dates = day.astype("datetime64[D]")
        of_year = (dates - dates.astype("datetime64[Y]")).astype(np.int64)
        # From late November (day 325) up to 20 December (353); on the 24th (357) it is over.
        christmas = np.interp(of_year, [325, 345, 353, 358], [0.0, 1.0, 1.0, 0.0])
        summer = np.interp(of_year, [160, 185, 225, 245], [0.0, 1.0, 1.0, 0.0])
        weekday = (day + 3) % 7  # 1 January 1970 was a Thursday
        busy = _WEEKDAY_WEIGHTS[weekday] * (1 + _CHRISTMAS_RISE * christmas + _SUMMER_RISE * summer)
        return cls(start_ms, np.concatenate(([0.0], np.cumsum(busy))), christmas)

    def times_between(self, first: Ints, last: Ints, rng: np.random.Generator) -> Ints:
        """Times at which a customer who is there from day `first` up to day `last` (not included) shops.

        `first`, `last` : shape (n,); days since the start. Returns milliseconds UTC, int64, shape (n,).
        """
        low, high = self.running[first], self.running[last]
        target = low + rng.random(len(first)) * (high - low)
        day = np.clip(np.searchsorted(self.running, target, side="right") - 1, first, last - 1)
        hours = np.cumsum(_HOUR_WEIGHTS) / _HOUR_WEIGHTS.sum()
        hour = np.searchsorted(hours, rng.random(len(first)), side="right")
        in_hour = rng.integers(3_600_000, size=len(first))
        return np.asarray(self.start_ms + day * MS_PER_DAY + np.minimum(hour, 23) * 3_600_000 + in_hour)

    def gift_chance(self, when: Ints, usual: float) -> Floats:
        """The share of visits at these times (milliseconds UTC) that look for a present."""
        day = np.clip((when - self.start_ms) // MS_PER_DAY, 0, len(self.christmas) - 1)
        return np.asarray(np.minimum(usual * (1 + (_CHRISTMAS_GIFTS - 1) * self.christmas[day]), 0.9))
