"""Oddities of a history that make an evaluation say less than it seems to. Nothing here fails it: each is a warning.

What is odd is measured on the data themselves, by medians and median absolute deviations, which a few oddities do not
move (Iglewicz and Hoaglin: How to detect and handle outliers, 1993).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.signals import MS_PER_DAY
from recsys.stores.frames import behaviour
from training.evaluation.windows import Window

OUTLYING = 5.0
"""In robust standard deviations of the logarithm, above the median."""

LEAST_FACTOR = 3.0
"""What is less than so many times the median is not odd, however much alike the others are."""

LEAST_MOMENTS = 60
"""At fewer moments in an hour, one a minute, a customer may be in a hurry."""

DAYS_AROUND, LEAST_DAYS = 29, 15
"""A day is compared with the median of so many days with events around it; shorter histories say nothing of days."""

_HOUR = 3_600_000
_NORMAL = 1.4826  # the median absolute deviation of a normal distribution is 1 / 1.4826 of its standard deviation
_EXAMPLES = 5
_EVENT = ("customer_id", "item_id", "kind")


@dataclass(frozen=True, slots=True)
class DataCheck:
    """One kind of oddity.

    Attributes
    ----------
    count : how many there are; 0 is as it should be.
    share : of all that could be; None where nothing could.
    detail : what was counted, in words.
    examples : some of them.
    """

    name: str
    count: int
    share: float | None
    detail: str
    examples: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As `metrics.json` has it."""
        return asdict(self) | {"examples": list(self.examples)}


def data_checks(rows: pl.DataFrame, catalogue: pl.DataFrame, windows: Sequence[Window] = ()) -> tuple[DataCheck, ...]:
    """What is odd about a history.

    Parameters
    ----------
    rows : in `EVENT_SCHEMA`.
    catalogue : in `ITEM_SCHEMA`.
    windows : events on both sides of whose cut are looked at.
    """
    known = behaviour(rows)
    timed = known.drop_nulls("timestamp")
    return (
        duplicated_events(known),
        impossible_rates(timed),
        one_day_spikes(timed),
        items_without_events(known, catalogue),
        equal_timestamps(timed, windows),
    )


def duplicated_events(known: pl.DataFrame) -> DataCheck:
    """Events that say what another one says: customer, item, kind, time, quantity and rating. Those without a
    time or a position cannot be told from repeats."""
    ordered = known.filter(pl.col("timestamp").is_not_null() | pl.col("position").is_not_null())
    same = ordered.group_by(*_EVENT, "timestamp", "position", "quantity", "rating").len().filter(pl.col("len") > 1)
    count = int(same["len"].sum()) - same.height
    return DataCheck(
        "duplicated events",
        count,
        _share(count, ordered.height),
        "events that repeat another one in customer, item, kind, time, quantity and rating; each counts as often as it "
        "stands there",
        _some(same.sort(["len", *_EVENT], descending=[True, False, False, False]).select(*_EVENT, "len")),
    )


def impossible_rates(timed: pl.DataFrame) -> DataCheck:
    """Customers who act at more different moments within an hour than people do: a basket is one moment."""
    busiest = (
        timed.select("customer_id", "timestamp")
        .unique()
        .group_by("customer_id", hour=pl.col("timestamp") // _HOUR)
        .agg(moments=pl.len())
        .group_by("customer_id")
        .agg(pl.col("moments").max())
        .sort("moments", "customer_id", descending=[True, False])
    )
    odd = busiest.filter(_odd(busiest["moments"]) & (busiest["moments"] > LEAST_MOMENTS))
    typical = busiest["moments"].median()
    return DataCheck(
        "customers with impossible rates",
        odd.height,
        _share(odd.height, busiest.height),
        f"customers who acted at far more different moments of one hour than others (median "
        f"{_number(typical)}), probably programs; they are learned from and scored as everybody",
        _some(odd),
    )


def one_day_spikes(timed: pl.DataFrame) -> DataCheck:
    """Days with far more events than the days around them."""
    days = timed.group_by(day=pl.col("timestamp") // MS_PER_DAY).len().sort("day")
    name, detail = "one-day spikes", f"days with far more events than the median of the {DAYS_AROUND} around them"
    if days.height < LEAST_DAYS:
        return DataCheck(name, 0, None, f"{detail}; {days.height} days with events are too few to tell")
    counts = days["len"].cast(pl.Float64)
    around = counts.rolling_median(DAYS_AROUND, center=True, min_samples=1)
    odd = days.with_columns(around.alias("usual")).filter(_odd(counts / around))
    shown = odd.sort("len", descending=True).select(
        (pl.col("day") * int(MS_PER_DAY)).cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%d").alias("day"),
        pl.col("len").alias("events"),
        "usual",
    )
    return DataCheck(name, odd.height, _share(odd.height, days.height), detail, _some(shown))


def items_without_events(known: pl.DataFrame, catalogue: pl.DataFrame) -> DataCheck:
    """Items of the catalogue that nobody ever touched."""
    silent = catalogue.select("item_id", "title").join(known.select("item_id").unique(), on="item_id", how="anti")
    return DataCheck(
        "items without events",
        silent.height,
        _share(silent.height, catalogue.height),
        "items of the catalogue that have no event: models that learn from behaviour cannot list them",
        _some(silent.sort("item_id")),
    )


def equal_timestamps(timed: pl.DataFrame, windows: Sequence[Window] = ()) -> DataCheck:
    """Events of which nobody can tell which came first: other items of the same customer at the same time."""
    together = timed.group_by("customer_id", "timestamp").agg(items=pl.col("item_id").n_unique(), events=pl.len())
    tied = together.filter(pl.col("items") > 1)
    count = int(tied["events"].sum())
    whole_days = timed.select((pl.col("timestamp") % MS_PER_DAY == 0).mean()).item() if timed.height else None
    at_cut = sum(timed.filter(pl.col("timestamp") == each.cut).height for each in windows)
    detail = "events that share customer and time with an event on another item: their order is unknown, as in a basket"
    if whole_days is not None and whole_days > 0.5:
        detail += f"; {whole_days:.0%} of all times are dates without a time of day"
    if at_cut:
        detail += f"; {at_cut:,} events lie exactly at a cut, and belong to the test"
    shown = tied.sort("events", "customer_id", descending=[True, False]).select(
        "customer_id",
        pl.col("timestamp").cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias("at"),
        "items",
    )
    return DataCheck("equal timestamps", count, _share(count, timed.height), detail, _some(shown))


def _odd(values: pl.Series) -> pl.Series:
    """Which values are outlying: `OUTLYING` robust standard deviations of the logarithm above the median, and
    `LEAST_FACTOR` times as much."""
    if values.is_empty():
        return pl.Series([], dtype=pl.Boolean)
    logs: npt.NDArray[np.float64] = np.log(values.to_numpy().astype(np.float64))
    median = float(np.median(logs))
    spread = _NORMAL * float(np.median(np.abs(logs - median)))
    return pl.Series(logs > median + max(OUTLYING * spread, float(np.log(LEAST_FACTOR))))


def _share(count: int, of: int) -> float | None:
    return count / of if of else None


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else "none"


def _some(rows: pl.DataFrame) -> tuple[dict[str, Any], ...]:
    return tuple(rows.head(_EXAMPLES).to_dicts())
