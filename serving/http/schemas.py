"""The shapes of answers, for the API's description. The routes write JSON of these shapes; a test compares the two."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """Every shape says all that it holds."""

    model_config = ConfigDict(extra="forbid")


class EvidenceOut(Shape):
    """One part of an item's score."""

    item_id: str | None = Field(description="The item of the customer's history; null for parts that come from none.")
    kind: str = Field(description="What the customer did with it; `item`, `popular` or `other` where there is none.")
    share: float = Field(description="How much of the score it brought.")


class ReasonOut(Shape):
    """Why an item is there; the shares sum to the score."""

    code: str = Field(description="`history`, `related` or `popular`.")
    evidence: list[EvidenceOut]


class ItemOut(Shape):
    """One item of a list."""

    item_id: str
    score: float = Field(description="Descends within a list and compares only within it.")
    reason: ReasonOut


class CacheOut(Shape):
    """What the cache did."""

    status: Literal["hit", "miss", "recomputed", "unavailable", "off"]
    age_s: float | None = Field(description="Seconds since the list was ranked, when it came from the cache.")
    trouble: str | None = Field(description="What is wrong with the cache.")


class ServedFrom(Shape):
    """How the list came about."""

    bundle: str = Field(description="The models that answered.")
    sources: list[str] = Field(description="The sources that brought at least one score.")
    fallback: str | None = Field(description="Why the list is not personal.")
    cache: CacheOut
    masked: dict[str, int] = Field(description="How many items each rule left out.")
    short: str | None = Field(description="Why there are fewer items than asked for.")
    degraded: str | None = Field(description="Why the answer may not know the latest.")


class AnswerOut(Shape):
    """A list of items."""

    items: list[ItemOut]
    served_from: ServedFrom
    recommendation_id: str | None = Field(
        description="Names this answer; send it back with events. Null only while the store was never reached."
    )


class FaultOut(Shape):
    """One thing that is wrong."""

    place: list[str | int]
    found: str
    expected: str


class RefusalOut(Shape):
    """Why an event was refused."""

    detail: str
    errors: list[FaultOut]


class EventResult(Shape):
    """What became of one event."""

    event_id: str | None = Field(description="Given or made; null for a refused event that gave none.")
    status: Literal["accepted", "duplicate", "refused"]
    error: RefusalOut | None = None


class EventResults(Shape):
    """One result per event, in their order."""

    results: list[EventResult]


class ProblemOut(Shape):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FaultOut]


class Health(Shape):
    """Whether the service is fit to answer; `reasons` says why not."""

    status: Literal["ok"]
