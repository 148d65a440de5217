"""Posted events: from parsed JSON to `Event`, or to what is wrong with each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NotRequired, get_type_hints

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    with_config,
)
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError
from pydantic_core.core_schema import custom_error_schema
from typing_extensions import TypedDict

from recsys.data.events import MAX_AMOUNT, MAX_ID_LENGTH, Event, EventKind
from recsys.stores.undo import undo_target
from serving.http.problems import Fault, invalid, shortened

MAX_EVENTS = 1_000
MAX_FUTURE_MS = 5 * 60 * 1_000
"""How far ahead a storefront's clock may be."""

MAX_CONTEXT_DEPTH = 32
MAX_SLOT = 10_000
MAX_ATTRIBUTES = 100_000
"""Bytes of the attributes of one customer or item, as JSON."""

_SECONDS_BELOW = 100_000_000_000
"""Whole numbers below this are seconds (until the year 5138), others milliseconds (from 1973 on)."""

_CONTROL = r"\x00-\x1f\x7f-\x9f"
"""Unicode's category Cc is just these."""

_FINE = rf"[^{_CONTROL}]*[^{_CONTROL}\s][^{_CONTROL}]*"
"""No control characters, and not only blanks. Python's expressions and Rust's, which pydantic uses, agree on it."""

_FINE_ID = re.compile(_FINE)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = "an ISO 8601 time with its zone (2026-03-01T12:00:00Z), or whole seconds or milliseconds since 1970"
_ID = f"a text of 1 to {MAX_ID_LENGTH} characters, not blank and without control characters"


def id_fault(text: str) -> str | None:
    """What is expected instead of this id, or None when it is fine."""
    return None if len(text) <= MAX_ID_LENGTH and _FINE_ID.fullmatch(text) else _ID


@dataclass(frozen=True, slots=True)
class _Says:
    """Replaces whatever pydantic finds wrong by one text, without leaving its compiled code."""

    text: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return custom_error_schema(handler(source), "id", custom_error_message=self.text)


def _milliseconds(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value * 1_000 if abs(value) < _SECONDS_BELOW else value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise PydanticCustomError("time", _TIME) from error
        if moment.tzinfo is not None:
            return (moment - _EPOCH) // timedelta(milliseconds=1)
    raise PydanticCustomError("time", _TIME)


def depth_fits(value: object, left: int = MAX_CONTEXT_DEPTH) -> bool:
    """Whether a parsed value is nested at most so many levels deep."""
    if not isinstance(value, dict | list):
        return True
    parts = value.values() if isinstance(value, dict) else value
    return left > 0 and all(depth_fits(part, left - 1) for part in parts)


def _object(value: object) -> object:
    if not isinstance(value, dict) or not depth_fits(value):
        raise PydanticCustomError("object", f"a JSON object at most {MAX_CONTEXT_DEPTH} levels deep")
    return value


def _small(value: dict[str, Any]) -> dict[str, Any]:
    if len(orjson.dumps(value)) > MAX_ATTRIBUTES:
        raise PydanticCustomError("attributes", f"at most {MAX_ATTRIBUTES:,} bytes of JSON")
    return value


ID_SHAPE: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_ID_LENGTH,
    "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$",
}
"""What an id looks like, for the API's description."""

Id = Annotated[
    str,
    Field(strict=True, max_length=MAX_ID_LENGTH, pattern=f"^{_FINE}$"),
    _Says(_ID),
    WithJsonSchema(ID_SHAPE),
]
Time = Annotated[
    int,
    BeforeValidator(_milliseconds),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer"}]}),
]
Amount = Annotated[float, Field(allow_inf_nan=False, ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
Currency = Annotated[str, Field(pattern="^[A-Za-z]{3}$")]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_object, json_schema_input_type=dict[str, Any])]
Attributes = Annotated[JsonObject, AfterValidator(_small)]


