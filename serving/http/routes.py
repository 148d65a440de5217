"""The routes of version 1, and those for the people and machines that look after the service."""

from __future__ import annotations

import secrets
from typing import Any

import orjson
from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from recsys.data.events import Event
from recsys.models.related import Relation
from serving.http.body import read_json
from serving.http.event_input import MAX_EVENTS, EventIn, Refused, parse_events
from serving.http.parameters import DEFAULT_LIMIT, Excluded, Limit, PathId, RelationWanted, known_parameters_only
from serving.http.problems import Problem
from serving.http.schemas import AnswerOut, EventResults, Health, ProblemOut
from serving.http.session_input import SessionIn, parse_session
from serving.http.state import State

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}


def _problems(**reasons: str) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route for the API's description: `s404="…"`."""
    return {int(status[1:]): {"description": text, "content": _PROBLEM} for status, text in reasons.items()}


_ID = Path(description="Percent-encoded once; `/` in an id is %2F.")

api = APIRouter(prefix="/v1", dependencies=[Depends(known_parameters_only)])
operations = APIRouter(dependencies=[Depends(known_parameters_only)])


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


@api.get(
    "/customers/{id}/recommendations",
    response_model=AnswerOut,
    responses=_problems(s422="An id or a parameter does not fit.", s503="No model answers yet."),
    tags=["recommendations"],
    openapi_extra={"parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]},
)
async def recommendations(
    customer_id: PathId, state: State, exclude: Excluded, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """The items that a customer is most likely to want, best first; popular ones to somebody unknown."""
    return Response(await state.answerer.recommendations(customer_id, limit, exclude), media_type="application/json")


_UNREADABLE = {
    "s400": "The body is not JSON.",
    "s413": "The body is too large.",
    "s415": "The body is of another type.",
}
"""How `read_json` may refuse."""


def _body_of(shape: type[BaseModel]) -> dict[str, Any]:
    return {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}},
    }


@api.post(
    "/recommendations",
    response_model=AnswerOut,
    responses=_problems(
        **_UNREADABLE,
        s422="The session does not fit.",
        s503="No model answers yet.",
    ),
    tags=["recommendations"],
    openapi_extra={"requestBody": _body_of(SessionIn)},
)
async def session_recommendations(request: Request, state: State) -> Response:
    """The items that somebody without an id is most likely to want, by a session or a cart given here. Nothing of it is
    stored."""
    body = await read_json(request, state.settings.max_body_bytes)
    session = parse_session(body, state.clocks.now())
    return Response(await state.answerer.session(session), media_type="application/json")


@api.get(
    "/items/{id}/related",
    response_model=AnswerOut,
    responses=_problems(
        s404="The item is not in the model.", s422="An id or a parameter does not fit.", s503="No model answers yet."
    ),
    tags=["recommendations"],
    openapi_extra={"parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]},
)
async def related(
    item_id: PathId,
    state: State,
    exclude: Excluded,
    limit: Limit = DEFAULT_LIMIT,
    relation: RelationWanted = Relation.SIMILAR,
) -> Response:
    """What goes with an item, best first."""
    return Response(await state.answerer.related(item_id, limit, relation, exclude), media_type="application/json")


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


@api.post(
    "/events",
    response_model=EventResults,
    responses=_problems(
        **_UNREADABLE,
        s422="The body is not a list of 1 to 1,000 events.",
        s503="The store cannot be written; nothing of this request is stored.",
    ),
    tags=["events"],
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
    return _json({"results": results})


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


@operations.get("/health/live", response_model=Health, tags=["operations"])
async def live() -> Response:
    """The process runs. Restart it when this does not answer."""
    return _json({"status": "ok"})


@operations.get(
    "/health/ready",
    response_model=Health,
    responses=_problems(s503="Not fit to answer yet; `detail` says why."),
    tags=["operations"],
)
async def ready(state: State) -> Response:
    """A bundle is loaded and the store answers. Send requests here only while this says so."""
    reasons = state.reasons_not_ready()
    if reasons:
        raise Problem(503, "not-ready", "; ".join(reasons), headers={"Retry-After": "1"})
    return _json({"status": "ok"})


@operations.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}}},
    tags=["operations"],
)
async def metrics(state: State) -> Response:
    """What the service counted, over all its workers."""
    return Response(state.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def recommendations_route() -> APIRoute:
    """The route that `serving.http.hot` answers for."""
    return next(route for route in api.routes if isinstance(route, APIRoute) and route.endpoint is recommendations)


COMPONENTS = (ProblemOut, EventIn, SessionIn)
"""Shapes that the API's description refers to by name."""
