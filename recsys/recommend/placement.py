"""A named spot in the shop and its policy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from recsys.data.events import EventKind
from recsys.errors import InputError
from recsys.models.blend import BlendWeights
from recsys.recommend.sources import ALS_SOURCE, CONTENT, ITEM_ITEM, POPULAR, REPEAT

NAMED_SOURCES = frozenset({ITEM_ITEM, ALS_SOURCE, CONTENT, REPEAT, POPULAR})
"""The sources that every bundle holds, whatever weight tuning gave them."""


class Fallback(StrEnum):
    """What a list is filled up with where the history does not say enough, in a placement's order."""

    POPULAR = "popular"
    RISING = "rising"
    NEW = "new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diversity:
    """At most so many items of a list agree in an attribute; items that do not have it are free.

    Attributes
    ----------
    by : the attribute: `author`, `category`, `series` or any other of the catalogue.
    at_most : 1 or more.
    """

    by: str
    at_most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What was shown and not clicked sinks.

    Attributes
    ----------
    after : so many impressions without a click are free, 0 or more.
    step : by so many places each further one sinks the item, 1 or more.
    days : impressions older than this are forgotten, 1 or more.
    """

    after: int
    step: int
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """An item at a fixed slot, as long as it may be shown to whoever asks.

    Attributes
    ----------
    item_id : which.
    slot : 1 is the first.
    starts, ends : milliseconds UTC between which it holds; None is always.
    """

    item_id: str
    slot: int
    starts: int | None = None
    ends: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Boost:
    """Items whose scores count more, or less.

    Attributes
    ----------
    where : a filter that says which.
    factor : 0.01 to 100; 2 doubles the score.
    starts, ends : as of a pin.
    """

    where: str
    factor: float
    starts: int | None = None
    ends: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """Slots for items of which too little is known.

    Attributes
    ----------
    share : of the slots of a list, above 0, at most 0.5.
    cost : of the purchases that the lists would bring without it, the most that it may cost, above 0.
    """

    share: float
    cost: float


@dataclass(frozen=True, slots=True)
class Placement:
    """What a spot shows.

    Attributes
    ----------
    name : as the storefront says it.
    mask_kinds : items with one of these events in the customer's history are not shown again.
    version : the policy's version, part of every cache key.
    sources : whose word counts here; None is all that tuning gave a weight.
    weights : how much each of `sources` counts, in any unit; None is as tuning says.
    fallback : what fills a list up, in this order; empty fills nothing up.
    where : a filter that every item has to pass, or None.
    only_again : whether the list is of what may be bought again and nothing else.
    minimum_relevance : items less likely than this are not shown; 0 shows all, and those of unknown relevance.
    diversity, rotation, pins, boosts, exploration : what happens to the ranked list.
    """

    name: str
    mask_kinds: frozenset[EventKind]
    version: int = 1
    sources: frozenset[str] | None = None
    weights: tuple[tuple[str, float], ...] | None = None
    fallback: tuple[Fallback, ...] = (Fallback.POPULAR,)
    where: str | None = None
    only_again: bool = False
    minimum_relevance: float = 0.0
    diversity: tuple[Diversity, ...] = ()
    rotation: Rotation | None = None
    pins: tuple[Pin, ...] = ()
    boosts: tuple[Boost, ...] = ()
    exploration: Exploration | None = None

    def __post_init__(self) -> None:
        if self.sources is not None and not self.sources <= NAMED_SOURCES:
            raise InputError(
                f"the placement {self.name} asks for the sources {', '.join(sorted(self.sources))}",
                expected=f"some of {', '.join(sorted(NAMED_SOURCES))}, which are in every bundle",
            )

    def blend(self, learned: BlendWeights) -> BlendWeights:
        """The weights of this spot: its own, or those that were learned, of its sources alone. Where none of these has
        a weight for some length of history they count the same. What may be bought again is put in order by how likely
        that is, unless sources are named."""
        if self.weights is not None:
            return BlendWeights.constant(dict(self.weights))
        named = self.sources or (frozenset({REPEAT}) if self.only_again else None)
        return learned if named is None else learned.only(named)

    def lists_as(self, other: Placement) -> bool:
        """Whether scores say what those of another one say: the same sources and weights, and the same items masked."""
        return (self.sources, self.weights, self.mask_kinds, self.only_again) == (
            other.sources, other.weights, other.mask_kinds, other.only_again
        )  # fmt: skip

    def repeats(self, bought: Iterable[EventKind]) -> bool:
        """Whether something that the customer has by one of these kinds of events may be shown again."""
        return not self.mask_kinds.issuperset(bought)


DEFAULT_PLACEMENT = Placement(
    name="default",
    mask_kinds=frozenset(
        {
            EventKind.PURCHASE,
            EventKind.RETURN,
            EventKind.OWN,
            EventKind.RATE,
            EventKind.REVIEW,
            EventKind.NOT_INTERESTED,
        }
    ),
)
"""Discovery: what the customer has had, judged or refused is not proposed again."""
