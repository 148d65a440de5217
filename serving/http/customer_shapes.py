"""The shapes of answers about customers, for the API's description; a test compares them with the real answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from serving.http.schemas import RefusalOut, Shape

_FACTS = (
    "What follows from what they did, as of `facts_as_of`; kept by `bookmatch customers refresh`. Null where nothing "
    "is kept; what is not known is left out."
)


class CustomerResult(Shape):
    """What became of one customer."""

    customer_id: str | None = Field(description="Null for a refused one that gave no proper id.")
    status: Literal["added", "changed", "unchanged", "refused"]
    error: RefusalOut | None = None


class CustomerResults(Shape):
    """One result per customer, in their order."""

    results: list[CustomerResult]


class ConsentOut(Shape):
    """The statement in force for one purpose."""

    granted: bool
    source: str
    stated_at: str | None


class StatementOut(ConsentOut):
    """One statement."""

    purpose: str


class TasteOut(Shape):
    """One item that speaks for others."""

    item_id: str
    strength: float = Field(description="How much it says, faded with time; compares only within one customer.")
    kind: str = Field(description="What the customer did with it that says most.")
    last: str | None = Field(description="When they last did anything with it, where that is known.")


class CustomerOut(Shape):
    """What is known of a customer."""

    customer_id: str
    account_id: str | None
    attributes: dict[str, Any] | None
    facts: dict[str, Any] | None = Field(description=_FACTS)
    visitors: list[str] = Field(description="Ids under which the customer was met before.")
    recommendations: bool
    consents: dict[str, ConsentOut] = Field(description="By purpose; what is not here was never said and is a no.")
    events: dict[str, int] = Field(description="How many of each kind, what was taken back included.")
    first: str | None
    last: str | None
    taste: list[TasteOut] = Field(description="What speaks for items, the strongest first; at most 50.")
    not_shown_again: int = Field(description="Items they had, judged or refused.")
    unknown_items: int = Field(description="Events on items that no model knows yet.")


class CustomersOut(Shape):
    """One entry per id, in their order."""

    customers: list[CustomerOut | None]


class ExportedEvent(Shape):
    """One event as it was posted; what was not said is left out."""

    event_id: str
    customer_id: str
    kind: str
    item_id: str | None = None
    timestamp: str | None = None
    position: int | None = None
    quantity: float | None = None
    price: float | None = None
    currency: str | None = None
    rating: float | None = None
    session_id: str | None = None
    recommendation_id: str | None = None
    context: dict[str, Any] | None = None


class ExportedExposure(Shape):
    """The customer was served an arm of an experiment; the first time of each day."""

    experiment: str
    arm: str
    customer_id: str
    at: str


class CustomerExport(Shape):
    """Everything that is stored of a customer."""

    customer_id: str
    account_id: str | None
    attributes: dict[str, Any] | None
    facts: dict[str, Any] | None = Field(description=_FACTS)
    visitors: list[str]
    recommendations: bool
    consents: list[StatementOut] = Field(description="Every statement ever made, in order of arrival.")
    events: list[ExportedEvent]
    exposures: list[ExportedExposure] = Field(description="Arms of experiments that the customer was served.")


class MergedOut(Shape):
    """Who is who."""

    customer_id: str
    visitor_id: str
    status: Literal["merged", "already_merged"]


class RemovedOut(Shape):
    """How much was removed."""

    events: int
    rows: int
    consents: int
    exposures: int = Field(description="Days on which they were served an arm of an experiment.")
    quarantined_rows: int
    cached_lists: int = Field(description="In a cache that outlives this process; memory is emptied everywhere.")


class ReceiptOut(Shape):
    """What the customer may be shown."""

    customer_ids: list[str]
    forgotten_at: str | None
    removed: RemovedOut
    kept: str
    receipt: str | None = Field(description="The same, signed with the store's secret.")


class ReceiptsOut(Shape):
    """One receipt per id, in their order; null for one who was not known."""

    receipts: list[ReceiptOut | None]