class EventIn(BaseModel):
    """One event as it is posted. Only `customer_id` and `kind` are always needed; `item_id` by most kinds."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Event")

    event_id: Id | None = Field(None, description="Unique for ever; absent: one is made and returned.")
    customer_id: Id
    kind: Annotated[EventKind, Field(strict=False)]
    item_id: Id | None = Field(
        None, description="Needed by every kind but searches, undos, e-mail and (un)subscribing."
    )
    timestamp: Time | None = Field(None, description=f"{_TIME}. Absent: the time of receipt.")
    position: Annotated[int, Field(gt=-(2**63), lt=2**63)] | None = Field(
        None, description="The event's place in the customer's order; larger is later."
    )
    quantity: Annotated[Amount, Field(gt=0)] | None = Field(None, description="Pieces; 1 unless given.")
    price: Annotated[Amount, Field(ge=0)] | None = Field(None, description="Per piece, in `currency`.")
    currency: Currency | None = Field(None, description="ISO 4217.")
    rating: Amount | None = None
    session_id: Id | None = None
    recommendation_id: Annotated[str, Field(min_length=1, max_length=1_024, pattern=r"^[\x21-\x7e]+$")] | None = Field(
        None, description="Of the answer that led here."
    )
    context: JsonObject | None = Field(
        None,
        description='Anything else. An undo names the event it takes back: {"undoes": "<event_id>"}. An impression '
        'says where the item was seen and how likely it was to be there: {"slot": 3, "propensity": 0.1}.',
    )


def _plainly(shape: type[BaseModel]) -> Any:
    """The same fields as a dictionary: validated by the same code, in half the time of making an object of each."""
    hints = get_type_hints(shape, include_extras=True)
    fields = {
        name: hints[name] if field.is_required() else NotRequired[hints[name]]
        for name, field in shape.model_fields.items()
    }
    return with_config(shape.model_config)(TypedDict(shape.__name__, fields))  # type: ignore[operator]


_Given = Mapping[str, Any]
"""A valid event: the fields that were given."""

_ONE: TypeAdapter[_Given] = TypeAdapter(_plainly(EventIn))
_ALL: TypeAdapter[Sequence[_Given]] = TypeAdapter(list[_plainly(EventIn)])  # type: ignore[arg-type, misc]

_TEXTS: dict[str | int | None, str] = {
    "currency": "three letters such as EUR",
    "recommendation_id": "1 to 1,024 printable ASCII characters without spaces",
    **dict.fromkeys(("title", "author", "category"), "a text of 1 to 2,000 characters, none of them NUL"),
}
"""What fields should hold of which a pattern says too little to people."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One of many that is not stored: the id it gave itself, if it is one, and what is wrong."""

    identifier: str | None
    faults: tuple[Fault, ...]


def parse_events(body: object, now: int, new_id: Callable[[], str]) -> list[Event | Refused]:
    """The events of a request's body, each for itself. Raises Problem (422) when the body is not a list of events.

    Parameters
    ----------
    now : the time of receipt, milliseconds UTC.
    new_id : makes ids for events without one.
    """
    entries = entries_of(body, "events", MAX_EVENTS)
    fitting: Sequence[_Given | Refused]
    try:
        # All in one call, which takes half the time. What is wrong with which is asked only if something is.
        fitting = _ALL.validate_python(entries)
    except ValidationError:
        fitting = [_fitting(entry, index) for index, entry in enumerate(entries)]
    return [
        given if isinstance(given, Refused) else _event(given, index, now, new_id)
        for index, given in enumerate(fitting)
    ]


def entries_of(body: object, field: str, most: int) -> Sequence[object]:
    """The list of 1 to `most` entries that a body consists of. Raises Problem (422) when it is anything else."""
    noun = field.replace("_", " ")
    if not isinstance(body, dict):
        raise invalid([Fault(("body",), shortened(body), f'an object {{"{field}": […]}}')])
    faults = [Fault(("body", _name(name)), "an unknown field", f"only `{field}`") for name in body if name != field]
    entries = body.get(field)
    if not isinstance(entries, list):
        found = shortened(entries) if field in body else "nothing"
        faults.append(Fault(("body", field), found, f"a list of 1 to {most:,} {noun}"))
    elif not 1 <= len(entries) <= most:
        faults.append(Fault(("body", field), f"{len(entries)} {noun}", f"1 to {most:,} {noun}"))
    if faults or not isinstance(entries, list):
        raise invalid(faults)
    return entries


