"""What routes take from the path and the query, checked the same way everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import Depends, Query, Request
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from recsys.errors import InputError
from recsys.models.related import Relation
from recsys.recommend.placement import DEFAULT_PLACEMENT
from recsys.recommend.popular_lists import LONGEST_WINDOW, WINDOWS, Order, window_days
from serving.http.event_input import ID_SHAPE, id_fault
from serving.http.problems import Fault, invalid, shortened
from serving.http.raw_path import decoded_segment

_REPEATED = frozenset({"exclude", "id"})
"""Parameters that may be given several times."""

DEFAULT_LIMIT = 20
MAX_LIMIT = 200

DEFAULT: Final = DEFAULT_PLACEMENT.name
PLACEMENT_NAME: Final = "[a-z0-9_-]{1,64}"
"""What a placement may be called."""


def _parameters(dependant: Dependant) -> list[ModelField]:
    """The query parameters of a route and of what it depends on."""
    return [*dependant.query_params, *(each for part in dependant.dependencies for each in _parameters(part))]


async def known_parameters_only(request: Request) -> None:
    """Raises Problem (422) for a query parameter that the route does not know or that is given more than once."""
    route = request.scope.get("route")
    known = [field.alias for field in _parameters(route.dependant)] if isinstance(route, APIRoute) else []
    expected = f"only {', '.join(known)}" if known else "no parameters"
    faults = []
    given = request.query_params
    for name in dict.fromkeys(key for key, _ in given.multi_items()):
        if name.startswith("param.") and "filter" in known:
            continue  # Of the filter, which knows its parameters.
        if name not in known:
            faults.append(Fault(("query", name[:80]), "an unknown parameter", expected))
        elif len(given.getlist(name)) > 1 and name not in _REPEATED:
            faults.append(Fault(("query", name), f"{len(given.getlist(name))} values", "one value"))
    if faults:
        raise invalid(faults)


def whole_number(most: int) -> BeforeValidator:
    """Takes digits alone for a number from 1 to `most`."""

    def digits(value: object) -> object:
        if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) <= 9):
            raise PydanticCustomError("limit", f"a whole number from 1 to {most}")
        return value

    return BeforeValidator(digits, json_schema_input_type=Annotated[int, Field(ge=1, le=most)])


Limit = Annotated[
    int,
    whole_number(MAX_LIMIT),
    Query(ge=1, le=MAX_LIMIT, description="At most this many items are answered."),
]


PlacementWanted = Annotated[
    str,
    Query(
        max_length=64,
        description="The spot that the list is for, as the shop's placements name it.",
        json_schema_extra={"pattern": f"^{PLACEMENT_NAME}$"},
    ),
]

RelationWanted = Annotated[
    Relation,
    Query(
        description="`similar`: wanted by the same customers; `bought_together`: bought at one time, more than by "
        "chance; `after`: bought later, more than earlier and more than by chance."
    ),
]


def _window(text: str) -> str:
    try:
        window_days(text)
    except InputError:
        raise PydanticCustomError("window", WINDOWS) from None
    return text


WINDOW_PATTERN = "(all|[1-9][0-9]?d|[12][0-9][0-9]d|3[0-5][0-9]d|36[0-5]d)"
"""`all` and the days that a window may have."""

WindowWanted = Annotated[
    str,
    AfterValidator(_window),
    Query(
        description=f"`all`, or so many days, 1 to {LONGEST_WINDOW}, as in `30d`, counted back from the newest event "
        "that the models know.",
        json_schema_extra={"pattern": f"^{WINDOW_PATTERN}$"},
    ),
]

CategoryWanted = Annotated[
    str | None,
    Query(
        min_length=1, max_length=1000, description="Only items of this category, by its exact name in the catalogue."
    ),
]

OrderWanted = Annotated[
    Order,
    Query(
        description="`popular`: most interest in the window; `rising`: interest grew most, and surely, against as many "
        "days before; `new`: appeared in the window, the newest first."
    ),
]


MAX_EXCLUDED = 200
MAX_WANTED = 100
_ListedId = Annotated[str, WithJsonSchema(ID_SHAPE)]
_Exclude = Annotated[
    Sequence[_ListedId],
    Query(description=f"An item that must not be in the list; may be given up to {MAX_EXCLUDED} times."),
]
_Spared = Annotated[
    Sequence[_ListedId],
    Query(alias="exclude", description=f"A customer who must not be listed; up to {MAX_EXCLUDED} times."),
]
_Wanted = Annotated[
    Sequence[_ListedId],
    Query(alias="id", description=f"Whom or what to tell of; 1 to {MAX_WANTED} times."),
]


def _checked(name: str, ids: Sequence[str], most: int, noun: str) -> Sequence[str]:
    """The ids of a parameter. Raises Problem (422) for one that nothing can have as its id, and for too many."""
    faults = [
        Fault(("query", name), shortened(identifier), expected)
        for identifier in ids
        if (expected := id_fault(identifier)) is not None
    ]
    if len(ids) > most:
        faults.append(Fault(("query", name), f"{len(ids)} {noun}", f"at most {most}"))
    if faults:
        raise invalid(faults)
    return ids


async def _excluded(exclude: _Exclude = ()) -> frozenset[str]:
    """The items to leave out."""
    return frozenset(_checked("exclude", exclude, MAX_EXCLUDED, "items"))


async def _spared(exclude: _Spared = ()) -> frozenset[str]:
    """The customers to leave out."""
    return frozenset(_checked("exclude", exclude, MAX_EXCLUDED, "customers"))


async def _wanted(ids: _Wanted) -> tuple[str, ...]:
    """The ids asked for, each once."""
    return tuple(dict.fromkeys(_checked("id", ids, MAX_WANTED, "ids")))


Excluded = Annotated[frozenset[str], Depends(_excluded)]
ExcludedCustomers = Annotated[frozenset[str], Depends(_spared)]
WantedIds = Annotated[tuple[str, ...], Depends(_wanted)]


async def _id_of(request: Request) -> str:
    """The id in the path, decoded once. Raises Problem (422) for one that no customer and no item can have."""
    (identifier,) = (decoded_segment(value) for value in request.path_params.values())
    expected = id_fault(identifier)
    if expected is not None:
        raise invalid([Fault(("path", "id"), shortened(identifier), expected)])
    return identifier


PathId = Annotated[str, Depends(_id_of)]
