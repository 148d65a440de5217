"""A named spot in the shop and its policy."""

from __future__ import annotations

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
