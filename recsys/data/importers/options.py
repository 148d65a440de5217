"""What the user says about a file: which columns, which kinds, which zone. Nothing here reads a file."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from recsys.data.events import EVENT_SCHEMA, EventKind
from recsys.errors import InputError

DEFAULT_MAX_BAD = 0.01


class Subject(StrEnum):
    """What the rows of a file are."""

    INTERACTIONS = "interactions"
    ITEMS = "items"
    CUSTOMERS = "customers"

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns of our own schema for this subject."""
        return tuple(_SCHEMAS[self])


_SCHEMAS = {
    Subject.INTERACTIONS: EVENT_SCHEMA,
    Subject.ITEMS: ITEM_SCHEMA,
    Subject.CUSTOMERS: CUSTOMER_SCHEMA,
}


class TimeUnit(StrEnum):
    """The unit of times that are numbers since 1970-01-01 UTC."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"


Choice = TypeVar("Choice", bound=StrEnum)
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How files are to be read.

    Attributes
    ----------
    now : milliseconds UTC; later times than a day after it are bad.
    subject : what the rows are; None means what the format says, or interactions.
    format : the name of a publisher's format, or None for our own schema.
    columns : our column → the file's column; an empty name means that the file has no such column.
    kinds : the file's kind → ours.
    event : the kind of all rows, where no column says it.
    timezone : the zone of times that name none, such as `Europe/London`.
    time_unit : the unit of times that are numbers; None means recognised by magnitude.
    separator, encoding : of text files; None means recognised from the header, and UTF-8.
    currency : of all prices, where no column says it.
    ignore_items : item ids that are no items (postage, fees), exact or as shell patterns.
    max_bad : the largest share of bad rows, 0 to 1, of the rows that were not set aside.
    columns_may_miss : a column that `columns` names and the file does not have is no error, for options that serve
        several files with different columns.
    event_may_yield : `event` beside a column that says the kind is no error; the column counts.
    """

    now: int
    subject: Subject | None = None
    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    kinds: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    event: EventKind | None = None
    timezone: str | None = None
    time_unit: TimeUnit | None = None
    separator: str | None = None
    encoding: str | None = None
    currency: str | None = None
    ignore_items: tuple[str, ...] = ()
    max_bad: float = DEFAULT_MAX_BAD
    columns_may_miss: bool = False
    event_may_yield: bool = False


def _parts(text: str) -> list[str]:
    """The comma-separated parts; a part that holds a comma stands in double quotes."""
    try:
        parts = next(csv.reader([text], skipinitialspace=True), [])
    except csv.Error as error:
        raise InputError(
            f"{text!r} is no list of parts: {error}",
            expected="parts between commas; one that holds a comma or a line break in double quotes",
        ) from error
    return [part.strip() for part in parts if part.strip()]


def parse_columns(text: str, subject: Subject | None) -> dict[str, str]:
    """`customer_id=user,item_id=item` as our column → theirs; InputError for a column the subject does not have.

    Without a subject, a column of any subject will do.
    """
    allowed = subject.fields if subject else tuple(dict.fromkeys(name for each in Subject for name in each.fields))
    pairs: dict[str, str] = {}
    for part in _parts(text):
        ours, equals, theirs = part.partition("=")
        if not equals or ours not in allowed:
            raise InputError(
                f"--map has {part!r}",
                expected=f"OURS=THEIRS with OURS one of {', '.join(allowed)}",
                remedy="put our name first, the file's column name second",
            )
        if ours in pairs:
            raise InputError(f"--map names {ours} twice", expected="each of our columns once")
        pairs[ours] = theirs
    return pairs


def _one_of(choices: type[Choice], text: str, option: str) -> Choice:
    try:
        return choices(text)
    except ValueError:
        raise InputError(f"{option} is {text!r}", expected=f"one of {', '.join(choices)}") from None


def parse_kind(text: str, option: str) -> EventKind:
    """One of our kinds of events; InputError with the list for anything else."""
    return _one_of(EventKind, text, option)


def parse_kinds(text: str) -> dict[str, str]:
    """`buy=purchase,cart=add_to_cart` as their kind → ours; InputError for a kind we do not have."""
    pairs: dict[str, str] = {}
    for part in _parts(text):
        theirs, equals, ours = part.rpartition("=")
        if not equals:
            raise InputError(f"--kinds-map has {part!r}", expected="THEIRS=OURS, for example buy=purchase")
        if pairs.setdefault(theirs, parse_kind(ours, "--kinds-map")) != ours:
            raise InputError(f"--kinds-map names {theirs!r} twice", expected="each of the file's kinds once")
    return pairs


def parse_share(text: str) -> float:
    """`1%` or `0.01` as a share in [0, 1]; InputError for anything else."""
    number = text.strip()
    try:
        share = float(number[:-1]) / 100 if number.endswith("%") else float(number)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise InputError(f"--max-bad is {text!r}", expected="a share of rows such as 1% or 0.01, from 0 to 100%")
    return share


def parse_codes(text: str) -> tuple[str, ...]:
    """`POST,M,DCGS*` as its parts."""
    return tuple(_parts(text))


def build_options(
    *,
    now: int,
    subject: str | None = None,
    format: str | None = None,  # noqa: A002 - named as the option is
    columns: str = "",
    kinds: str = "",
    event: str | None = None,
    timezone: str | None = None,
    time_unit: str | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    currency: str | None = None,
    ignore_items: str = "",
    max_bad: str = "1%",
) -> ImportOptions:
    """The options from what the user typed; InputError, naming the option, for what cannot be one."""
    chosen = None if subject is None else _one_of(Subject, subject, "--as")
    if chosen in (Subject.ITEMS, Subject.CUSTOMERS) and (event or kinds):
        raise InputError(f"--event or --kinds-map with --as {chosen}", expected="neither: only interactions have kinds")
    return ImportOptions(
        now=now,
        subject=chosen,
        format=format,
        columns=parse_columns(columns, chosen or (None if format else Subject.INTERACTIONS)),
        kinds=parse_kinds(kinds),
        event=None if event is None else parse_kind(event, "--event"),
        timezone=timezone,
        time_unit=None if time_unit is None else _one_of(TimeUnit, time_unit, "--time-unit"),
        separator=separator,
        encoding=encoding,
        currency=currency,
        ignore_items=parse_codes(ignore_items),
        max_bad=parse_share(max_bad),
    )
