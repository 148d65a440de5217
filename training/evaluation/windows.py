"""Where the windows in time lie that an evaluation asks about."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from recsys.data.events import EventKind
from recsys.data.signals import MS_PER_DAY
from recsys.errors import InputError
from training.evaluation.protocols import moment, nobody_in, timed

NEWEST_SHARE = 10
"""Without other words the newest of so many equal parts of the target events are the test."""


@dataclass(frozen=True, slots=True)
class Window:
    """Models see what was before `cut`, and foresee what happens from then on and before `until`; milliseconds UTC."""

    cut: int
    until: int

    def __str__(self) -> str:
        return f"{moment(self.cut)} to {moment(self.until)}"


@dataclass(frozen=True, slots=True)
class Rolling:
    """What is asked of windows.

    Attributes
    ----------
    cut : where the first begins, milliseconds UTC; None: the last ends with the newest target event.
    days : how long each is; None: see `windows_of`.
    count : how many, 1 or more, one after the other.
    """

    cut: int | None = None
    days: float | None = None
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"--windows is {self.count}", expected="1 or more")
        if self.days is not None and not 0 < self.days < float("inf"):
            raise InputError(f"--days is {self.days:g}", expected="more than 0 days, such as 28")

    @property
    def length(self) -> int | None:
        """Of each window in milliseconds, at least one."""
        return None if self.days is None else max(1, round(self.days * MS_PER_DAY))


def windows_of(rows: pl.DataFrame, target: Collection[EventKind], rolling: Rolling) -> tuple[Window, ...]:
    """The windows in a history, in `EVENT_SCHEMA`, the earliest first.

    With a cut but no length, the time from there to the newest target event is divided equally. With neither, a window
    is as long as the newest tenth of the target events took. InputError as `timed`, when windows would begin outside
    the data, and when nothing is to be foreseen in one of them.
    """
    known, targets = timed(rows, target)
    times = targets["timestamp"].sort()
    first, end = _whole(known["timestamp"].min()), _whole(times[-1]) + 1
    length = rolling.length
    if rolling.cut is not None:
        _inside(rolling.cut, first, end)
        length = length or max(1, (end - rolling.cut) // rolling.count)
        start = rolling.cut
    else:
        length = length or end - _whole(times[len(times) - max(1, len(times) // NEWEST_SHARE)])
        start = end - length * rolling.count
    found = [Window(start + number * length, start + (number + 1) * length) for number in range(rolling.count)]
    if rolling.cut is not None and rolling.days is None:
        # What dividing left over belongs to the last.
        found[-1] = Window(found[-1].cut, end)
    for window in found:
        if not first < window.cut < end:
            raise InputError(
                f"the window {window} begins outside the data",
                expected=f"windows that begin after the first event ({moment(first)}) and before the newest target "
                f"event ({moment(end - 1)})",
                remedy="use fewer windows (--windows), shorter ones (--days), or another --cut",
            )
        # Known before the first window is fitted, which takes long.
        if not times.is_between(window.cut, window.until, closed="left").any():
            raise nobody_in(window.cut, window.until, target, first, end - 1)
    return tuple(found)


def _inside(cut: int, first: int, end: int) -> None:
    if not first < cut < end:
        raise InputError(
            f"--cut is {moment(cut)}",
            expected=f"a time after the first event ({moment(first)}) and at or before the newest target event "
            f"({moment(end - 1)})",
        )


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value
