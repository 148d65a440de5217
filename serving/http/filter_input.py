"""A filter in a request: in a query, or in a body."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from recsys.recommend.filters import ParameterValue
from recsys.recommend.filters.tokens import MOST_CHARACTERS
from serving.http.filtering import PARAMETER, FilterAsked
from serving.http.problems import Fault, invalid

MOST_PARAMETERS = 50
_DESCRIPTION = (
    "Only items that it lets through: an expression in SQL's WHERE grammar, or the name of one that the shop saved"
)


class FilterIn(BaseModel):
    """A list that may be filtered."""

    model_config = ConfigDict(extra="forbid", strict=True)

    filter: Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)] | None = Field(
        None, description=f"{_DESCRIPTION}; see docs/filters.md."
    )
    filter_parameters: Annotated[
        dict[str, str | float | bool | list[str | float | bool]], Field(max_length=MOST_PARAMETERS)
    ] = Field({}, description="The value of each `:name` in the filter.")


def filter_of(given: FilterIn, place: tuple[str | int, ...] = ("body",)) -> FilterAsked | None:
    """The filter in a body. Raises Problem (422) for parameters of no filter."""
    values: dict[str, ParameterValue] = dict(given.filter_parameters)
    if given.filter is not None:
        return FilterAsked(given.filter, None, values, place)
    if values:
        raise invalid([Fault((*place, "filter_parameters"), "parameters of no filter", "a filter beside them")])
    return None


FilterWanted = Annotated[
    str | None,
    Query(
        alias="filter",
        min_length=1,
        max_length=MOST_CHARACTERS,
        description=f"{_DESCRIPTION}. Each `:name` in it has its value in a parameter `{PARAMETER}name`, which is "
        "given several times for a list. See docs/filters.md.",
    ),
]


async def _filtered(request: Request, wanted: FilterWanted = None) -> FilterAsked | None:
    """The filter in a query."""
    given = request.query_params
    names = [name for name in dict.fromkeys(given) if name.startswith(PARAMETER)]
    if wanted is None:
        if names:
            raise invalid([Fault(("query", names[0][:80]), "a parameter of no filter", "a filter beside it")])
        return None
    if len(names) > MOST_PARAMETERS:
        raise invalid([Fault(("query", "filter"), f"{len(names)} parameters", f"at most {MOST_PARAMETERS}")])
    texts = {name.removeprefix(PARAMETER): given.getlist(name) for name in names}
    return FilterAsked(wanted, texts, None, ("query",))


Filtered = Annotated[FilterAsked | None, Depends(_filtered)]
