"""Times: every spelling gives the same moment, and what is unclear is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recsys.data.importers.options import TimeUnit
from recsys.data.importers.times import TimeReading, check_zone, parse_times
from recsys.errors import InputError

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)).map(  # noqa: DTZ001 - the zone is added below
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC, fold=0)
)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _read(values: list[object] | pl.Series, **how: object) -> list[int | None]:
    raw = values if isinstance(values, pl.Series) else pl.Series(values)
    times = parse_times("when", raw, TimeReading(**how))  # type: ignore[arg-type]
    assert not times.malformed.any()
    assert not times.nonexistent.any()
    return times.ms.to_list()


@given(st.lists(MOMENTS, min_size=1), st.sampled_from(TimeUnit), st.booleans())
def test_numbers_are_read_in_the_unit_of_their_size(moments: list[datetime], unit: TimeUnit, as_text: bool) -> None:
    """Seconds to nanoseconds are told apart by magnitude, as numbers and as text."""
    per_ms = {TimeUnit.SECONDS: 0.001, TimeUnit.MILLISECONDS: 1, TimeUnit.MICROSECONDS: 1000}.get(unit, 10**6)
    whole = [moment.replace(microsecond=0) if unit is TimeUnit.SECONDS else moment for moment in moments]
    numbers = [round(_ms(moment) * per_ms) for moment in whole]
    series = pl.Series([str(number) for number in numbers] if as_text else numbers)
    times = parse_times("when", series, TimeReading())
    assert times.ms.to_list() == [_ms(moment) for moment in whole]
    name = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}[unit]
    assert times.read_as == f"{name} since 1970, recognised by their size"


@given(
    MOMENTS,
    st.integers(-14 * 60, 14 * 60),
    st.sampled_from(["%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f"]),
    st.booleans(),
)
def test_iso_text_with_a_zone_is_that_moment(moment: datetime, minutes: int, layout: str, colon: bool) -> None:
    """Any offset, with and without a colon, with T and with a space."""
    local = moment.astimezone(timezone(timedelta(minutes=minutes)))
    offset = local.strftime("%z")
    text = local.strftime(layout) + (f"{offset[:3]}:{offset[3:]}" if colon else offset)
    assert _read([text]) == [_ms(moment)]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-01T12:00:00Z", datetime(2024, 5, 1, 12, tzinfo=UTC)),
        ("2024-05-01 12:00Z", datetime(2024, 5, 1, 12, tzinfo=UTC)),
        ("2024-05-01T12:00:00+02", datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("2024-05-01 12:00:00.123456789 +0000 UTC", datetime(2024, 5, 1, 12, 0, 0, 123000, tzinfo=UTC)),
        (" 2024-05-01T12:00:00Z ", datetime(2024, 5, 1, 12, tzinfo=UTC)),
        ("1714564800.5", datetime(2024, 5, 1, 12, 0, 0, 500000, tzinfo=UTC)),
    ],
)
def test_spellings_of_a_moment(text: str, moment: datetime) -> None:
    """The shortest and the longest spellings people export."""
    assert _read([text]) == [_ms(moment)]


@given(st.lists(MOMENTS, min_size=1), st.sampled_from(["Europe/London", "America/New_York", "Asia/Kolkata", "UTC"]))
def test_naive_text_is_placed_in_the_zone(moments: list[datetime], zone: str) -> None:
    """A naive time is that of the zone's clocks; where clocks go back, the earlier of the two."""
    local = [moment.astimezone(ZoneInfo(zone)).replace(fold=0) for moment in moments]
    texts = [each.strftime("%Y-%m-%d %H:%M:%S.%f") for each in local]
    assert _read(list(texts), zone=zone) == [_ms(each) for each in local]


def test_clocks_that_go_back_give_the_earlier_time_and_skipped_times_are_none() -> None:
    """London, 31 October 2010: 01:30 came twice. 28 March 2010: it never came."""
    raw = pl.Series(["2010-10-31 01:30", "2010-03-28 01:30", "2010-03-28 02:30", None])
    times = parse_times("when", raw, TimeReading("Europe/London"))
    assert times.ms.to_list() == [
        _ms(datetime(2010, 10, 31, 0, 30, tzinfo=UTC)),
        None,
        _ms(datetime(2010, 3, 28, 1, 30, tzinfo=UTC)),
        None,
    ]
    assert times.nonexistent.to_list() == [False, True, False, False]
    assert not times.malformed.any()


def test_parquet_times_keep_their_zone_and_naive_ones_need_one() -> None:
    """A typed column with a zone needs nothing; one without is read in the zone given; a date is its midnight."""
    moment = datetime(2024, 7, 1, 12, tzinfo=UTC)
    for unit in ("ms", "us", "ns"):
        zoned = pl.Series([moment]).dt.convert_time_zone("Asia/Tokyo").cast(pl.Datetime(unit, "Asia/Tokyo"))
        assert _read(zoned) == [_ms(moment)]
        naive = pl.Series([moment]).dt.replace_time_zone(None).cast(pl.Datetime(unit))
        assert _read(naive, zone="Europe/London") == [_ms(moment - timedelta(hours=1))]
    midnight = datetime(2024, 7, 1, tzinfo=ZoneInfo("Europe/London"))
    assert _read(pl.Series([date(2024, 7, 1)]), zone="Europe/London") == [_ms(midnight)]
    assert _read(["2024-07-01"], zone="Europe/London") == [_ms(midnight)]


