"""What all customers did in the days after a cut in time."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

import polars as pl

from recsys.data.events import EventKind
from recsys.data.signals import MS_PER_DAY

MOST_DAYS = 90
"""A longer time is cut: what happens in a year says nothing of what to propose now."""


@dataclass(frozen=True, slots=True)
class Soon:
    """What happened in so many days from the cut on.

    Attributes
    ----------
    kinds : of the events that count, sorted.
    days : whole days, 1 or more.
    wanted : `customer_id`, `item_id`, each pair once, ascending: who did something of `kinds` with what.
    newcomers : String, ascending; all who did anything, and nothing before.
    """

    kinds: tuple[EventKind, ...]
    days: int
    wanted: pl.DataFrame
    newcomers: pl.Series

    def digest(self) -> str:
        """The SHA-256 of all of it, in hexadecimal."""
        text = f"{sorted(self.kinds)} {self.days} {self.wanted.write_csv()} {self.newcomers.to_frame().write_csv()}"
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def after(
        cls, known: pl.DataFrame, cut: int, target: Collection[EventKind], most_days: int = MOST_DAYS
    ) -> Self | None:
        """As many whole days as there are from the cut to the newest event, at most `most_days`; None when it is less
        than one.

        Parameters
        ----------
        known : behaviour in `EVENT_SCHEMA`, all of it with times.
        cut : milliseconds UTC.
        """
        newest = known["timestamp"].max()
        days = 0 if not isinstance(newest, int) else min(most_days, int((newest + 1 - cut) // MS_PER_DAY))
        if days < 1:
            return None
        end = cut + days * int(MS_PER_DAY)
        within = known.filter(pl.col("timestamp").is_between(cut, end, closed="left"))
        kinds = tuple(sorted(target))
        wanted = within.filter(pl.col("kind").is_in([str(kind) for kind in kinds])).select("customer_id", "item_id")
        before = known.filter(pl.col("timestamp") < cut).select("customer_id")
        new = within.select("customer_id").unique().join(before, on="customer_id", how="anti")["customer_id"].sort()
        return cls(kinds, days, wanted.unique().sort("customer_id", "item_id"), new)
