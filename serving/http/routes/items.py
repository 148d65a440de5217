"""What the shop sells: rows of the catalogue, one by one and in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response

from recsys.access.audit import Act
from serving.http.auditing import audited, counted
from serving.http.body import ONE_ENTRY_BYTES, read_json
from serving.http.event_input import Refused
from serving.http.item_input import MAX_ITEMS, ItemIn, parse_item, parse_item_ids, parse_items
from serving.http.item_record import ItemStatus, put_items, record, remove_items, rows_by_id
from serving.http.parameters import PathId, WantedIds
from serving.http.problems import Problem
from serving.http.routes.describing import (
    UNREADABLE,
    WITH_ID,
    body_of,
    json_response,
    list_body_of,
    problems,
    refusal,
    versioned,
)
from serving.http.schemas import ItemRecord, ItemRecords, ItemResult, ItemResults
from serving.http.state import State

router = versioned("items")

_UNWRITABLE = "The store cannot be written; nothing of this request is stored."
_UNREADABLE_STORE = "The store cannot be read."
_UNKNOWN = "There is no such item, or it was removed."

_ITEMS = list_body_of("items", ItemIn.__name__, MAX_ITEMS)
_ITEM_IDS = list_body_of("item_ids", None, MAX_ITEMS)


@router.put(
    "/items/{id}",
    response_model=ItemResult,
    responses={
        201: {"description": "The item is new.", "model": ItemResult},
        **problems(**UNREADABLE, s422="The id or the row does not fit.", s503=_UNWRITABLE),
    },
    openapi_extra=WITH_ID | {"requestBody": body_of(ItemIn)},
)
async def put_item(item_id: PathId, request: Request, state: State) -> Response:
    """Stores the whole row of an item: new, or in place of the one that was there. What the row says about being shown
    holds for every answer that is asked for from now on. A new item is in lists once models were trained with it."""
    row = parse_item(await read_json(request, min(ONE_ENTRY_BYTES, state.settings.max_body_bytes)), item_id)
    (status,) = await audited(
        state, request, Act.ITEMS_PUT, lambda store: put_items(store, [row]), lambda _, done: ([item_id], counted(done))
    )
    state.metrics.items.labels(status).inc()
    return json_response({"item_id": item_id, "status": status}, 201 if status is ItemStatus.CREATED else 200)


@router.get(
    "/items/{id}",
    response_model=ItemRecord,
    responses=problems(s404=_UNKNOWN, s422="The id does not fit.", s503=_UNREADABLE_STORE),
    openapi_extra=WITH_ID,
)
async def get_item(item_id: PathId, state: State) -> Response:
    """The row of an item, whether the models in force know it, and whether it may be shown now; if not, why."""
    (found,) = await _records(state, [item_id])
    if found is None:
        raise _unknown(item_id)
    return json_response(found)


@router.delete(
    "/items/{id}",
    response_model=ItemResult,
    responses=problems(s404=_UNKNOWN, s422="The id does not fit.", s503=_UNWRITABLE),
    openapi_extra=WITH_ID,
)
async def delete_item(item_id: PathId, request: Request, state: State) -> Response:
    """Takes an item off for good: it is in no answer that is asked for from now on, until it is put again. Events on it
    stay, as they tell what else their customers want."""
    (status,) = await _removed(request, state, [item_id])
    state.metrics.items.labels(status).inc()
    if status is ItemStatus.UNKNOWN:
        raise _unknown(item_id)
    return json_response({"item_id": item_id, "status": status})


@router.put(
    "/items",
    response_model=ItemResults,
    responses=problems(**UNREADABLE, s422=f"The body is not a list of 1 to {MAX_ITEMS:,} items.", s503=_UNWRITABLE),
    openapi_extra={"requestBody": _ITEMS},
)
async def put_batch(request: Request, state: State) -> Response:
    """Stores the whole rows of items. Each is stored or refused for a reason of its own; what is stored is stored
    together, and as if one was put after the other."""
    parsed = parse_items(await read_json(request, state.settings.max_body_bytes))
    rows = [entry for entry in parsed if not isinstance(entry, Refused)]
    ids: list[str | Refused] = [entry if isinstance(entry, Refused) else str(entry["item_id"]) for entry in parsed]
    good = [entry for entry in ids if isinstance(entry, str)]
    statuses: Sequence[ItemStatus] = []
    if rows:
        statuses = await audited(
            state, request, Act.ITEMS_PUT, lambda store: put_items(store, rows), lambda _, done: (good, counted(done))
        )
    return _results(state, ids, statuses)


@router.delete(
    "/items",
    response_model=ItemResults,
    responses=problems(**UNREADABLE, s422=f"The body is not a list of 1 to {MAX_ITEMS:,} ids.", s503=_UNWRITABLE),
    openapi_extra={"requestBody": _ITEM_IDS},
)
async def delete_batch(request: Request, state: State) -> Response:
    """Takes items off for good, together; unknown ones are named."""
    ids = parse_item_ids(await read_json(request, state.settings.max_body_bytes))
    good = [entry for entry in ids if isinstance(entry, str)]
    statuses = await _removed(request, state, good) if good else []
    return _results(state, ids, statuses)


@router.get(
    "/items",
    response_model=ItemRecords,
    responses=problems(s422="An id does not fit, or there are too many.", s503=_UNREADABLE_STORE),
)
async def get_batch(ids: WantedIds, state: State) -> Response:
    """What is known of several items, in the order of the question, and which of them are unknown."""
    found = dict(zip(ids, await _records(state, ids), strict=True))
    items = [entry for entry in found.values() if entry is not None]
    return json_response({"items": items, "unknown": [item_id for item_id in ids if found[item_id] is None]})


async def _removed(request: Request, state: State, ids: Sequence[str]) -> Sequence[ItemStatus]:
    return await audited(
        state, request, Act.ITEMS_REMOVED, lambda store: remove_items(store, ids), lambda _, done: (ids, counted(done))
    )


async def _records(state: State, ids: Sequence[str]) -> list[dict[str, object] | None]:
    # Without a model the shop's own rows are still there.
    engine = (await state.engines.current())[0] if state.engines.ready else None
    rows, now = rows_by_id(state.live.items(ids)), state.clocks.now()
    return [record(item_id, rows.get(item_id), engine, now) for item_id in ids]


def _results(state: State, ids: Sequence[str | Refused], statuses: Sequence[ItemStatus]) -> Response:
    """One result for each entry of a batch; `statuses` are those of the entries that were not refused."""
    results: list[dict[str, Any]] = []
    done = iter(statuses)
    for entry in ids:
        if isinstance(entry, Refused):
            error = refusal(entry.faults)
            results.append({"item_id": entry.identifier, "status": ItemStatus.REFUSED, "error": error})
        else:
            results.append({"item_id": entry, "status": next(done)})
        state.metrics.items.labels(results[-1]["status"]).inc()
    return json_response({"results": results})


def _unknown(item_id: str) -> Problem:
    return Problem(
        404,
        "unknown-item",
        f"There is no item {item_id!r}, or it was removed. PUT /v1/items/{{id}} adds it.",
    )
