"""How a history is divided into what models learn from and what they have to foresee.

Each protocol takes frames in `EVENT_SCHEMA` and gives a `Division`. Nothing here depends on the order of rows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys.data.events import EventKind
from recsys.errors import InputError
from recsys.stores.frames import behaviour
from training.evaluation.soon import Soon

PAIR = ("customer_id", "item_id")
MIN_ITEMS_TO_VALIDATE = 5
"""Of a customer with fewer target items, `split` takes none for validation."""
_SHARE = 10  # one item in so many is taken for validation


@dataclass(frozen=True, slots=True)
class Part:
    """Rows to learn from, and what happened instead of being learned from.

    Attributes
    ----------
    rows : in `EVENT_SCHEMA`.
    wanted : `customer_id`, `item_id`, each pair once: what has to be foreseen.
    until : milliseconds UTC; all known times in `rows` lie before it. None where there are no times.
    of_long_histories : only customers with long histories have anything to foresee; others will be asked about.
    soon : what all customers did in the days after `until`; None where these are not one time for all.
    """

    rows: pl.DataFrame
    wanted: pl.DataFrame
    until: int | None
    of_long_histories: bool = False
    soon: Soon | None = None


@dataclass(frozen=True, slots=True)
class Division:
    """A history divided twice. The rows of `test` are those of `validation` and the validation events.

    Attributes
    ----------
    test : what the final models learn from, and what they are scored on.
    validation : what settings are chosen on; None when the history is too short for it.
    notes : what a reader of the result should know.
    """

    test: Part
    validation: Part | None
    notes: tuple[str, ...] = ()


def split(train: pl.DataFrame, test: pl.DataFrame, target: Collection[EventKind], seed: int) -> Division:
    """Two given frames. Validation: a tenth of each customer's target items (half up, at least one), the latest where
    the customer's order is known and a seeded choice where it is not, of customers with `MIN_ITEMS_TO_VALIDATE` or
    more. A pair that is taken for validation loses all its events, of every kind.

    Raises InputError when the test frame holds no target event, or nobody who is in the training frame.
    """
    wanted = _pairs(_of(behaviour(test), target))
    if wanted.is_empty():
        raise _no_target(test, target, "the test file")
    if wanted.join(train, on="customer_id", how="semi").is_empty():
        raise InputError(
            f"none of the {wanted['customer_id'].n_unique():,} customers of the test file is in the training file",
            expected="the same ids in both files",
            remedy="check which column --map calls customer_id",
        )
    known = behaviour(train)
    targets = _of(known, target)
    if targets.is_empty():
        raise _no_target(train, target, "the training file")
    validation = drawn_part(train, target, seed)
    notes = () if validation else (f"no customer has {MIN_ITEMS_TO_VALIDATE} target items: there is no validation",)
    return Division(Part(train, wanted, _after(train)), validation, notes)


def leave_last_out(train: pl.DataFrame, target: Collection[EventKind]) -> Division:
    """Each customer's last step. A step is a time, or a position where times are unknown, at which the customer has
    target events. The test is the last step's, validation the one before it; what the customer did at or after a
    held-out step, of every kind, is not learned from. With two steps there is only a test, with one only training.

    Raises InputError when neither all times nor all positions are known, when there is no target event, or when no
    customer has two steps.
    """
    known = behaviour(train)
    targets = _of(known, target)
    if targets.is_empty():
        raise _no_target(train, target, "the training file")
    order = _order(known)
    steps = targets.group_by("customer_id").agg(pl.col(order).unique().sort(descending=True).alias("steps"))
    last = steps.select(
        "customer_id",
        pl.when(pl.col("steps").list.len() >= 2).then(pl.col("steps").list.first()).alias("test"),
        pl.when(pl.col("steps").list.len() >= 3).then(pl.col("steps").list.get(1, null_on_oob=True)).alias("before"),
    )
    if last["test"].null_count() == last.height:
        raise InputError(
            f"none of {last.height:,} customers has target events at two {order}s",
            expected=f"customers with target events ({_named(target)}) at two or more {order}s",
            remedy="use a longer history, or another protocol",
        )
    final = _before(train, last, order, "test")
    test = Part(final, _at(targets, last, order, "test"), _after(final))
    if last["before"].null_count() == last.height:
        return Division(test, None, ("no customer has three steps: there is no validation",))
    rows = _before(final, last, order, "before")
    return Division(test, Part(rows, _at(targets, last, order, "before"), _after(rows)))


def cut_in_time(train: pl.DataFrame, cut: int, target: Collection[EventKind], until: int | None = None) -> Division:
    """Everything before `cut` (milliseconds UTC) is learned from, the target events from then on are the test.

    The test window ends before `until`, or with the newest target event. Validation is a window as long, just before
    the cut; at most half of the time before the cut, so that something is left to learn from.

    Raises InputError when a time is unknown, when the cut lies outside the data, or when there is no target event.
    """
    known, targets = timed(train, target)
    first, newest = _whole(known["timestamp"].min()), _whole(targets["timestamp"].max())
    if not first < cut <= newest:
        raise InputError(
            f"--cut is {moment(cut)}",
            expected=f"a time after the first event ({moment(first)}) and at or before the newest target event "
            f"({moment(newest)})",
        )
    until = newest + 1 if until is None else until
    wanted = _pairs(targets.filter(pl.col("timestamp").is_between(cut, until, closed="left")))
    if wanted.is_empty():
        raise nobody_in(cut, until, target, first, newest)
    test = Part(_earlier(train, cut), wanted, cut)
    window, room = until - cut, (cut - first) // 2
    start = cut - min(window, room)
    notes = (f"the test window is longer than half of the time before the cut; validation begins at {moment(start)}",)
    held = _pairs(targets.filter(pl.col("timestamp").is_between(start, cut, closed="left")))
    shortened = notes if window > room else ()
    if held.is_empty():
        return Division(test, None, (*shortened, "no target event in the validation window: there is no validation"))
    return Division(test, Part(_earlier(train, start), held, start), shortened)


def nobody_in(cut: int, until: int, target: Collection[EventKind], first: int, newest: int) -> InputError:
    """The error of a window in which nobody does what is to be foreseen; the data go from `first`, their first event,
    to `newest`, their newest target event. All are milliseconds UTC."""
    return InputError(
        f"nobody has a target event ({_named(target)}) from {moment(cut)} up to {moment(until)}",
        expected="a test window in which customers do what is to be foreseen, in a history from "
        f"{moment(first)} to {moment(newest)}",
        remedy="use longer windows (--days), fewer of them (--windows), or another --cut",
    )


def timed(rows: pl.DataFrame, target: Collection[EventKind]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The behaviour and the target events of a history; InputError when one has no time, or nothing is a target."""
    known = behaviour(rows)
    untimed = known["timestamp"].null_count()
    if untimed:
        raise InputError(
            f"{untimed:,} of {known.height:,} events have no time",
            expected="a time on every event, for the protocol `time`",
            remedy="map the column of times (--map timestamp=COLUMN), or use leave-last-out or split",
        )
    targets = _of(known, target)
    if targets.is_empty():
        raise _no_target(rows, target, "the history")
    return known, targets


