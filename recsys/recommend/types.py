"""Questions and answers: what is asked of a `Recommender` and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recsys.recommend.where import Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How many items are wanted, which, which not, and as of when.

    Attributes
    ----------
    limit : at most this many items, 1 or more.
    now : milliseconds UTC; decides which items are published and not expired.
    exclude : ids that must not be in the answer; unknown ids are fine.
    among : only these ids may be in the answer, and all of them are ranked; those that the models do not know are left
        out. None for all items.
    on_page : ids that the customer sees elsewhere on the same page: left out like those of `exclude`, and counted for
        themselves.
    where : what a filter lets through, in the positions of the items asked about; None where there is none.
    """

    limit: int
    now: int
    exclude: frozenset[str] = frozenset()
    among: frozenset[str] | None = None
    on_page: frozenset[str] = frozenset()
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One part of an item's score: the customer's `kind` of event on `item_id` contributed `share`.

    `item_id` is None for parts that come from no single item: kind `popular`, or `other` for the sum of small parts.
    """

    item_id: str | None
    kind: str
    share: float


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an item is there: a stable code and the evidence, largest share first; the shares sum to the score."""

    code: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One item of an answer.

    Attributes
    ----------
    score : descends within an answer and compares only within it.
    relevance : the probability, from 0 to 1, of what `Relevance` of the bundle says; None where it is not known.
    """

    item_id: str
    score: float
    relevance: float | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class Answer:
    """A list and what there is to say about it.

    Attributes
    ----------
    items : best first, no id twice.
    sources : the sources that contributed at least one item's score, by name.
    fallback : why the list is not personal (`unknown_customer`, `no_usable_history`, `nothing_left`); None when it is.
    masked : how many items of the catalogue, or of those that the request is about, each mask removed, by the mask's
        name.
    short : why there are fewer items than asked for, or None.
    """

    items: tuple[Recommendation, ...]
    sources: tuple[str, ...]
    fallback: str | None = None
    masked: Mapping[str, int] = field(default_factory=dict)
    short: str | None = None
