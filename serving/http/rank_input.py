"""A given list to put in order, in a request's body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field

from serving.http.asker_input import Asker, AskerIn, asker_of
from serving.http.event_input import Id
from serving.http.filter_input import FilterIn, filter_of
from serving.http.filtering import FilterAsked
from serving.http.parameters import DEFAULT
from serving.http.session_input import PlacementIn, parsed

MAX_RANKED = 1_000


class RankIn(AskerIn, FilterIn):
    """Items, and for whom they are put in order."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Rank")

    item_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_RANKED)] = Field(
        description="What is put in order; each counts once."
    )
    limit: Annotated[int, Field(ge=1, le=MAX_RANKED)] | None = Field(None, description="All of them unless given.")
    placement: PlacementIn = DEFAULT


@dataclass(frozen=True, slots=True)
class Ranking:
    """A list to put in order that fits.

    Attributes
    ----------
    items, exclude : ids.
    limit : how many of them are wanted, 1 or more.
    placement : whose sources, weights, boosts and masks count.
    filtered : what they have to pass, or None.
    """

    asker: Asker
    items: frozenset[str]
    limit: int
    exclude: frozenset[str]
    placement: str = DEFAULT
    filtered: FilterAsked | None = None


def parse_ranking(body: object, now: int) -> Ranking:
    """The question in a request's body. Raises Problem (422) with every fault; `now` in milliseconds UTC."""
    given = parsed(RankIn, body, 'an object {"customer_id": …, "item_ids": […]}')
    items = frozenset(given.item_ids)
    limit = given.limit or len(items)
    return Ranking(asker_of(given, now), items, limit, frozenset(given.exclude), given.placement, filter_of(given))
