"""Calendar months, and days in a shop's zone."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import polars as pl


def months_after(day: date, months: int) -> date:
    """The same day so many calendar months later, or earlier where that is negative; the last of the month where it is
    shorter. Outside of the calendar its first or last day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not date.min.year <= year <= date.max.year:
        return date.min if months < 0 else date.max
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def day_of(moment: int, time_zone: str) -> date:
    """The day of the last millisecond before a moment (milliseconds UTC), in a zone: of a midnight the day it ends."""
    return datetime.fromtimestamp((moment - 1) / 1000, UTC).astimezone(ZoneInfo(time_zone)).date()


def local_day(timestamp: pl.Expr, time_zone: str) -> pl.Expr:
    """The day of a time (milliseconds UTC) in a zone."""
    return pl.from_epoch(timestamp, "ms").dt.replace_time_zone("UTC").dt.convert_time_zone(time_zone).dt.date()
