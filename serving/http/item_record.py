"""What is known of an item, and what becomes of it: the store's row, the models, and whether it may be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import orjson
import polars as pl

from recsys.data.catalog import ITEM_SCHEMA, Hidden
from recsys.data.vocabulary import UNKNOWN
from recsys.stores.protocols import Store
from serving.http.engine import Engine
from serving.http.item_input import ItemRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NO_MODEL = "no_model"
NOT_IN_MODEL = "not_in_model"

DETAILS: Mapping[str, str] = {
    NO_MODEL: "No model answers yet: train one with `bookmatch train`.",
    NOT_IN_MODEL: "The models do not know it yet: it is in no list of theirs until they are trained again.",
    Hidden.UNAVAILABLE: "Its row says that it is not available.",
    Hidden.NOT_YET_PUBLISHED: "The time of `published` has not come.",
    Hidden.EXPIRED: "The time of `expires` has passed.",
}
"""Why an item is not shown: the code, and what it says to people."""


class ItemStatus(StrEnum):
    """What became of an item that was put or removed."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    UNKNOWN = "unknown"
    REFUSED = "refused"


def put_items(store: Store, rows: Sequence[ItemRow]) -> list[ItemStatus]:
    """Stores rows, all or none; what became of each, as if they were put one after the other."""
    with store.transaction():
        found = store.catalog.get([str(row["item_id"]) for row in rows])
        there: dict[object, ItemRow] = {row["item_id"]: row for row in found.iter_rows(named=True)}
        statuses = []
        for row in rows:
            before = there.get(row["item_id"])
            is_same = ItemStatus.UNCHANGED if before == row else ItemStatus.CHANGED
            statuses.append(ItemStatus.CREATED if before is None else is_same)
            there[row["item_id"]] = row
        store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
    return statuses


def remove_items(store: Store, item_ids: Sequence[str]) -> list[ItemStatus]:
    """Removes items, all or none; what became of each."""
    return [ItemStatus.REMOVED if gone else ItemStatus.UNKNOWN for gone in store.catalog.remove(item_ids)]


def rows_by_id(frame: pl.DataFrame) -> dict[str, ItemRow]:
    """Rows of the catalogue by their ids."""
    return {row["item_id"]: row for row in frame.iter_rows(named=True)}


def record(item_id: str, row: ItemRow | None, engine: Engine | None, now: int) -> dict[str, object] | None:
    """What is known of an item, as JSON; None when it was removed, or is known neither to the shop nor to the models.

    Parameters
    ----------
    row : as the store has it.
    engine : None while no model answers.
    now : milliseconds UTC.
    """
    position = UNKNOWN if engine is None else engine.bundle.items.position(item_id)
    if engine is None or position == UNKNOWN:
        if row is None:
            return None
        why: str | None = NO_MODEL if engine is None else NOT_IN_MODEL
    else:
        why = engine.catalog.hidden_because(position, now)
        if row is None and why is not None:
            return None
    return {
        "item_id": item_id,
        "row": None if row is None else _row_json(row),
        "bundle": None if engine is None else engine.bundle.bundle_id,
        "known_to_bundle": position != UNKNOWN,
        "showable": why is None,
        "hidden_because": why,
        "detail": None if why is None else DETAILS[why],
    }


def _row_json(row: ItemRow) -> dict[str, object]:
    shown = {name: value for name, value in row.items() if name != "item_id"}
    attributes = row["attributes"]
    return shown | {
        "published": _time_json(row["published"]),
        "expires": _time_json(row["expires"]),
        "attributes": orjson.loads(attributes) if isinstance(attributes, str) else None,
    }


def _time_json(time: object) -> str | int | None:
    """In ISO 8601; a year that it has no text for, which an import may bring, as milliseconds."""
    if not isinstance(time, int):
        return None
    try:
        moment = _EPOCH + timedelta(milliseconds=time)
    except OverflowError:
        return time
    return moment.isoformat(timespec="milliseconds" if time % 1_000 else "seconds").replace("+00:00", "Z")
