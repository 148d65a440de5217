"""Times of every make to milliseconds UTC: numbers since 1970, ISO 8601 text, a publisher's own layouts, Parquet's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from recsys.data.importers.options import TimeUnit
from recsys.data.importers.values import is_missing
from recsys.errors import InputError

_MS_PER_UNIT = {
    TimeUnit.SECONDS: (1000, 1),
    TimeUnit.MILLISECONDS: (1, 1),
    TimeUnit.MICROSECONDS: (1, 1000),
    TimeUnit.NANOSECONDS: (1, 1_000_000),
}
_UNIT_NAMES = {
    TimeUnit.SECONDS: "seconds",
    TimeUnit.MILLISECONDS: "milliseconds",
    TimeUnit.MICROSECONDS: "microseconds",
    TimeUnit.NANOSECONDS: "nanoseconds",
}
_ISO_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
)
_ZONE = r"\s*(?:Z|z| ?UTC|([+-])(\d{2}):?(\d{2})?(?: UTC)?)$"
_SMALLEST_SECONDS = 1e8  # 1973: smaller numbers are more likely years, dates such as 20240131 or plain counters
_LARGEST = {TimeUnit.SECONDS: 1e11, TimeUnit.MILLISECONDS: 1e14, TimeUnit.MICROSECONDS: 1e17}


@dataclass(frozen=True, slots=True)
class TimeReading:
    """How times are to be read.

    Attributes
    ----------
    zone : the zone of times that name none, or None.
    unit : of numbers; None means by magnitude.
    formats : further layouts of naive times (strptime); the one that fits most rows is taken.
    """

    zone: str | None = None
    unit: TimeUnit | None = None
    formats: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Times:
    """A column of times.

    Attributes
    ----------
    ms : Int64, milliseconds UTC; null where there is none and where it is bad.
    malformed, nonexistent : which rows hold no time at all, and which a time that the zone's clocks skipped.
    read_as : how they were read, for the report; empty when the column is empty.
    """

    ms: pl.Series
    malformed: pl.Series
    nonexistent: pl.Series
    read_as: str

    @property
    def expected(self) -> str:
        """What a malformed row should have held."""
        if not self.ms.count():
            return "seconds since 1970, or ISO 8601 text"
        return f"a time as in the rest of the file ({self.read_as})"


def check_zone(zone: str) -> str:
    """The zone's name; InputError when there is no such zone."""
    try:
        pl.Series([0]).cast(pl.Datetime("ms")).dt.replace_time_zone(zone)
    except pl.exceptions.PolarsError:
        raise InputError(
            f"there is no time zone {zone!r}", expected="a name of the IANA database such as Europe/London or UTC"
        ) from None
    return zone


def parse_times(column: str, raw: pl.Series, reading: TimeReading) -> Times:
    """Reads one column of times; `column` is the file's name for it.

    Text is taken as numbers when most of it is. A time that occurs twice when clocks go back is taken as the earlier;
    one that clocks skip is `nonexistent`. Raises InputError for naive times without a zone and for numbers whose unit
    is unclear.
    """
    missing = is_missing(raw)
    present = len(raw) - int(missing.sum())
    never = pl.repeat(False, len(raw), dtype=pl.Boolean, eager=True)
    if not present:
        return Times(pl.Series([None] * len(raw), dtype=pl.Int64), never, never, "")
    dtype = raw.dtype
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        moments = raw.cast(pl.Datetime("ms")) if dtype == pl.Date else raw
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            return Times(moments.dt.epoch("ms"), never, never, f"Parquet times in {dtype.time_zone}")
        ms, skipped = _localise(column, moments, reading.zone)
        return Times(ms, never, skipped, f"Parquet times without a zone, in {reading.zone}")
    if dtype.is_numeric():
        return _numbers(column, raw.cast(pl.Float64) if dtype.is_float() else raw, missing, reading.unit)
    if dtype != pl.String:
        return Times(pl.Series([None] * len(raw), dtype=pl.Int64), ~missing, never, f"{dtype}, which are no times")
    text = raw.set(missing, None).str.strip_chars()
    numbers = text.cast(pl.Float64, strict=False)
    if reading.unit is not None or numbers.count() * 2 > present:
        whole = text.cast(pl.Int64, strict=False)
        is_whole = whole.null_count() == numbers.null_count()
        return _numbers(column, whole if is_whole else numbers, missing, reading.unit)
    return _text(column, text, reading)


def _numbers(column: str, numbers: pl.Series, missing: pl.Series, unit: TimeUnit | None) -> Times:
    finite = numbers.set(~numbers.is_finite().fill_null(False), None) if numbers.dtype.is_float() else numbers
    recognised = unit is None
    unit = unit or _unit(column, finite)
    times, per = _MS_PER_UNIT[unit]
    if finite.dtype.is_float():
        scaled = finite * times / per
        ms = scaled.set((scaled.abs() >= 2**62).fill_null(False), None).round().cast(pl.Int64, strict=False)
    else:
        exact = finite.cast(pl.Int64, strict=False)
        ms = exact // per if times == 1 else exact.set((exact.abs() > 2**62 // times).fill_null(False), None) * times
    how = "recognised by their size" if recognised else "as told"
    if recognised:
        # A 0 that stands for nothing, or seconds among milliseconds, would become days in January 1970.
        ms = ms.set(((ms >= 0) & (ms < _SMALLEST_SECONDS * 1000)).fill_null(False), None)
    malformed = ms.is_null() & ~missing
    never = pl.repeat(False, len(ms), dtype=pl.Boolean, eager=True)
    return Times(ms, malformed, never, f"{_UNIT_NAMES[unit]} since 1970, {how}")


