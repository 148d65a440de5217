"""A named spot in the shop and its policy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from recsys.data.events import EventKind


@dataclass(frozen=True, slots=True)
class Placement:
    """What a spot shows.

    Attributes
    ----------
    name : as the storefront says it.
    mask_kinds : items with one of these events in the customer's history are not shown again.
    version : the policy's version, part of every cache key.
    """

    name: str
    mask_kinds: frozenset[EventKind]
    version: int = 1

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
