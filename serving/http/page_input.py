"""The lists of one page, in a request's body."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import ErrorDetails

from recsys.models.related import Relation
from recsys.recommend.popular_lists import WHOLE, Order
from serving.http.asker_input import Asker, AskerIn, asker_of
from serving.http.event_input import Id, fault_of
from serving.http.filter_input import FilterIn
from serving.http.parameters import DEFAULT, DEFAULT_LIMIT, MAX_LIMIT, WINDOW_PATTERN
from serving.http.problems import Fault, invalid, shortened
from serving.http.session_input import PlacementIn, fault_beside_events, parsed

MAX_LISTS = 20


class ListIn(FilterIn):
    """What every list of a page has."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Id = Field(description="Of the list, as the page calls it; the answer repeats it.")
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT


class RecommendedListIn(ListIn):
    """What whoever asks is most likely to want."""

    model_config = ConfigDict(extra="forbid", strict=True, title="RecommendedList")

    type: Literal["recommendations"]
    placement: PlacementIn = DEFAULT


class RelatedListIn(ListIn):
    """What goes with an item."""

    model_config = ConfigDict(extra="forbid", strict=True, title="RelatedList")

    type: Literal["related"]
    item_id: Id
    relation: Annotated[Relation, Field(strict=False)] = Relation.SIMILAR


class PopularListIn(ListIn):
    """What the shop sells most, more than before, or newly."""

    model_config = ConfigDict(extra="forbid", strict=True, title="PopularList")

    type: Literal["popular"]
    window: Annotated[str, Field(pattern=f"^{WINDOW_PATTERN}$")] = WHOLE
    category: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    order: Annotated[Order, Field(strict=False)] = Order.POPULAR


class OwnListIn(ListIn):
    """What whoever asks will buy again, or looked at lately."""

    model_config = ConfigDict(extra="forbid", strict=True, title="OwnList")

    type: Literal["buy_again", "recently_viewed"]


AnyListIn = RecommendedListIn | RelatedListIn | PopularListIn | OwnListIn
_TYPES: Mapping[str, type[ListIn]] = {
    "recommendations": RecommendedListIn,
    "related": RelatedListIn,
    "popular": PopularListIn,
    "buy_again": OwnListIn,
    "recently_viewed": OwnListIn,
}


class PageIn(AskerIn):
    """The lists of a page in the order in which they are filled, and whom they are for."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Page")

    lists: Annotated[
        list[Annotated[AnyListIn, Field(discriminator="type")]], Field(min_length=1, max_length=MAX_LISTS)
    ] = Field(description="What an earlier list shows is in no later one.")


@dataclass(frozen=True, slots=True)
class Page:
    """The question for a page that fits; `exclude` are ids."""

    asker: Asker
    lists: tuple[AnyListIn, ...]
    exclude: frozenset[str]


def parse_page(body: object, now: int) -> Page:
    """The page in a request's body. Raises Problem (422) with every fault; `now` in milliseconds UTC."""
    given = parsed(PageIn, body, 'an object {"lists": […]}', _fault)
    names = Counter(each.name for each in given.lists)
    faults = [
        Fault(("body", "lists", place, "name"), f"{each.name!r} again", "a name for each list")
        for place, each in enumerate(given.lists)
        if names[each.name] > 1
    ]
    if faults:
        raise invalid(faults)
    return Page(asker_of(given, now), tuple(given.lists), frozenset(given.exclude))


def _fault(shape: type[BaseModel], detail: ErrorDetails) -> Fault:
    """One of pydantic's findings, with places as they are in the body: the types of lists are no part of a path."""
    loc = detail["loc"]
    if loc[0] != "lists" or len(loc) < 2:
        return fault_beside_events(shape, detail)
    if detail["type"].startswith("union_tag"):
        found = shortened(detail["ctx"]["tag"]) if "tag" in detail.get("ctx", {}) else "nothing"
        return Fault(("body", *loc, "type"), found, f"one of {', '.join(_TYPES)}")
    if len(loc) == 2:
        return Fault(("body", *loc), shortened(detail["input"]), "an object")
    return fault_of(("body", *loc[:2]), {**detail, "loc": loc[3:]}, _TYPES[str(loc[2])])
