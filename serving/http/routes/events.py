"""What customers did."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import Request, Response

from recsys.data.events import Event
from serving.http.body import read_json
from serving.http.event_input import MAX_EVENTS, EventIn, Refused, parse_events
from serving.http.routes.describing import UNREADABLE, json_response, problems, versioned
from serving.http.schemas import EventResults
from serving.http.state import State

router = versioned("events")

_EVENTS_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["events"],
                "additionalProperties": False,
                "properties": {
                    "events": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": MAX_EVENTS,
                        "items": {"$ref": f"#/components/schemas/{EventIn.__name__}"},
                    }
                },
            }
        }
    },
}


@router.post(
    "/events",
    response_model=EventResults,
    responses=problems(
        **UNREADABLE,
        s422="The body is not a list of 1 to 1,000 events.",
        s503="The store cannot be written; nothing of this request is stored.",
    ),
    openapi_extra={"requestBody": _EVENTS_BODY},
)
async def events(request: Request, state: State) -> Response:
    """Stores what customers did. Each event is accepted, a duplicate, or refused for a reason of its own.

    Accepted events are on the disk, and count in every answer that is asked for from now on.
    """
    body = await read_json(request, state.settings.max_body_bytes)
    now = state.clocks.now()
    parsed = parse_events(body, now, lambda: time_ordered_id(now))
    good = [event for event in parsed if isinstance(event, Event)]
    added = iter(await state.writer.append(good) if good else ())
    results = [_refusal(entry) if isinstance(entry, Refused) else _result(entry, next(added)) for entry in parsed]
    for result in results:
        state.metrics.events.labels(result["status"]).inc()
    return json_response({"results": results})


def time_ordered_id(now: int) -> str:
    """A UUID of version 7 (RFC 9562): ids made later sort later, so that the store's index stays compact."""
    bits = (now & (2**48 - 1)) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    text = f"{bits:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _result(event: Event, is_new: bool) -> dict[str, Any]:
    return {"event_id": event.event_id, "status": "accepted" if is_new else "duplicate"}


def _refusal(refused: Refused) -> dict[str, Any]:
    detail = "; ".join(
        f"{'.'.join(map(str, fault.place))}: found {fault.found}, expected {fault.expected}" for fault in refused.faults
    )
    error = {"detail": detail, "errors": [fault.to_json() for fault in refused.faults]}
    return {"event_id": refused.event_id, "status": "refused", "error": error}
