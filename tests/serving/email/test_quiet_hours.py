"""From when on a mail may go out, by the clock where the customer is."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.email.campaign import QuietHours
from serving.email.permission import not_before

MINUTE = timedelta(minutes=1)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
DAYS = ("2026-03-08", "2026-03-29", "2026-04-04", "2026-10-25", "2026-11-01", "2028-02-29")
CHANGES = [datetime.fromisoformat(f"{day}T00:00:00Z") for day in DAYS]
MINUTES = st.integers(0, 24 * 60 - 1).map(lambda minute: time(minute // 60, minute % 60))


def is_quiet(quiet: QuietHours, zone: str, at: datetime) -> bool:
    """By the definition."""
    clock = at.astimezone(ZoneInfo(zone)).time()
    if quiet.starts < quiet.ends:
        return quiet.starts <= clock < quiet.ends
    return clock >= quiet.starts or clock < quiet.ends


def milliseconds(at: datetime) -> int:
    """Since 1970, UTC."""
    return round(at.timestamp() * 1000)


@given(st.tuples(MINUTES, MINUTES).filter(lambda both: both[0] != both[1]), st.sampled_from(ZONES),
       st.sampled_from(CHANGES), st.integers(-36 * 60, 36 * 60))  # fmt: skip
def test_the_first_minute_that_is_not_quiet(hours: tuple[time, time], zone: str, day: datetime, minutes: int) -> None:
    """Against a walk from minute to minute, around the days on which clocks change: it is not quiet then, and where an
    hour is skipped in which it would have ended, it ends at most an hour late."""
    quiet, now = QuietHours(*hours), day + minutes * MINUTE
    first = now
    while is_quiet(quiet, zone, first):
        first += MINUTE
    found = not_before(quiet, zone, milliseconds(now))
    assert not is_quiet(quiet, zone, datetime.fromtimestamp(found / 1000, UTC))
    assert 0 <= found - milliseconds(first) <= 3_600_000
    local = first.astimezone(ZoneInfo(zone))
    if local.utcoffset() == now.astimezone(ZoneInfo(zone)).utcoffset():
        assert found == milliseconds(first)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-10-25T00:10:00Z", "2026-10-25T00:30:00Z"),  # 02:10 the first time
        ("2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z"),  # 02:10 again
        ("2026-10-25T01:40:00Z", "2026-10-25T01:40:00Z"),
    ],
)
def test_an_hour_that_comes_twice_is_quiet_twice(now: str, until: str) -> None:
    """In Berlin clocks go from 03:00 back to 02:00; quiet hours that end at 02:30 hold in both."""
    quiet = QuietHours(time(21), time(2, 30))
    found = not_before(quiet, "Europe/Berlin", milliseconds(datetime.fromisoformat(now)))
    assert found == milliseconds(datetime.fromisoformat(until))
