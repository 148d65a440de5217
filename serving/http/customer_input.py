"""What a shop says of a customer, and what the customer said: from parsed JSON to rows and statements, or to what is
wrong with each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from recsys.data.profile import MAX_SOURCE_LENGTH, PURPOSE, Consent, is_purpose
from recsys.stores.admission import storable
from serving.http.event_input import (
    MAX_FUTURE_MS,
    Attributes,
    Id,
    Refused,
    Time,
    entries_of,
    fault_of,
    given_id,
    id_fault,
)
from serving.http.problems import Fault, invalid, shortened
from serving.http.session_input import parsed

MAX_CUSTOMERS = 1_000
MAX_FORGOTTEN = 100
MAX_PURPOSES = 100


def _purpose(value: str) -> str:
    if not is_purpose(value):
        raise PydanticCustomError("purpose", PURPOSE)
    return value


Purpose = Annotated[str, AfterValidator(_purpose)]


class ConsentIn(BaseModel):
    """One yes or no."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Consent")

    granted: bool
    source: Annotated[str, Field(min_length=1, max_length=MAX_SOURCE_LENGTH)] = Field(
        description="Where it was said: a form, a letter, the counter."
    )
    stated_at: Time | None = Field(
        None,
        description="When; absent: now. Of several statements the latest counts; a yes after a no has to say when.",
    )


class CustomerIn(BaseModel):
    """One customer. `account_id` and `attributes` take the place of what was there; `recommendations` and `consents`
    change only where they are given, so that no refusal is lost by a change of address."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Customer")

    account_id: Id | None = Field(None, description="The household or company that several customers share.")
    attributes: Attributes | None = Field(None, description="Anything else, as an object.")
    recommendations: bool | None = Field(
        None,
        description="False: personal lists are not wanted. Lists are then of popular items, without what the customer "
        "said `not_interested` or `own` of.",
    )
    consents: Annotated[dict[Purpose, ConsentIn], Field(max_length=MAX_PURPOSES)] = Field(
        {}, description=f"By purpose: {PURPOSE}. What was never said is a no."
    )


class CustomerEntryIn(CustomerIn):
    """One of many customers."""

    model_config = ConfigDict(extra="forbid", strict=True, title="CustomerEntry")

    customer_id: Id


class MergeIn(BaseModel):
    """Who the customer was before the login."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Merge")

    visitor_id: Id


@dataclass(frozen=True, slots=True)
class CustomerPut:
    """A customer that fits.

    Attributes
    ----------
    attributes : JSON, or None.
    undated : the purposes of consents that do not say when they were given.
    """

    customer_id: str
    account_id: str | None
    attributes: str | None
    recommendations: bool | None
    consents: tuple[Consent, ...]
    undated: frozenset[str] = frozenset()


def parse_customer(body: object, customer_id: str, now: int) -> CustomerPut:
    """The customer in a request's body. Raises Problem (422) with every fault; `now` in milliseconds UTC."""
    if not isinstance(body, dict):
        raise invalid([Fault(("body",), shortened(body), "an object")])
    found = _parsed(body, ("body",), now, CustomerIn, customer_id)
    if isinstance(found, Refused):
        raise invalid(found.faults)
    return found


def parse_customers(body: object, now: int) -> list[CustomerPut | Refused]:
    """The customers of a request's body, each for itself. Raises Problem (422) when it is not a list of them."""
    entries = entries_of(body, "customers", MAX_CUSTOMERS)
    return [_parsed(entry, ("body", "customers", index), now, CustomerEntryIn) for index, entry in enumerate(entries)]


def parse_ids(body: object, field: str, most: int) -> list[str]:
    """A list of ids in a request's body. Raises Problem (422) with every fault."""
    entries = entries_of(body, field, most)
    faults = [
        Fault(("body", field, index), shortened(entry), expected)
        for index, entry in enumerate(entries)
        if (expected := id_fault(entry) if isinstance(entry, str) else "a text") is not None
    ]
    if faults:
        raise invalid(faults)
    return list(dict.fromkeys(str(entry) for entry in entries))


def parse_merge(body: object) -> str:
    """The visitor that a request's body names. Raises Problem (422)."""
    return parsed(MergeIn, body, 'an object {"visitor_id": "…"}').visitor_id


def _parsed(
    entry: object, place: tuple[str | int, ...], now: int, shape: type[CustomerIn], customer_id: str | None = None
) -> CustomerPut | Refused:
    if not isinstance(entry, dict):
        return Refused(None, (Fault(place, shortened(entry), "an object"),))
    own = customer_id or given_id(entry, "customer_id")
    try:
        given = shape.model_validate(entry)
    except ValidationError as error:
        return Refused(own, tuple(_fault(place, detail, shape) for detail in error.errors(include_url=False)))
    consents = tuple(
        Consent(purpose, said.granted, said.source, now if said.stated_at is None else said.stated_at)
        for purpose, said in given.consents.items()
    )
    faults = tuple(
        Fault((*place, "consents", each.purpose, "stated_at"), "a time outside", "a time from 1970 to this moment")
        for each in consents
        if not 0 <= each.stated <= now + MAX_FUTURE_MS
    )
    faults += tuple(
        Fault((*place, "consents", each.purpose, "source"), "a NUL", "a text without NUL")
        for each in consents
        if not storable(each.source)
    )
    if faults or own is None:
        return Refused(own, faults)
    attributes = None if given.attributes is None else orjson.dumps(given.attributes).decode()
    undated = frozenset(name for name, said in given.consents.items() if said.granted and said.stated_at is None)
    return CustomerPut(own, given.account_id, attributes, given.recommendations, consents, undated)


def _fault(place: tuple[str | int, ...], detail: Any, shape: type[BaseModel]) -> Fault:
    inside = len(detail["loc"]) > 1 and detail["loc"][0] == "consents" and detail["loc"][-1] != "[key]"
    return fault_of(place, detail, ConsentIn if inside else shape)
