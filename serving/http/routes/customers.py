"""Customers: what the shop knows of them, what they said, and how they are forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import orjson
import polars as pl
from fastapi import Request, Response

from recsys.access.audit import DONE, Act, Actor, customer_mark
from recsys.customers.forgetting import Receipt, forget
from recsys.data.catalog import CUSTOMER_SCHEMA
from recsys.errors import ForgottenCustomerError, StoreUnavailableError, UnknownCustomerError
from recsys.stores.protocols import Store
from serving.http.auditing import actor_of, audited, counted, write_line
from serving.http.body import IDS_BYTES, ONE_ENTRY_BYTES, read_json
from serving.http.customer_input import (
    MAX_FORGOTTEN,
    CustomerIn,
    CustomerPut,
    MergeIn,
    parse_customer,
    parse_customers,
    parse_ids,
    parse_merge,
)
from serving.http.customer_shapes import (
    CustomerExport,
    CustomerOut,
    CustomerResult,
    CustomerResults,
    CustomersOut,
    MergedOut,
    ReceiptOut,
    ReceiptsOut,
)
from serving.http.event_input import Refused
from serving.http.parameters import PathId, WantedIds
from serving.http.people import about, export, moment
from serving.http.problems import Fault, invalid
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
from serving.http.state import ServiceState, State
from serving.http.store_handle import reading

T = TypeVar("T")

router = versioned("customers")

_UNKNOWN = {"s404": "The customer is not known.", "s409": "The customer asked to be forgotten."}
_WRITING = {"s503": "The store cannot be written; nothing of this request is stored."}


@router.put(
    "/customers/{id}",
    response_model=CustomerResult,
    responses={
        201: {"description": "The customer was not known before.", "model": CustomerResult},
        **problems(
            **UNREADABLE,
            s409=_UNKNOWN["s409"],
            s422="Something in the body does not fit.",
            **_WRITING,
        ),
    },
    openapi_extra=WITH_ID | {"requestBody": body_of(CustomerIn)},
)
async def put_customer(customer_id: PathId, request: Request, state: State) -> Response:
    """Says what is known of a customer and what they said. It counts in every answer asked for from now on.

    `account_id` and `attributes` take the place of what was there; `recommendations` and `consents` change only where
    they are given.
    """
    most = min(ONE_ENTRY_BYTES, state.settings.max_body_bytes)
    wanted = parse_customer(await read_json(request, most), customer_id, state.clocks.now())
    result = await audited(
        state,
        request,
        Act.CUSTOMERS_PUT,
        lambda store: _put_one(store, wanted),
        lambda store, done: _told(store, [done]),
        people=[customer_id],
    )
    return json_response(result, 201 if result["status"] == "added" else 200)


@router.put(
    "/customers",
    response_model=CustomerResults,
    responses=problems(**UNREADABLE, s422="The body is not a list of customers.", **_WRITING),
    openapi_extra={"requestBody": list_body_of("customers", "CustomerEntryIn", 1_000)},
)
async def put_customers(request: Request, state: State) -> Response:
    """The same for many. Each is stored or refused for a reason of its own, in their order."""
    parsed = parse_customers(await read_json(request, state.settings.max_body_bytes), state.clocks.now())

    def put_all(store: Store) -> list[dict[str, Any]]:
        return [_put_or_refuse(store, index, entry) for index, entry in enumerate(parsed)]

    people = [entry.customer_id for entry in parsed if isinstance(entry, CustomerPut)]
    results = await audited(state, request, Act.CUSTOMERS_PUT, put_all, _told, people)
    return json_response({"results": results})


@router.get(
    "/customers/{id}",
    response_model=CustomerOut,
    responses=problems(**_UNKNOWN, s422="The id does not fit.", s503="The store cannot be read."),
    openapi_extra=WITH_ID,
)
async def get_customer(customer_id: PathId, state: State) -> Response:
    """What is known of a customer, and what speaks for items because of it."""
    return json_response(await _read(state, lambda store: _about(state, store, customer_id)))


@router.get(
    "/customers",
    response_model=CustomersOut,
    responses=problems(s422="The ids do not fit.", s503="The store cannot be read."),
)
async def get_customers(state: State, ids: WantedIds) -> Response:
    """The same for up to 100 customers; null for one who is not known or forgotten."""

    def ask(store: Store) -> list[dict[str, Any] | None]:
        found: list[dict[str, Any] | None] = []
        for customer_id in ids:
            try:
                found.append(_about(state, store, customer_id))
            except (UnknownCustomerError, ForgottenCustomerError):
                found.append(None)
        return found

    return json_response({"customers": await _read(state, ask)})


@router.get(
    "/customers/{id}/export",
    response_model=CustomerExport,
    responses=problems(**_UNKNOWN, s422="The id does not fit.", s503="The store cannot be read."),
    openapi_extra=WITH_ID,
)
async def export_customer(customer_id: PathId, request: Request, state: State) -> Response:
    """Everything that is stored of a customer, to hand it over: every event, every statement and every arm of an
    experiment."""

    def ask(store: Store) -> bytes:
        return orjson.dumps(export(store, customer_id))

    body = await _read(state, ask)
    # Nothing is handed over of which no line tells.
    await audited(
        state,
        request,
        Act.CUSTOMER_EXPORTED,
        lambda _: DONE,
        lambda store, done: ([customer_mark(store, customer_id)], done),
        people=[customer_id],
    )
    return Response(body, media_type="application/json")


@router.post(
    "/customers/{id}/merge",
    response_model=MergedOut,
    responses=problems(**UNREADABLE, s409=_UNKNOWN["s409"], s422="The ids do not fit.", **_WRITING),
    openapi_extra=WITH_ID | {"requestBody": body_of(MergeIn)},
)
async def merge_customer(customer_id: PathId, request: Request, state: State) -> Response:
    """From now on a visitor is this customer: what either did is one history, under either id. Refusals survive."""
    visitor_id = parse_merge(await read_json(request, min(IDS_BYTES, state.settings.max_body_bytes)))
    now = state.clocks.now()

    def merge(store: Store) -> str:
        is_new = visitor_id != customer_id and store.profiles.merge(visitor_id, customer_id, now)
        return "merged" if is_new else "already_merged"

    def told(store: Store, status: str) -> tuple[list[str], str]:
        return [customer_mark(store, each) for each in (customer_id, visitor_id)], status

    status = await audited(state, request, Act.CUSTOMER_MERGED, merge, told, [customer_id, visitor_id])
    return json_response({"customer_id": customer_id, "visitor_id": visitor_id, "status": status})


@router.delete(
    "/customers/{id}",
    response_model=ReceiptOut,
    responses=problems(
        s404=_UNKNOWN["s404"],
        s422="The id does not fit.",
        s503="Something could not be removed yet; the customer is not seen any more, and asking again goes on.",
    ),
    openapi_extra=WITH_ID,
)
async def forget_customer(customer_id: PathId, request: Request, state: State) -> Response:
    """Forgets a customer: removes the person from store, archive, caches and files, under all their ids, and keeps only
    a keyed hash of each id, so that no later import brings them back. Asking again gives the receipt again."""
    return json_response(await _forget(state, customer_id, actor_of(request, [customer_id])))


@router.delete(
    "/customers",
    response_model=ReceiptsOut,
    responses=problems(**UNREADABLE, s422="The body is not a list of ids.", **_WRITING),
    openapi_extra={"requestBody": list_body_of("customer_ids", None, MAX_FORGOTTEN, each=False)},
)
async def forget_customers(request: Request, state: State) -> Response:
    """The same for up to 100 customers, one after the other; null for one who is not known."""
    ids = parse_ids(await read_json(request, state.settings.max_body_bytes), "customer_ids", MAX_FORGOTTEN)
    receipts: list[dict[str, Any] | None] = []
    for customer_id in ids:
        try:
            receipts.append(await _forget(state, customer_id, actor_of(request, [customer_id])))
        except UnknownCustomerError:
            receipts.append(None)
    return json_response({"receipts": receipts})


async def _read(state: ServiceState, ask: Callable[[Store], T]) -> T:
    """In a thread and through a connection of its own: a long history must not hold up answers."""
    return await asyncio.to_thread(reading, state.settings.shop.store, ask)


def _about(state: ServiceState, store: Store, customer_id: str) -> dict[str, Any]:
    return about(store, state.engines.in_force, customer_id, state.settings.history_limit)


def _put_one(store: Store, wanted: CustomerPut) -> dict[str, Any]:
    faults = _resurrected(store, wanted, ("body",))
    if faults:
        raise invalid(faults)
    return _put(store, wanted)


def _resurrected(store: Store, wanted: CustomerPut, place: tuple[str | int, ...]) -> list[Fault]:
    """What is wrong with a yes that does not say when it was given, after a no: a list of customers that is sent every
    night says yes of somebody who unsubscribed yesterday."""
    if not wanted.undated:
        return []
    said = store.profiles.get(wanted.customer_id).consents
    return [
        Fault(
            (*place, "consents", purpose, "stated_at"),
            "a yes without its time, after a no",
            "the time at which the customer said yes, later than the no",
        )
        for purpose in sorted(wanted.undated)
        if purpose in said and not said[purpose].granted
    ]


def _put(store: Store, wanted: CustomerPut) -> dict[str, Any]:
    """Stores one customer; what became of it. Raises ForgottenCustomerError."""
    with store.transaction():
        was_known = store.persons.known(wanted.customer_id)
        before = store.profiles.version(wanted.customer_id)
        profile = store.profiles.put(wanted.customer_id, wanted.consents, recommendations=wanted.recommendations)
        row = {"customer_id": profile.customer_id, "account_id": wanted.account_id, "attributes": wanted.attributes}
        done = store.customers.put(pl.DataFrame([row], schema=CUSTOMER_SCHEMA))
    changed = done.added or done.changed or profile.version != before
    status = "added" if not was_known else "changed" if changed else "unchanged"
    return {"customer_id": wanted.customer_id, "status": status}


def _put_or_refuse(store: Store, index: int, entry: CustomerPut | Refused) -> dict[str, Any]:
    if isinstance(entry, Refused):
        return {"customer_id": entry.identifier, "status": "refused", "error": refusal(entry.faults)}
    faults = _resurrected(store, entry, ("body", "customers", index))
    if faults:
        return {"customer_id": entry.customer_id, "status": "refused", "error": refusal(faults)}
    try:
        return _put(store, entry)
    except ForgottenCustomerError as error:
        fault = Fault(("body", "customers", index, "customer_id"), error.found, error.expected)
        return {"customer_id": entry.customer_id, "status": "refused", "error": refusal([fault])}


async def _forget(state: ServiceState, customer_id: str, actor: Actor) -> dict[str, Any]:
    receipt = await asyncio.to_thread(_forget_in, state, customer_id, actor, state.clocks.now())
    return await _receipt(state, receipt)


def _forget_in(state: ServiceState, customer_id: str, actor: Actor, now: int) -> Receipt:
    """Through a connection of its own: writing a large archive anew must not hold up events."""
    store = state.open_writable()
    try:
        try:
            receipt = forget(state.settings.shop, store, customer_id, now)
        except StoreUnavailableError:
            # The person is not seen any more, and asking again does what is left.
            write_line(store, Act.CUSTOMER_FORGOTTEN, [customer_mark(store, customer_id)], actor, now, "unfinished")
            raise
        marks = [customer_mark(store, each) for each in receipt.erased.ids]
        write_line(store, Act.CUSTOMER_FORGOTTEN, marks, actor, now)
        return receipt
    finally:
        store.close()


def _told(store: Store, results: Sequence[dict[str, Any]]) -> tuple[list[str], str]:
    """Of customers that were put, for the audit."""
    stored = [each for each in results if each["status"] != "refused"]
    marks = [customer_mark(store, each["customer_id"]) for each in stored]
    return marks, counted(each["status"] for each in results)


async def _receipt(state: ServiceState, receipt: Receipt) -> dict[str, Any]:
    """The receipt, signed, so that it can be shown to be ours years later."""
    erased = receipt.erased
    cached = await state.answerer.forget(erased.ids)
    removed = {
        "events": erased.events,
        "rows": erased.rows,
        "consents": erased.consents,
        "exposures": erased.exposures,
        "quarantined_rows": receipt.quarantined,
        "cached_lists": cached,
    }
    return {
        "customer_ids": sorted(erased.ids),
        "forgotten_at": moment(erased.at),
        "removed": removed,
        "kept": "a keyed hash of each id",
        "receipt": state.answerer.signed_receipt(erased.ids, erased.at),
    }
