"""What routes take from the path and the query, checked the same way everywhere."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.routing import APIRoute
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from recsys.models.related import Relation
from serving.http.event_input import id_fault
from serving.http.problems import Fault, invalid, shortened
from serving.http.raw_path import decoded_segment

DEFAULT_LIMIT = 20
MAX_LIMIT = 200


def known_parameters_only(request: Request) -> None:
    """Raises Problem (422) for a query parameter that the route does not know or that is given more than once."""
    route = request.scope.get("route")
    known = [field.alias for field in route.dependant.query_params] if isinstance(route, APIRoute) else []
    expected = f"only {', '.join(known)}" if known else "no parameters"
    faults = []
    given = request.query_params
    for name in dict.fromkeys(key for key, _ in given.multi_items()):
        if name not in known:
            faults.append(Fault(("query", name[:80]), "an unknown parameter", expected))
        elif len(given.getlist(name)) > 1:
            faults.append(Fault(("query", name), f"{len(given.getlist(name))} values", "one value"))
    if faults:
        raise invalid(faults)


def _digits(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise PydanticCustomError("limit", f"a whole number from 1 to {MAX_LIMIT}")
    return value


Limit = Annotated[
    int,
    BeforeValidator(_digits, json_schema_input_type=Annotated[int, Field(ge=1, le=MAX_LIMIT)]),
    Query(ge=1, le=MAX_LIMIT, description="At most this many items are answered."),
]


RelationWanted = Annotated[
    Relation,
    Query(
        description="`similar`: wanted by the same customers; `bought_together`: bought at one time, more than by "
        "chance; `after`: bought later, more than earlier and more than by chance."
    ),
]


def _id_of(request: Request) -> str:
    """The id in the path, decoded once. Raises Problem (422) for one that no customer and no item can have."""
    (identifier,) = (decoded_segment(value) for value in request.path_params.values())
    expected = id_fault(identifier)
    if expected is not None:
        raise invalid([Fault(("path", "id"), shortened(identifier), expected)])
    return identifier


PathId = Annotated[str, Depends(_id_of)]
