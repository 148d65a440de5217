"""What every route's description in OpenAPI is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from fastapi import APIRouter, Depends, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from serving.http.event_input import ID_SHAPE
from serving.http.parameters import known_parameters_only
from serving.http.problems import Fault

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}

UNREADABLE = {
    "s400": "The body is not JSON.",
    "s413": "The body is too large.",
    "s415": "The body is of another type.",
}
"""How `read_json` may refuse."""

WITH_ID: dict[str, Any] = {"parameters": [{"name": "id", "in": "path", "required": True, "schema": ID_SHAPE}]}
"""A route whose path has one id: `PathId` reads it from the raw path, so the framework does not see it."""


def versioned(tag: str) -> APIRouter:
    """A router below /v1 that knows its parameters."""
    return APIRouter(prefix="/v1", dependencies=[Depends(known_parameters_only)], tags=[tag])


def route_of(router: APIRouter, endpoint: Callable[..., object]) -> APIRoute:
    """The route that this function answers."""
    return next(route for route in router.routes if isinstance(route, APIRoute) and route.endpoint is endpoint)


def problems(**reasons: str) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route for the API's description: `s404="…"`."""
    return {int(status[1:]): {"description": text, "content": _PROBLEM} for status, text in reasons.items()}


def body_of(shape: type[BaseModel]) -> dict[str, Any]:
    """The request body of a route that reads its body itself; `shape` is among `COMPONENTS`."""
    return {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}},
    }


_ANYTHING_ELSE = {"description": "Anything else is refused for itself."}


def list_body_of(field: str, shape: str | None, most: int, *, each: bool = True) -> dict[str, Any]:
    """A request body `{field: [...]}` of so many entries; None for ids. `each`: an entry that does not fit is refused
    for itself, and the others are taken."""
    own = ID_SHAPE if shape is None else {"$ref": f"#/components/schemas/{shape}"}
    entry = {"anyOf": [own, _ANYTHING_ELSE]} if each else own
    entries = {"type": "array", "minItems": 1, "maxItems": most, "items": entry}
    schema = {"type": "object", "required": [field], "additionalProperties": False, "properties": {field: entries}}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def refusal(faults: Sequence[Fault]) -> dict[str, Any]:
    """Why one of many is refused."""
    detail = "; ".join(
        f"{'.'.join(map(str, fault.place))}: found {fault.found}, expected {fault.expected}" for fault in faults
    )
    return {"detail": detail, "errors": [fault.to_json() for fault in faults]}


def json_response(content: object, status: int = 200) -> Response:
    """An answer that is not a list written by compiled code."""
    return Response(orjson.dumps(content), status, media_type="application/json")
