"""Spans of time and moments as people type them: `90d`, `24h`, `2026-12-01`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Final

from recsys.errors import InputError

_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SPAN: Final = re.compile(r"([0-9]{1,5})([smhd])")


def span_ms(text: str, option: str) -> int:
    """Milliseconds of a span such as `24h`. Raises InputError that names the option."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise InputError(f"{option} is {text!r}", expected="a number up to 99999 and s, m, h or d, such as 24h")
    return int(found[1]) * _MS[found[2]]


def moment_before(text: str, now: int, option: str, zone: tzinfo = UTC) -> int:
    """Milliseconds UTC of a date, of a time (in `zone` where it names none), or of a span before `now`.

    Raises InputError that names the option.
    """
    if _SPAN.fullmatch(text):
        return now - span_ms(text, option)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{option} is {text!r}", expected="a span such as 7d, a date such as 2026-12-01, or a time"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)
