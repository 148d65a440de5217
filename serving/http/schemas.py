"""The shapes of answers, for the API's description. The routes write JSON of these shapes; a test compares the two."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """Every shape says all that it holds."""

    model_config = ConfigDict(extra="forbid")


class EvidenceOut(Shape):
    """One part of an item's score."""

    item_id: str | None = Field(description="The item of the customer's history; null for parts that come from none.")
    kind: str = Field(
        description="What the customer did with it; `item`, `popular`, `rising`, `new`, `pinned`, `explore` or `other` "
        "where there is none."
    )
    share: float = Field(description="How much of the score it brought.")


class ReasonOut(Shape):
    """Why an item is there; the shares sum to the score."""

    code: str = Field(
        description="`history`, `related`, `popular`, `rising`, `new`, `pinned`, `explore`, `bought_before` or "
        "`recently_viewed`."
    )
    evidence: list[EvidenceOut]


class ItemOut(Shape):
    """One item of a list."""

    item_id: str
    score: float = Field(
        description="Compares only within a list, and descends, but for items that rules of the placement moved."
    )
    relevance: float | None = Field(
        ge=0,
        le=1,
        description="The probability of what `served_from.relevance` says; null where the shop's data cannot tell, and "
        "where no customer is asked about.",
    )
    reason: ReasonOut


class CacheOut(Shape):
    """What the cache did."""

    status: Literal["hit", "miss", "recomputed", "unavailable", "off"]
    age_s: float | None = Field(description="Seconds since the list was ranked, when it came from the cache.")
    trouble: str | None = Field(description="What is wrong with the cache.")


class ForeseenOut(Shape):
    """What relevance is the probability of: that the customer does one of `kinds` with the item within `days`."""

    kinds: list[str]
    days: int


class PlacementOut(Shape):
    """Whose policy made the list."""

    name: str
    version: int = Field(description="Of its policy: lists of equal versions were made by the same rules.")
    moved: dict[str, int] = Field(description="How many items each rule moved or kept out after they were ranked.")
    trouble: str | None = Field(description="Which rule could not be kept, and why.")


class ServedFrom(Shape):
    """How the list came about."""

    bundle: str = Field(description="The models that answered.")
    placement: PlacementOut | None = Field(description="Null for lists that have none.")
    sources: list[str] = Field(description="The sources that brought at least one score.")
    relevance: ForeseenOut | None = Field(description="What relevance means here; null where there is none.")
    fallback: str | None = Field(description="Why the list is not personal.")
    cache: CacheOut
    masked: dict[str, int] = Field(description="How many items each rule left out.")
    short: str | None = Field(description="Why there are fewer items than asked for.")
    degraded: str | None = Field(description="Why the answer may not know the latest.")
    propensities: list[float] | None = Field(
        description="How likely each item was to be in its slot, where chance had a part in it; `impression` quotes it."
    )


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
    """Why an entry was refused."""

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


class ItemResult(Shape):
    """What became of one item that was put or removed."""

    item_id: str | None = Field(description="Null for a refused entry that gave none.", examples=["emma"])
    status: Literal["created", "changed", "unchanged", "removed", "unknown", "refused"]
    error: RefusalOut | None = None


class ItemResults(Shape):
    """One result per entry, in their order."""

    results: list[ItemResult]


class ItemRowOut(Shape):
    """An item's row in the catalogue; null is not known."""

    title: str | None = Field(examples=["Emma"])
    author: str | None = Field(examples=["Jane Austen"])
    category: str | None = Field(examples=["novels"])
    price: float | None = Field(examples=[9.5])
    currency: str | None = Field(examples=["EUR"])
    available: bool | None
    published: str | int | None = Field(
        description="ISO 8601; whole milliseconds for a year that has no such text.", examples=["2026-03-01T00:00:00Z"]
    )
    expires: str | int | None = Field(description="As `published`.")
    attributes: dict[str, Any] | None = Field(examples=[{"pages": 474}])


class ItemRecord(Shape):
    """What is known of an item."""

    item_id: str = Field(examples=["emma"])
    row: ItemRowOut | None = Field(description="Null for an item that is known from events alone.")
    bundle: str | None = Field(description="The models in force; null while there are none.")
    known_to_bundle: bool = Field(description="Whether they know the item: only then it is in their lists.")
    showable: bool = Field(description="Whether it may be shown now.")
    hidden_because: Literal["unavailable", "not_yet_published", "expired", "not_in_model", "no_model"] | None
    detail: str | None = Field(description="The same for people.")


class ItemRecords(Shape):
    """What is known of several items."""

    items: list[ItemRecord]
    unknown: list[str]


class ProblemOut(Shape):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FaultOut]


class PageListOut(AnswerOut):
    """One list of a page."""

    name: str


class PageProblemOut(Shape):
    """A list that could not be made."""

    name: str
    problem: ProblemOut


class PageOut(Shape):
    """The lists of a page, in the order of the request."""

    lists: list[PageListOut | PageProblemOut]


class MemberOut(Shape):
    """A customer who would want an item."""

    customer_id: str
    score: float = Field(description="Of the item for this customer.")
    relevance: float | None = Field(description="As in a list of this customer's.")
    reason: ReasonOut


class AudienceOut(Shape):
    """Who would want an item."""

    customers: list[MemberOut]
    found: int = Field(
        description="How many of those looked at would want it; more than are listed where `limit` is less."
    )
    looked_at: int = Field(description="How many customers this call looked at.")
    consenting: int = Field(description="How many customers agreed to the purpose.")
    next: str | None = Field(description="Give it as `after` to go on; null when everybody was looked at.")
    relevance: ForeseenOut | None = Field(description="What relevance means here; null where there is none.")
    bundle: str = Field(description="The models that answered.")


class Health(Shape):
    """Whether the service is fit to answer; `reasons` says why not."""

    status: Literal["ok"]


class Readiness(Shape):
    """Whether requests may be sent."""

    status: Literal["ok"]
    trouble: list[str] = Field(description="What was published and is not in use, and why; empty when all is well.")
