"""What customers do: the kinds of events, one event, and the columns a frame of events has."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import polars as pl

MAX_ID_LENGTH = 256
"""Ids of customers, items and events are strings of 1 to this many characters."""


class EventKind(StrEnum):
    """One value per kind of event; the text is what files and requests say."""

    VIEW = "view"
    SEARCH = "search"
    ADD_TO_CART = "add_to_cart"
    REMOVE_FROM_CART = "remove_from_cart"
    PURCHASE = "purchase"
    RETURN = "return"
    RATE = "rate"
    REVIEW = "review"
    OWN = "own"
    LIKE = "like"
    ADD_TO_LIST = "add_to_list"
    SHARE = "share"
    NOT_INTERESTED = "not_interested"
    IGNORE_FOR_RECOMMENDATIONS = "ignore_for_recommendations"
    UNDO = "undo"
    IMPRESSION = "impression"
    CLICK = "click"
    EMAIL_SENT = "email_sent"
    EMAIL_OPEN = "email_open"
    EMAIL_CLICK = "email_click"
    EMAIL_BOUNCE = "email_bounce"
    COMPLAINT = "complaint"
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"

    @property
    def code(self) -> int:
        """The kind as a small integer, as stores and arrays hold it. Codes never change and are never reused."""
        return KIND_CODES[self]

    @property
    def needs_item(self) -> bool:
        """Whether an event of this kind must name an item."""
        return self not in KINDS_WITHOUT_ITEM

    @property
    def is_exposure(self) -> bool:
        """Whether the kind says what the shop did or what the mail system saw, not what the customer wants.

        Exposures are kept beside the history and do not change a customer's history version.
        """
        return self in EXPOSURE_KINDS


KIND_CODES: dict[EventKind, int] = {kind: code for code, kind in enumerate(EventKind, start=1)}
KIND_BY_CODE: dict[int, EventKind] = {code: kind for kind, code in KIND_CODES.items()}

EXPOSURE_KINDS = frozenset(
    {
        EventKind.IMPRESSION,
        EventKind.EMAIL_SENT,
        EventKind.EMAIL_OPEN,
        EventKind.EMAIL_BOUNCE,
        EventKind.COMPLAINT,
        EventKind.SUBSCRIBE,
        EventKind.UNSUBSCRIBE,
    }
)
KINDS_WITHOUT_ITEM = frozenset(
    {
        EventKind.SEARCH,
        EventKind.UNDO,
        EventKind.EMAIL_SENT,
        EventKind.EMAIL_OPEN,
        EventKind.EMAIL_CLICK,
        EventKind.EMAIL_BOUNCE,
        EventKind.COMPLAINT,
        EventKind.SUBSCRIBE,
        EventKind.UNSUBSCRIBE,
    }
)


MAX_AMOUNT = 1e15
"""The largest quantity, price or rating, either sign: none is larger in earnest, and models count in single precision,
where a number beyond 3.4e38 is infinite."""


class Event(NamedTuple):
    """One thing a customer did. A tuple, as one is made for every event that is posted: name its fields all the same.

    Attributes
    ----------
    event_id : unique over the whole store; an event with an id already there is a duplicate and changes nothing.
    customer_id, item_id : strings of 1 to 256 characters; `item_id` is None only for kinds that need none.
    timestamp : milliseconds since 1970-01-01 UTC; None when unknown.
    position : the event's place in the customer's order, larger is later, equal is one unordered basket; None when
        unknown.
    quantity : pieces, above 0; a return has its own kind, not a negative quantity.
    price : per piece, in `currency`.
    rating : on the shop's own scale.
    recommendation_id : the answer that led here.
    context : a JSON object as text. An `undo` names the event it takes back here: `{"undoes": "<event_id>"}`.
    """

    event_id: str
    customer_id: str
    kind: EventKind
    item_id: str | None = None
    timestamp: int | None = None
    position: int | None = None
    quantity: float = 1.0
    price: float | None = None
    currency: str | None = None
    rating: float | None = None
    session_id: str | None = None
    recommendation_id: str | None = None
    context: str | None = None


EVENT_SCHEMA: dict[str, pl.DataType] = {
    "event_id": pl.String(),
    "customer_id": pl.String(),
    "item_id": pl.String(),
    "kind": pl.String(),
    "timestamp": pl.Int64(),
    "position": pl.Int64(),
    "quantity": pl.Float64(),
    "price": pl.Float64(),
    "currency": pl.String(),
    "rating": pl.Float64(),
    "session_id": pl.String(),
    "recommendation_id": pl.String(),
    "context": pl.String(),
}
"""A frame of events: these columns, in this order, one row per event, checked; `timestamp` in milliseconds UTC."""