@pytest.mark.parametrize("raw", [["2024-05-01 12:00"], ["2024-05-01"], [date(2024, 5, 1)]])
def test_naive_times_without_a_zone_are_refused(raw: list[object]) -> None:
    """Which zone a shop's clocks keep is not guessed."""
    with pytest.raises(InputError, match=r"column 'when' name no time zone .*--timezone"):
        parse_times("when", pl.Series(raw), TimeReading())


@pytest.mark.parametrize("raw", [[1, 2, 3], ["20240501", "20240502"], ["2024"], [0.5]])
def test_numbers_too_small_for_times_are_refused(raw: list[object]) -> None:
    """Counters, years and dates without dashes are no seconds since 1970, unless the user says so."""
    with pytest.raises(InputError, match=r"--map position=when.*--time-unit s"):
        parse_times("when", pl.Series(raw), TimeReading())
    assert _read(pl.Series([1, 2]), unit=TimeUnit.SECONDS) == [1000, 2000]


@pytest.mark.parametrize("usual", [1_714_564_800, 1_714_564_800_000, 1_714_564_800_000_000])
def test_a_number_of_another_unit_is_no_time(usual: int) -> None:
    """Neither a 0 for an unknown time nor a smaller unit's number becomes a day in 1970; the user may say otherwise."""
    raw = pl.Series([usual, usual + 1, 0, usual // 1000, None, usual])
    times = parse_times("when", raw, TimeReading())
    assert times.malformed.to_list() == [False, False, True, True, False, False]
    assert times.ms.is_null().to_list() == [False, False, True, True, True, False]
    assert "seconds since 1970, recognised" in times.expected
    assert _read(pl.Series([1_714_564_800, 0]), unit=TimeUnit.SECONDS) == [1_714_564_800_000, 0]


@pytest.mark.parametrize(
    "text",
    ["soon", "2024-13-01T00:00:00Z", "2024-02-30T00:00:00Z", "2024-05-01T25:00:00Z", "2024-05-01T12:00:60Z",
     "2024-05-01T12:00:00+25:00", "01.05.2024 12:00", "inf", "1e30"],
)  # fmt: skip
def test_what_is_no_time_is_malformed_alone(text: str) -> None:
    """A bad time never takes its neighbours along and never becomes another time."""
    good = ["2024-05-01T12:00:00Z"] * 3
    times = parse_times("when", pl.Series([*good, text]), TimeReading("UTC"))
    assert times.malformed.to_list() == [False, False, False, True]
    assert times.ms.null_count() == 1


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e30", "soon", "2024-05-01T12:00:00Z"])
def test_what_is_no_number_among_numbers_is_malformed(text: str) -> None:
    """A column of numbers is read as numbers, whatever one row holds."""
    times = parse_times("when", pl.Series([*["1714564800"] * 3, text]), TimeReading())
    assert times.malformed.to_list() == [False, False, False, True]


def test_months_and_days_are_told_apart_by_the_rows_that_fit() -> None:
    """With one 13th of the month in the file, 12/1/2010 is read as the others are."""
    formats = ("%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M")
    american = ["12/1/2010 8:26", "12/13/2010 8:26"]
    british = ["1/12/2010 8:26", "13/12/2010 8:26"]
    expected = [_ms(datetime(2010, 12, day, 8, 26, tzinfo=UTC)) for day in (1, 13)]
    assert _read(list(american), zone="UTC", formats=formats) == expected
    assert _read(list(british), zone="UTC", formats=formats) == expected


@given(
    moment=MOMENTS, zone=st.sampled_from(["Europe/London", "America/New_York"]), kind=st.sampled_from(["text", "typed"])
)
def test_typed_and_written_times_agree(moment: datetime, zone: str, kind: str) -> None:
    """The same naive time is the same moment from Parquet and from CSV, or skipped in both."""
    naive = moment.replace(tzinfo=None)
    raw = pl.Series([naive], dtype=pl.Datetime("us")) if kind == "typed" else pl.Series([naive.isoformat(" ")])
    times = parse_times("when", raw, TimeReading(zone))
    placed = naive.replace(tzinfo=ZoneInfo(zone))
    exists = placed.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == naive
    assert times.nonexistent.to_list() == [not exists]
    assume(exists)
    assert times.ms.to_list() == [_ms(placed)]


def test_an_empty_column_has_no_times_and_needs_no_zone() -> None:
    """Missing times stay missing, whatever the type of the column."""
    for raw in (pl.Series([None, None]), pl.Series(["", None]), pl.Series([None], dtype=pl.Datetime("us"))):
        times = parse_times("when", raw, TimeReading())
        assert times.ms.null_count() == len(raw)
        assert times.read_as == ""


def test_an_unknown_zone_is_refused() -> None:
    """A zone that is none is told with an example of one."""
    assert check_zone("Europe/London") == "Europe/London"
    with pytest.raises(InputError, match="no time zone 'Mars/Base'"):
        check_zone("Mars/Base")
