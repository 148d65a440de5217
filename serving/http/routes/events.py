"""What customers did."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import Request, Response

from recsys.data.events import Event, EventKind
from recsys.errors import ForgottenCustomerError
from serving.http.auditing import key_of
from serving.http.body import BROWSER_BYTES, read_json
from serving.http.event_input import MAX_EVENTS, EventIn, Refused, parse_events
from serving.http.problems import Fault
from serving.http.routes.describing import UNREADABLE, json_response, list_body_of, problems, refusal, versioned
from serving.http.schemas import EventResults
from serving.http.state import ServiceState, State

router = versioned("events")


@router.post(
    "/events",
    response_model=EventResults,
    responses=problems(
        **UNREADABLE,
        s422="The body is not a list of 1 to 1,000 events.",
        s503="The store cannot be written; nothing of this request is stored.",
    ),
    openapi_extra={"requestBody": list_body_of("events", EventIn.__name__, MAX_EVENTS)},
)
async def events(request: Request, state: State) -> Response:
    """Stores what customers did. Each event is accepted, a duplicate, or refused for a reason of its own.

    Accepted events are on the disk, and count in every answer that is asked for from now on.
    """
    key, most = key_of(request), state.settings.max_body_bytes
    body = await read_json(request, min(BROWSER_BYTES, most) if key is not None and key.origins else most)
    now = state.clocks.now()
    parsed = parse_events(body, now, lambda: time_ordered_id(now))
    if key is not None and key.kinds:
        parsed = [_permitted(index, entry, key.kinds) for index, entry in enumerate(parsed)]
    good = [event for event in parsed if isinstance(event, Event)]
    added, forgotten = await _stored(state, good)
    results = [
        _refused(entry.identifier, entry.faults)
        if isinstance(entry, Refused)
        else _refused(entry.event_id, [_forgotten(index)])
        if entry.customer_id in forgotten
        else _result(entry, next(added))
        for index, entry in enumerate(parsed)
    ]
    for status, count in Counter(result["status"] for result in results).items():
        state.metrics.events.labels(status).inc(count)
        if status == "accepted":
            state.metrics.last_event_at.set(now / 1000)
    return json_response({"results": results})


def _permitted(index: int, entry: Event | Refused, kinds: Sequence[EventKind]) -> Event | Refused:
    """The event, or why the key that was sent must not write it."""
    if isinstance(entry, Refused) or entry.kind in kinds:
        return entry
    expected = f"what this key may write: {', '.join(kinds)}"
    return Refused(entry.event_id, (Fault(("body", "events", index, "kind"), f"{entry.kind!s}", expected),))


def _forgotten(index: int) -> Fault:
    place = ("body", "events", index, "customer_id")
    return Fault(place, "a customer who asked to be forgotten", "one of whom something may be stored")


async def _stored(state: ServiceState, events: list[Event]) -> tuple[Iterator[bool], frozenset[str]]:
    """Whether each event of customers who are not forgotten is new, and who is forgotten."""
    forgotten: frozenset[str] = frozenset()
    while events:
        try:
            return iter(await state.writer.append(events)), forgotten
        except ForgottenCustomerError as error:
            forgotten |= set(error.customer_ids)
            events = [event for event in events if event.customer_id not in forgotten]
    return iter(()), forgotten


def time_ordered_id(now: int) -> str:
    """A UUID of version 7 (RFC 9562): ids made later sort later, so that the store's index stays compact."""
    bits = (now & (2**48 - 1)) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    text = f"{bits:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _result(event: Event, is_new: bool) -> dict[str, Any]:
    return {"event_id": event.event_id, "status": "accepted" if is_new else "duplicate"}


def _refused(event_id: str | None, faults: Sequence[Fault]) -> dict[str, Any]:
    return {"event_id": event_id, "status": "refused", "error": refusal(faults)}
