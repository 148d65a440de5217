"""Items as a shop puts them: from parsed JSON to rows of the catalogue, or to what is wrong with each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from serving.http.event_input import (
    Amount,
    Attributes,
    Currency,
    Id,
    Refused,
    Time,
    entries_of,
    fault_of,
    given_id,
    id_fault,
)
from serving.http.problems import Fault, invalid, shortened

MAX_ITEMS = 1_000

ItemRow = Mapping[str, object]
"""One row: the columns of `ITEM_SCHEMA` with their values."""

_Text = Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"^[^\x00]*$")]
_EXAMPLE: dict[str, JsonValue] = {
    "title": "Emma",
    "author": "Jane Austen",
    "category": "novels",
    "price": 9.5,
    "currency": "EUR",
    "available": True,
    "published": "2026-03-01T00:00:00Z",
    "attributes": {"pages": 474},
}
# Years that a text of ISO 8601 can say, in milliseconds.
_YEAR_1, _YEAR_10000 = -62_135_596_800_000, 253_402_300_800_000


class ItemIn(BaseModel):
    """One item as it is put: the whole row. What is absent or null is not known of it any more."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Item", json_schema_extra={"examples": [_EXAMPLE]})

    item_id: Id | None = Field(
        None, description="Needed in a batch; else the path says it, and it may be repeated here."
    )
    title: _Text | None = None
    author: _Text | None = None
    category: _Text | None = None
    price: Annotated[Amount, Field(ge=0)] | None = Field(None, description="In `currency`.")
    currency: Currency | None = Field(None, description="ISO 4217.")
    available: bool | None = Field(None, description="False: it is in no answer. Absent: it is available.")
    published: Time | None = Field(None, description="It is in no answer before this time.")
    expires: Time | None = Field(None, description="It is in no answer from this time on; after `published`.")
    attributes: Attributes | None = Field(None, description="Anything else.")


def parse_item(body: object, item_id: str) -> ItemRow:
    """The row in the body of a request about one item. Raises Problem (422) with every fault."""
    row = _parsed(body, ("body",), item_id)
    if isinstance(row, Refused):
        raise invalid(row.faults)
    return row


def parse_items(body: object) -> list[ItemRow | Refused]:
    """The rows of a batch, each for itself. Raises Problem (422) when the body is not a list of items."""
    return [
        _parsed(entry, ("body", "items", index), None)
        for index, entry in enumerate(entries_of(body, "items", MAX_ITEMS))
    ]


def parse_item_ids(body: object) -> list[str | Refused]:
    """The ids of a batch, each for itself. Raises Problem (422) when the body is not a list of ids."""
    return [
        entry if isinstance(entry, str) and id_fault(entry) is None else _no_id(entry, index)
        for index, entry in enumerate(entries_of(body, "item_ids", MAX_ITEMS))
    ]


def _no_id(entry: object, index: int) -> Refused:
    expected = id_fault(entry if isinstance(entry, str) else "") or ""
    return Refused(None, (Fault(("body", "item_ids", index), shortened(entry), expected),))


def _parsed(entry: object, place: tuple[str | int, ...], path_id: str | None) -> ItemRow | Refused:
    """One row; `path_id` is what the path says that its id is, None in a batch."""
    if not isinstance(entry, dict):
        return Refused(path_id, (Fault(place, shortened(entry), "an object"),))
    try:
        given = ItemIn.model_validate(entry)
    except ValidationError as error:
        found = error.errors(include_url=False)
        return Refused(given_id(entry, "item_id"), tuple(fault_of(place, detail, ItemIn) for detail in found))
    faults = _faults_between_fields(given, place, path_id)
    if faults:
        return Refused(given.item_id, tuple(faults))
    row = given.model_dump()
    row["item_id"] = given.item_id or path_id
    # One form for equal objects, as importing has it: sorted.
    row["attributes"] = (
        orjson.dumps(given.attributes, option=orjson.OPT_SORT_KEYS).decode() if given.attributes else None
    )
    return row


def _faults_between_fields(given: ItemIn, place: tuple[str | int, ...], path_id: str | None) -> list[Fault]:
    faults = []
    if path_id is None and given.item_id is None:
        faults.append(Fault((*place, "item_id"), "nothing", "the id of the item"))
    if path_id is not None and given.item_id not in (None, path_id):
        faults.append(Fault((*place, "item_id"), shortened(given.item_id), "the id in the path, or nothing"))
    for field in ("published", "expires"):
        time = getattr(given, field)
        if time is not None and not _YEAR_1 <= time < _YEAR_10000:
            faults.append(Fault((*place, field), shortened(time), "a time in the years 1 to 9999"))
    if given.published is not None and given.expires is not None and given.expires <= given.published:
        faults.append(Fault((*place, "expires"), "a time that is not after `published`", "a later time, or none"))
    return faults
