"""What is known of somebody without an id: the events of a session or the items of a cart, in a request's body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from recsys.data.events import EventKind
from recsys.data.history import StoredHistory
from recsys.data.packed import HistoryRow
from serving.http.event_input import MAX_FUTURE_MS, Amount, Id, Time, fault_of
from serving.http.filter_input import FilterIn, filter_of
from serving.http.filtering import FilterAsked
from serving.http.parameters import DEFAULT, DEFAULT_LIMIT, MAX_LIMIT, PLACEMENT_NAME
from serving.http.problems import Fault, invalid, shortened

Shape = TypeVar("Shape", bound=BaseModel)

MAX_SESSION_EVENTS = 500
MAX_EXCLUDED = 1_000

PlacementIn = Annotated[
    str, Field(pattern=f"^{PLACEMENT_NAME}$", description="The spot that the list is for; `default` unless given.")
]


class SessionEventIn(BaseModel):
    """One thing that somebody did, on an item."""

    model_config = ConfigDict(extra="forbid", strict=True, title="SessionEvent")

    item_id: Id
    kind: Annotated[EventKind, Field(strict=False, description="`view` unless given.")] = EventKind.VIEW
    timestamp: Time | None = Field(None, description="Where one event has none, the order of the list counts for all.")
    quantity: Annotated[Amount, Field(gt=0)] | None = Field(None, description="Pieces; 1 unless given.")
    rating: Amount | None = None


class SessionIn(FilterIn):
    """A session or a cart, oldest first, and what is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Session")

    events: Annotated[list[SessionEventIn], Field(max_length=MAX_SESSION_EVENTS)] = Field([])
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    placement: PlacementIn = DEFAULT
    exclude: Annotated[list[Id], Field(max_length=MAX_EXCLUDED)] = Field(
        [], description="Items that must not be in the list; unknown ones are fine."
    )


@dataclass(frozen=True, slots=True)
class Session:
    """A session that fits.

    Attributes
    ----------
    history : as a store would tell it, version 0 without events.
    exclude : ids.
    placement : the spot's name.
    filtered : what items have to pass, or None.
    """

    history: StoredHistory
    limit: int
    exclude: frozenset[str]
    placement: str = DEFAULT
    filtered: FilterAsked | None = None


def parse_session(body: object, now: int) -> Session:
    """The session in a request's body. Raises Problem (422) with every fault; `now` in milliseconds UTC."""
    given = parsed(SessionIn, body, 'an object {"events": […]}')
    history = history_of(given.events, now)
    return Session(history, given.limit, frozenset(given.exclude), given.placement, filter_of(given))


def parsed(
    shape: type[Shape],
    body: object,
    expected: str,
    fault: Callable[[type[Shape], ErrorDetails], Fault] | None = None,
) -> Shape:
    """A body of this shape. Raises Problem (422) with every fault.

    Parameters
    ----------
    expected : instead of what is no object.
    fault : says a finding in our words; as for a shape with `events` unless given.
    """
    in_words = fault or fault_beside_events
    if not isinstance(body, dict):
        raise invalid([Fault(("body",), shortened(body), expected)])
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        raise invalid([in_words(shape, detail) for detail in error.errors(include_url=False)]) from error


def history_of(events: Sequence[SessionEventIn], now: int) -> StoredHistory:
    """Events as a store would tell them, version 0 where there are none. Raises Problem (422) with every fault."""
    faults = []
    for index, event in enumerate(events):
        if not event.kind.needs_item:
            expected = "a kind of event on an item"
            faults.append(Fault(("body", "events", index, "kind"), str(event.kind), expected))
        if event.timestamp is not None and not 0 <= event.timestamp <= now + MAX_FUTURE_MS:
            expected = "a time from 1970 to at most 5 minutes after this moment"
            faults.append(Fault(("body", "events", index, "timestamp"), shortened(event.timestamp), expected))
    if faults:
        raise invalid(faults)
    timed = all(event.timestamp is not None for event in events)
    rows = [
        HistoryRow(
            event.item_id,
            event.kind.code,
            event.timestamp if timed else None,
            None if timed else index,
            1.0 if event.quantity is None else event.quantity,
            event.rating,
        )
        for index, event in enumerate(events)
    ]
    if timed:
        rows.sort(key=lambda row: row.timestamp or 0)
    return StoredHistory.of(min(len(rows), 1), rows)


def fault_beside_events(shape: type[BaseModel], detail: ErrorDetails) -> Fault:
    """One of pydantic's findings in a body of this shape, which may have `events`."""
    loc = detail["loc"]
    return fault_of(("body",), detail, SessionEventIn if len(loc) > 1 and loc[0] == "events" else shape)