def _unit(column: str, numbers: pl.Series) -> TimeUnit:
    """The unit in which most of the numbers lie between 1973 and 5138."""
    middle = numbers.cast(pl.Float64).abs().median()
    if not isinstance(middle, float) or middle < _SMALLEST_SECONDS:
        shown = "no number" if not isinstance(middle, float) else f"about {middle:,.0f} in the middle"
        raise InputError(
            f"the times in column {column!r} are numbers too small to be times ({shown})",
            expected="seconds, milliseconds or microseconds since 1970, or ISO 8601 text",
            remedy=f"if they only give an order, use --map position={column}; if they are times, add --time-unit s",
        )
    return next((unit for unit, largest in _LARGEST.items() if middle < largest), TimeUnit.NANOSECONDS)


def _localise(column: str, naive: pl.Series, zone: str | None) -> tuple[pl.Series, pl.Series]:
    """Naive times of a zone as milliseconds UTC, and which of them its clocks skipped."""
    if zone is None:
        first = naive.drop_nulls()[0]
        raise InputError(
            f"the times in column {column!r} name no time zone (for example {first})",
            expected="times with a zone (2024-05-01T12:00:00Z), or --timezone",
            remedy="add --timezone with the shop's zone, such as --timezone Europe/London",
        )
    placed = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return placed.dt.epoch("ms"), placed.is_null() & naive.is_not_null()


def _strictly(text: pl.Series, pattern: str) -> pl.Series:
    """The texts that fit one layout. A leap second is no fit: it would become another time than the one written."""
    value = text.str.to_datetime(pattern, strict=False, time_unit="us")
    if not value.count():
        return value
    leap = (value.dt.second() == 0) & text.str.contains(r":60(\.\d+)?$")
    return value.set(leap.fill_null(False), None) if leap.any() else value


def _fitting(text: pl.Series, pattern: str) -> pl.Series:
    """The texts that fit a layout other than ISO 8601; a year of two digits is no year 12."""
    value = _strictly(text, pattern)
    return value.set((value.dt.year() < 100).fill_null(False), None)


def _first_that_fits(text: pl.Series, formats: Sequence[str]) -> pl.Series:
    """Each text by the first of the layouts that fits it."""
    value = pl.Series([None] * len(text), dtype=pl.Datetime("us"))
    for each in formats:
        if value.null_count() == text.null_count():
            break
        value = value.zip_with(value.is_not_null(), _strictly(text, each))
    return value


def _naive(text: pl.Series, formats: Sequence[str]) -> pl.Series:
    """Text without a zone as Datetime: ISO 8601, or the one of the further layouts that fits most of the rows."""
    value = _first_that_fits(text, _ISO_FORMATS)
    if value.null_count() > text.null_count():
        days = text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
        value = value.zip_with(value.is_not_null(), days)
    if value.null_count() > text.null_count() and formats:
        rest = text.set(value.is_not_null(), None)
        best = max((_fitting(rest, each) for each in formats), key=lambda each: each.count())
        value = value.zip_with(value.is_not_null(), best)
    return value


def _text(column: str, text: pl.Series, reading: TimeReading) -> Times:
    zoned = text.str.contains(r"\d[\d:. ]*" + _ZONE) & text.str.contains(r":\d|\dZ$")
    ms = pl.Series([None] * len(text), dtype=pl.Int64)
    never = pl.repeat(False, len(text), dtype=pl.Boolean, eager=True)
    skipped, ways = never, []
    if zoned.any():
        parts = (
            text.set(~zoned, None)
            .to_frame("t")
            .select(
                body=pl.col("t").str.replace(_ZONE, ""),
                sign=pl.when(pl.col("t").str.extract(_ZONE, 1) == "-").then(-1).otherwise(1),
                hours=pl.col("t").str.extract(_ZONE, 2).cast(pl.Int64).fill_null(0),
                minutes=pl.col("t").str.extract(_ZONE, 3).cast(pl.Int64).fill_null(0),
            )
        )
        local = _first_that_fits(parts["body"], _ISO_FORMATS)
        offset = (parts["hours"] * 60 + parts["minutes"]) * 60_000 * parts["sign"]
        valid = (parts["hours"] < 24) & (parts["minutes"] < 60)
        ms = local.dt.epoch("ms").set(~valid.fill_null(False), None) - offset
        ways.append("ISO 8601 with a zone")
    unzoned = text.set(zoned.fill_null(False), None)
    naive = _naive(unzoned, reading.formats)
    if naive.count():
        placed, skipped = _localise(column, naive, reading.zone)
        ms = ms.zip_with(ms.is_not_null(), placed)
        ways.append(f"text without a zone, in {reading.zone}")
    malformed = ms.is_null() & text.is_not_null() & ~skipped
    return Times(ms, malformed, skipped, " and ".join(ways) or "text that is no time")