def _fitting(entry: object, index: int) -> _Given | Refused:
    """One event by itself, as far as each of its fields says."""
    place = ("body", "events", index)
    if not isinstance(entry, dict):
        return Refused(None, (Fault(place, shortened(entry), "an object"),))
    try:
        return _ONE.validate_python(entry)
    except ValidationError as error:
        return Refused(
            given_id(entry, "event_id"), tuple(fault_of(place, detail) for detail in error.errors(include_url=False))
        )


def _event(given: _Given, index: int, now: int, new_id: Callable[[], str]) -> Event | Refused:
    fields = {"timestamp": now, **given}
    if None in given.values():
        # Said to be nothing is not said.
        fields = {"timestamp": now} | {name: value for name, value in given.items() if value is not None}
    if "event_id" not in fields:
        fields["event_id"] = new_id()
    context = fields.get("context")
    if context is not None:
        fields["context"] = orjson.dumps(context).decode()
    event = Event(**fields)
    faults = _faults_between_fields(event, now, index)
    if context is not None and event.kind is EventKind.IMPRESSION:
        faults += _faults_of_seen(("body", "events", index, "context"), context)
    return Refused(given.get("event_id"), tuple(faults)) if faults else event


def _faults_between_fields(event: Event, now: int, index: int) -> list[Fault]:
    assert event.timestamp is not None  # noqa: S101 - the time of receipt stands for one that is not given
    faults = []
    if event.item_id is None and event.kind.needs_item:
        faults.append(("item_id", "nothing", f"the id of an item, as the kind is {event.kind}"))
    if not 0 <= event.timestamp <= now + MAX_FUTURE_MS:
        when = "before 1970" if event.timestamp < 0 else "in the future"
        faults.append(("timestamp", f"a time {when}", "a time from 1970 to at most 5 minutes after this moment"))
    if event.kind is EventKind.UNDO and undo_target(event.context) is None:
        faults.append(("context", "no event to undo", '{"undoes": "<event_id>"}'))
    if not faults:
        return []
    return [Fault(("body", "events", index, name), found, expected) for name, found, expected in faults]


def _faults_of_seen(place: tuple[str | int, ...], context: Mapping[str, object]) -> list[Fault]:
    """What an impression may say of the item that was seen: in which slot, and how likely it was there."""
    faults = []
    slot, propensity = context.get("slot", 1), context.get("propensity", 1.0)
    if not isinstance(slot, int) or isinstance(slot, bool) or not 1 <= slot <= MAX_SLOT:
        faults.append(Fault((*place, "slot"), shortened(slot), f"a whole number from 1, the first, to {MAX_SLOT:,}"))
    if not isinstance(propensity, int | float) or isinstance(propensity, bool) or not 0 < propensity <= 1:
        faults.append(
            Fault((*place, "propensity"), shortened(propensity), "above 0, at most 1, as the answer said of the item")
        )
    return faults


def given_id(entry: Mapping[str, object], field: str) -> str | None:
    """The id that an entry gives itself, if it is one."""
    given = entry.get(field)
    return given if isinstance(given, str) and id_fault(given) is None else None


def _name(key: object, limit: int = 80) -> str:
    """A field's name from outside, of bounded length."""
    text = str(key)
    return text if len(text) <= limit else f"{text[:limit]}…"


def fault_of(place: tuple[str | int, ...], detail: ErrorDetails, shape: type[BaseModel] = EventIn) -> Fault:
    """One of pydantic's findings in our words."""
    where = (*place, *(part if isinstance(part, int) else _name(part) for part in detail["loc"]))
    if detail["type"] == "extra_forbidden":
        return Fault(where, "an unknown field", f"one of {', '.join(shape.model_fields)}")
    if detail["type"] == "missing":
        return Fault(where, "nothing", "a value: this field is always needed")
    field = detail["loc"][-1] if detail["loc"] else None
    expected = _TEXTS.get(field) or detail["msg"].removeprefix("Input should be ")
    return Fault(where, shortened(detail["input"]), expected)
