"""Who asks, in a request's body: a customer by id, or somebody who is only known by what they did just now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from recsys.data.history import StoredHistory
from serving.http.event_input import Id
from serving.http.problems import Fault, invalid
from serving.http.session_input import MAX_EXCLUDED, MAX_SESSION_EVENTS, SessionEventIn, history_of


class AskerIn(BaseModel):
    """Whom lists are for: one of the two, or neither, then nothing is known of whoever asks; and what is in none."""

    model_config = ConfigDict(extra="forbid", strict=True)

    customer_id: Id | None = Field(None, description="Whom it is for; not together with `events`.")
    events: Annotated[list[SessionEventIn], Field(max_length=MAX_SESSION_EVENTS)] | None = Field(
        None, description="A session or a cart instead, oldest first. Nothing of it is stored."
    )
    exclude: Annotated[list[Id], Field(max_length=MAX_EXCLUDED)] = Field(
        [], description="Items that must not be in any list; unknown ones are fine."
    )


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: the customer, or else what is known of the session."""

    customer_id: str | None
    session: StoredHistory


def asker_of(given: AskerIn, now: int) -> Asker:
    """Who asks. Raises Problem (422) for both at once and for events that do not fit; `now` in milliseconds UTC."""
    if given.customer_id is not None and given.events is not None:
        raise invalid([Fault(("body", "events"), "events beside a customer_id", "one of the two")])
    return Asker(given.customer_id, history_of(given.events or (), now))
