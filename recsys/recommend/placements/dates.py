"""From when until when a rule holds: TOML's dates as milliseconds UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from recsys.recommend.placements.faults import Section, shown

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_A_DATE = "a date such as 2026-12-24, or a time such as 2026-12-24T18:00:00Z (without quotes)"


def zone_of(file: Section) -> tzinfo:
    """The shop's time zone, as `time_zone` of the file says it; UTC where it says none."""
    name = file.text("time_zone", 64)
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        file.fault("time_zone", f"there is no time zone {name!r}", "a name such as Europe/Berlin")
        return UTC


def moment(section: Section, key: str, zone: tzinfo) -> int | None:
    """Milliseconds UTC. A date is the midnight with which it begins in the shop's zone; a time that names no zone is
    in the shop's."""
    value = section.values.get(key)
    if value is None:
        return None
    if not isinstance(value, date):
        section.fault(key, shown(value), _A_DATE)
        return None
    try:
        # Of the first and the last day of all years a zone may make one that no calendar has.
        return (in_zone(value, zone).astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
    except OverflowError:
        section.fault(key, shown(value), _A_DATE)
        return None


def in_zone(value: date, zone: tzinfo) -> datetime:
    """A date's midnight, or a time, with the shop's zone where it names none."""
    if not isinstance(value, datetime):
        return datetime.combine(value, time(), tzinfo=zone)
    return value if value.tzinfo is not None else value.replace(tzinfo=zone)


def period(section: Section, zone: tzinfo, now: int | None) -> tuple[int | None, int | None]:
    """From when (included) until when (not included) a rule holds, by `from` and `until`; None is always. Over before
    `now` (milliseconds UTC) is a fault, unless that is None."""
    starts, ends = moment(section, "from", zone), moment(section, "until", zone)
    if starts is not None and ends is not None and ends <= starts:
        section.fault("until", f"it ends ({_day(section, 'until')}) before it begins ({_day(section, 'from')})")
    elif ends is not None and now is not None and ends <= now:
        section.fault("until", f"it is over since {_day(section, 'until')}", "a date to come, or no rule at all")
    return starts, ends


def overlap(one: tuple[int | None, int | None], other: tuple[int | None, int | None]) -> bool:
    """Whether there is a moment in both periods."""
    return _before(one[0], other[1]) and _before(other[0], one[1])


def _before(starts: int | None, ends: int | None) -> bool:
    return starts is None or ends is None or starts < ends


def _day(section: Section, key: str) -> str:
    return str(section.values.get(key))


def spelled_moment(milliseconds: int) -> str:
    """As TOML writes it, in UTC."""
    when = _EPOCH + timedelta(milliseconds=milliseconds)
    return when.isoformat(timespec="milliseconds" if when.microsecond else "seconds").replace("+00:00", "Z")
