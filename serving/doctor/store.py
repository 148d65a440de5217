"""The store: whether it is whole, of this version, and says the same as the catalogue and the clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from recsys.errors import StoreError
from recsys.stores import open_store
from recsys.stores.embedded import NEWEST_VERSION, Survey, faults, store_version, survey
from serving.doctor.circumstances import Circumstances
from serving.doctor.findings import Finding, mib, note, problem, problem_of, warning, well

LOG_BYTES: Final = 256 * 2**20
"""Four times what the write-ahead log is cut back to when nobody reads from it."""

_FUTURE_MS: Final = 60 * 60 * 1000
_MOST_UNKNOWN: Final = 0.05
_FEW_SHOWABLE: Final = 0.05


def usable(path: Path) -> Iterator[Finding]:
    """Whether the store opens; problems only, none when it does."""
    try:
        if path.is_file() and 0 < store_version(path) < NEWEST_VERSION:
            yield warning(
                "store",
                f"{path} is of version {store_version(path)}",
                f"version {NEWEST_VERSION}",
                "`bookmatch upgrade`, which rehearses on a copy and takes a backup first",
            )
            return
        open_store(path, create=False, read_only=True).close()
    except StoreError as error:
        yield problem_of("store", error)


def integrity(path: Path, seen: Circumstances) -> Finding:
    """Whether SQLite finds the file whole."""
    try:
        wrong = faults(path, seen.seconds)
    except TimeoutError:
        return note("store integrity", f"not known: the file was not read within {seen.seconds:g} s", "raise --seconds")
    except StoreError as error:
        return problem_of("store integrity", error)
    if wrong:
        return problem(
            "store integrity",
            f"{path} is damaged: {'; '.join(wrong)}",
            "a file that SQLite finds whole",
            "stop the service and bring back a backup, or save what can be read with `.recover` of the SQLite command",
        )
    return well("store integrity", f"{path} is whole, version {NEWEST_VERSION}")


def log_size(path: Path, most: int = LOG_BYTES) -> Finding:
    """How long the write-ahead log has become."""
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > most:
        return warning(
            "store log",
            f"{log.name} has {mib(size)}",
            f"at most {mib(most)}: it grows while somebody reads from one old state, and every reading becomes slower",
            "look for a program that keeps the file open (a backup, a shell in a transaction) and end it",
        )
    return well("store log", f"{log.name} has {mib(size)}")


def surveyed(path: Path, since: int, seen: Circumstances) -> tuple[Survey | None, list[Finding]]:
    """What is in the store, and what is to be said of that; None when it is not known in time."""
    try:
        found = survey(path, since, seen.now(), seen.seconds)
    except TimeoutError:
        return None, [note("events", f"not known: the store was not read within {seen.seconds:g} s", "raise --seconds")]
    except StoreError as error:
        return None, [problem_of("events", error)]
    return found, [_events(found), _clock(found, seen.now()), *_ids(found), *_availability(found)]


def _events(found: Survey) -> Finding:
    if not found.events:
        return problem(
            "events", "the store has no events", "events to learn from", "import a history with `bookmatch import`"
        )
    return well("events", f"{found.events:,}, the newest of {_utc(found.newest)}")


def _clock(found: Survey, now: int) -> Finding:
    if found.newest is not None and found.newest > now + _FUTURE_MS:
        return warning(
            "clock",
            f"the newest event is of {_utc(found.newest)}, and this machine's clock says {_utc(now)}",
            "no event of the future: taste and popularity are counted back from the newest one",
            "set the clock by NTP; if it is right, correct the shop's times (zone, unit) and import again",
        )
    return well("clock", f"{_utc(now)}, no event is later")


def _ids(found: Survey) -> Iterator[Finding]:
    """Whether events and catalogue speak of the same items."""
    if not found.rows:
        yield note(
            "ids", "the catalogue is empty: nothing is known of availability and titles", "import items with --as items"
        )
        return
    unknown = found.without_row / found.items if found.items else 0.0
    say = f"{found.without_row:,} of {found.items:,} items in events are not in the catalogue"
    silent = f"{found.never:,} of {found.rows:,} items in the catalogue are in no event"
    examples = _examples("events", found.without_row_examples) + _examples("catalogue", found.never_examples)
    remedy = (
        "import both with the same column of ids; see that neither has prefixes, zeros or letters that the other lacks"
    )
    if found.items and found.without_row == found.items:
        yield problem("ids", f"events and catalogue have no id in common{examples}", "the same ids in both", remedy)
    elif unknown > _MOST_UNKNOWN:
        expected = f"at most {_MOST_UNKNOWN:.0%}: such items are shown whether they can be bought or not"
        yield warning("ids", f"{say}, {silent}{examples}", expected, remedy)
    else:
        yield well("ids", f"{say}, {silent}")


def _examples(where: str, ids: Sequence[str]) -> str:
    return f"; only in the {where}: {', '.join(map(repr, ids))}" if ids else ""


def _availability(found: Survey) -> Iterator[Finding]:
    if not found.rows:
        return
    say = f"{found.showable:,} of {found.rows:,} items may be shown now"
    expected, remedy = (
        "items that are available, published and not expired",
        "see `available`, `published` and `expires` of the catalogue, above all the unit and zone of the dates",
    )
    if not found.showable:
        yield problem("availability", say, expected, remedy)
    elif found.showable < _FEW_SHOWABLE * found.rows:
        yield warning("availability", say, expected, remedy)
    elif found.unsaid:
        yield well("availability", f"{say}; {found.unsaid:,} do not say so and count as available")
    else:
        yield well("availability", say)


def _utc(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "no known time"
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds:,} ms"
