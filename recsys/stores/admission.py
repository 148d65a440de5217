"""What every store refuses: what no database could give back as it was, and what no reader could make sense of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import polars as pl

from recsys.data.events import EVENT_SCHEMA, KIND_CODES, MAX_ID_LENGTH, Event, EventKind
from recsys.errors import InputError
from recsys.stores.undo import undo_target

_INT64 = range(-(2**63) + 1, 2**63)
"""The smallest number of 64 bits stands for an unknown time inside."""
_ID = f"a text of 1 to {MAX_ID_LENGTH} characters"
_TEXT = "text without NUL characters and lone surrogates"
_UNDO = 'a context of {"undoes": "<event_id>"}'
_CHECK_ROWS = "check the rows before they are stored"


def storable(text: str) -> bool:
    """Whether a database can hold this text: no NUL (PostgreSQL refuses it), no lone surrogate (not Unicode)."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_ids(field: str, ids: Sequence[str]) -> None:
    """Raises InputError for the first id that no store can hold."""
    for value in ids:
        if not 1 <= len(value) <= MAX_ID_LENGTH:
            raise InputError(f"{field} has {len(value)} characters", expected=_ID)
        if not storable(value):
            raise InputError(f"{field} is {value!a}", expected=_TEXT)


def check_events(events: Sequence[Event]) -> None:
    """Raises InputError for the first event that no store can hold."""
    # Column by column first: event by event takes many times as long, and is only needed to say what is wrong where.
    if _all_fit(events):
        return
    for place, event in enumerate(events):
        where = f"event {place} ({event.event_id!a})"
        _check_texts(event, where)
        _check_numbers(event, where)
        if event.kind.needs_item and event.item_id is None:
            raise InputError(f"{where}: a {event.kind} without item_id", expected="the id of an item")
        if event.kind is EventKind.UNDO and undo_target(event.context) is None:
            raise InputError(f"{where}: an undo that names no event", expected=_UNDO)


def _all_fit(events: Sequence[Event]) -> bool:
    """False when any of these events may be one that no store can hold."""
    if not events:
        return True
    event_ids, customers, kinds, items, times, positions, *rest = zip(*events, strict=True)
    quantities, prices, currencies, ratings, sessions, recommendations, contexts = rest
    without_item = {kind for kind, item in zip(kinds, items, strict=True) if item is None}
    if EventKind.UNDO in kinds or any(kind.needs_item for kind in without_item):
        return False
    ids: list[str] = [*event_ids, *customers, *(item for item in items if item is not None)]
    texts: set[str | None] = {*currencies, *sessions, *recommendations, *contexts}
    amounts: set[float | None] = {*quantities, *prices, *ratings}
    wholes: set[int | None] = {*times, *positions}
    lengths = set(map(len, ids))
    return (
        min(lengths) >= 1
        and max(lengths) <= MAX_ID_LENGTH
        and storable("".join([*ids, *(text for text in texts if text is not None)]))
        and all(amount is None or math.isfinite(amount) for amount in amounts)
        and all(whole is None or whole in _INT64 for whole in wholes)
    )


def _check_texts(event: Event, where: str) -> None:
    ids = {"event_id": event.event_id, "customer_id": event.customer_id, "item_id": event.item_id}
    for field, value in ids.items():
        if value is not None and not 1 <= len(value) <= MAX_ID_LENGTH:
            raise InputError(f"{where}: {field} has {len(value)} characters", expected=_ID)
    texts = {
        "currency": event.currency,
        "session_id": event.session_id,
        "recommendation_id": event.recommendation_id,
        "context": event.context,
    }
    for field, value in (ids | texts).items():
        if value is not None and not storable(value):
            raise InputError(f"{where}: {field} is {value!a}", expected=_TEXT)


def _check_numbers(event: Event, where: str) -> None:
    for field, number in (("quantity", event.quantity), ("price", event.price), ("rating", event.rating)):
        if number is not None and not math.isfinite(number):
            raise InputError(f"{where}: {field} is {number}", expected="a finite number")
    for field, whole in (("timestamp", event.timestamp), ("position", event.position)):
        if whole is not None and whole not in _INT64:
            raise InputError(f"{where}: {field} is {whole}", expected="a whole number of at most 64 bits")


def check_event_frame(events: pl.DataFrame) -> None:
    """Raises InputError when a frame is not in `EVENT_SCHEMA` or holds what no store can hold."""
    check_frame(events, EVENT_SCHEMA, "event", ids=("event_id", "customer_id", "item_id"))
    for column in ("event_id", "customer_id", "kind", "quantity"):
        if events[column].null_count():
            raise InputError(f"the frame of events has rows without {column}", expected="a value in every row")
    unknown = events["kind"].unique().to_list()
    for kind in unknown:
        if kind not in KIND_CODES:
            raise InputError(f"the frame of events has the kind {kind!r}", expected=", ".join(EventKind))
    needing = [str(kind) for kind in EventKind if kind.needs_item]
    bare = events.filter(pl.col("item_id").is_null() & pl.col("kind").is_in(needing))
    if len(bare):
        raise InputError(
            f"event {bare['event_id'][0]!r} is a {bare['kind'][0]} without item_id", expected="the id of an item"
        )
    undos = events.filter(pl.col("kind") == str(EventKind.UNDO)).select("event_id", "context")
    for event_id, context in undos.iter_rows():
        if undo_target(context) is None:
            raise InputError(f"event {event_id!r} is an undo that names no event", expected=_UNDO)


def check_frame(frame: pl.DataFrame, schema: Mapping[str, pl.DataType], noun: str, ids: Sequence[str]) -> None:
    """Raises InputError when a frame is not in `schema`, when one of `ids` has no proper length, when a text holds a
    NUL or when a number is not finite. Nulls are the caller's matter."""
    if dict(frame.schema) != dict(schema):
        raise InputError(
            f"a frame of {noun}s with the columns {_columns(frame.schema)}", expected=f"the columns {_columns(schema)}"
        )
    for column in ids:
        length = frame[column].str.len_chars()
        wrong = frame[column].filter((length < 1) | (length > MAX_ID_LENGTH))
        if len(wrong):
            raise InputError(
                f"{column} {wrong[0]!r} in a frame of {noun}s has {len(wrong[0])} characters",
                expected=_ID,
                remedy=_CHECK_ROWS,
            )
    for series in frame:
        if series.dtype == pl.String and series.str.contains("\0", literal=True).any():
            raise InputError(f"{series.name} in a frame of {noun}s holds a NUL", expected=_TEXT, remedy=_CHECK_ROWS)
        if series.dtype == pl.Float64 and not series.drop_nulls().is_finite().all():
            raise InputError(
                f"{series.name} in a frame of {noun}s is not finite", expected="finite numbers", remedy=_CHECK_ROWS
            )


def _columns(schema: Mapping[str, pl.DataType]) -> str:
    return ", ".join(f"{name} ({dtype})" for name, dtype in schema.items())