def drawn_part(train: pl.DataFrame, target: Collection[EventKind], seed: int) -> Part | None:
    """The validation of `split`; None when no customer has enough target items."""
    drawn = _drawn(_of(behaviour(train), target), seed)
    if drawn.is_empty():
        return None
    rows = train.join(drawn, on=list(PAIR), how="anti", nulls_equal=False, maintain_order="left")
    return Part(rows, drawn, _after(rows), of_long_histories=True)


def latest_part(train: pl.DataFrame, target: Collection[EventKind]) -> Part | None:
    """What came before the newest tenth of the target events, and that tenth: None when a time is unknown, or when a
    tenth falls on one moment."""
    known = behaviour(train)
    times = _of(known, target)["timestamp"].sort()
    if times.is_empty() or known["timestamp"].null_count():
        return None
    cut = _whole(times[len(times) - max(1, len(times) // _SHARE)])
    rows = _earlier(train, cut)
    wanted = _pairs(_of(known, target).filter(pl.col("timestamp") >= cut))
    return Part(rows, wanted, cut, soon=Soon.after(known, cut, target)) if not behaviour(rows).is_empty() else None


def _drawn(targets: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The pairs that `split` takes for validation."""
    pairs = (
        targets.group_by(PAIR)
        .agg(pl.col("timestamp", "position").max(), *(_all_known(name) for name in ("timestamp", "position")))
        .sort(PAIR)
        .with_columns(
            pl.len().over("customer_id").alias("items"),
            pl.col("timestamp_known", "position_known").all().over("customer_id"),
        )
    )
    chance = pl.Series("chance", np.random.default_rng(seed).random(pairs.height))
    latest = (
        pl.when("timestamp_known")
        .then("timestamp")
        .when("position_known")
        .then("position")
        .otherwise(0)
        .alias("latest")
    )
    ranked = pairs.with_columns(chance, latest).sort("customer_id", "latest", "chance", descending=[False, True, True])
    taken = pl.max_horizontal(1, (pl.col("items") + _SHARE // 2) // _SHARE)
    place = pl.int_range(pl.len()).over("customer_id")
    return ranked.filter((pl.col("items") >= MIN_ITEMS_TO_VALIDATE) & (place < taken)).select(PAIR)


def _all_known(name: str) -> pl.Expr:
    return pl.col(name).is_not_null().all().alias(f"{name}_known")


def _order(known: pl.DataFrame) -> str:
    """The column that orders each customer's events."""
    for name in ("timestamp", "position"):
        if not known[name].null_count():
            return name
    lacking = ", ".join(f"{known[name].null_count():,} no {name}" for name in ("timestamp", "position"))
    raise InputError(
        f"of {known.height:,} events {lacking}",
        expected="a time on every event, or a position on every event, for the protocol `leave-last-out`",
        remedy="map the column that orders a customer's events: --map timestamp=COLUMN or --map position=COLUMN",
    )


def _before(rows: pl.DataFrame, last: pl.DataFrame, order: str, step: str) -> pl.DataFrame:
    """The rows before each customer's held-out step; all rows of customers without one. An undo of which nobody knows
    when it was made counts as made before."""
    bound = last.select("customer_id", pl.col(step).alias("bound"))
    kept = pl.col("bound").is_null() | pl.col(order).is_null() | (pl.col(order) < pl.col("bound"))
    return rows.join(bound, on="customer_id", how="left", maintain_order="left").filter(kept).drop("bound")


def _at(targets: pl.DataFrame, last: pl.DataFrame, order: str, step: str) -> pl.DataFrame:
    bound = last.select("customer_id", pl.col(step).alias("bound"))
    return _pairs(targets.join(bound, on="customer_id").filter(pl.col(order) == pl.col("bound")))


def _earlier(rows: pl.DataFrame, cut: int) -> pl.DataFrame:
    """The rows before a time, and undos of which nobody knows when they were made."""
    return rows.filter(pl.col("timestamp").is_null() | (pl.col("timestamp") < cut))


def _after(rows: pl.DataFrame) -> int | None:
    """The first millisecond after all known times, or None."""
    newest = rows["timestamp"].max()
    return None if newest is None else _whole(newest) + 1


def _of(events: pl.DataFrame, kinds: Collection[EventKind]) -> pl.DataFrame:
    return events.filter(pl.col("kind").is_in([str(kind) for kind in kinds]))


def _pairs(events: pl.DataFrame) -> pl.DataFrame:
    return events.select(PAIR).unique().sort(PAIR)


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value


def moment(milliseconds: int) -> str:
    """A time in milliseconds UTC as people write it: `2024-05-01T00:00:00Z`."""
    text = pl.Series([milliseconds]).cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")[0]
    return str(text).replace(".000Z", "Z")


def _named(kinds: Collection[EventKind]) -> str:
    return ", ".join(sorted(kinds))


def _no_target(events: pl.DataFrame, target: Collection[EventKind], where: str) -> InputError:
    found = events["kind"].value_counts(sort=True).iter_rows()
    there = ", ".join(f"{kind} {count:,}" for kind, count in found) or "no event at all"
    return InputError(
        f"{where} has no event of the kinds to predict ({_named(target)}); it has {there}",
        expected="events of the kinds that --target names",
        remedy="say with --target what is to be predicted, or with --kinds-map or --event what the rows are",
    )
