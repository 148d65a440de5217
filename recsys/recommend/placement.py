"""A named spot in the shop and its policy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from recsys.data.events import EventKind
from recsys.errors import InputError
from recsys.models.blend import BlendWeights
from recsys.recommend.sources import ALS_SOURCE, CONTENT, ITEM_ITEM, POPULAR, REPEAT

NAMED_SOURCES = frozenset({ITEM_ITEM, ALS_SOURCE, CONTENT, REPEAT, POPULAR})
"""The sources that every bundle holds, whatever weight tuning gave them."""


@dataclass(frozen=True, slots=True)
class Placement:
    """What a spot shows.

    Attributes
    ----------
    name : as the storefront says it.
    mask_kinds : items with one of these events in the customer's history are not shown again.
    version : the policy's version, part of every cache key.
    sources : whose word counts here; None is all that tuning gave a weight.
    """

    name: str
    mask_kinds: frozenset[EventKind]
    version: int = 1
    sources: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if self.sources is not None and not self.sources <= NAMED_SOURCES:
            raise InputError(
                f"the placement {self.name} asks for the sources {', '.join(sorted(self.sources))}",
                expected=f"some of {', '.join(sorted(NAMED_SOURCES))}, which are in every bundle",
            )

    def blend(self, learned: BlendWeights) -> BlendWeights:
        """The weights of this spot: those that were learned, or of the sources it asks for alone. Where none of these
        has a weight for some length of history they count the same."""
        return learned if self.sources is None else learned.only(self.sources)

    def lists_as(self, other: Placement) -> bool:
        """Whether its lists are those of another one: the same sources, and the same items masked."""
        return (self.sources, self.mask_kinds) == (other.sources, other.mask_kinds)

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
