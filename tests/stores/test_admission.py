"""What no store can hold is refused, however the events are looked through."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.events import Event, EventKind
from recsys.errors import InputError
from recsys.stores import admission

GOOD = Event(event_id="e", customer_id="c", kind=EventKind.VIEW, item_id="i")
IDS = ("b", "x" * 256, "x" * 257, "", "\0")
TEXTS = (None, "a", "a\0b", "\ud800", "é")
AMOUNTS = (None, 1.0, -2.5, 1e308, float("inf"), float("-inf"), float("nan"))
WHOLES = (None, 0, -(2**63), 2**63 - 1, 2**63, -(2**63) - 1)
VALUES: dict[str, tuple[object, ...]] = {
    "event_id": IDS,
    "customer_id": IDS,
    "kind": (EventKind.SEARCH, EventKind.UNDO, EventKind.IMPRESSION),
    "item_id": (*IDS, None),
    "timestamp": WHOLES,
    "position": WHOLES,
    "quantity": AMOUNTS[1:],
    "price": AMOUNTS,
    "currency": TEXTS,
    "rating": AMOUNTS,
    "session_id": TEXTS,
    "recommendation_id": TEXTS,
    "context": (*TEXTS, '{"undoes": "e"}'),
}
ONE_STRANGE_FIELD = [GOOD._replace(**{field: value}) for field, values in VALUES.items() for value in values]
MANY_STRANGE_FIELDS = st.builds(Event, **{field: st.sampled_from(values) for field, values in VALUES.items()})


@pytest.mark.parametrize("event", ONE_STRANGE_FIELD, ids=ascii)
def test_one_strange_field_among_good_events_is_found(event: Event) -> None:
    """Looking at all events at once lets through what looking at each lets through, and nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(admission, "_all_fit", lambda _: False)
        expected = verdict([GOOD, event, GOOD])
    assert verdict([GOOD, event, GOOD]) == expected


@settings(deadline=None)
@given(events=st.lists(st.sampled_from(ONE_STRANGE_FIELD) | MANY_STRANGE_FIELDS, max_size=4))
def test_looking_at_all_events_at_once_finds_what_looking_at_each_finds(events: list[Event]) -> None:
    """The same verdict, and the same words."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(admission, "_all_fit", lambda _: False)
        expected = verdict(events)
    assert verdict(events) == expected


def test_good_events_are_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred ordinary events, some with everything set, pass in one look."""

    def one_by_one(event: Event, where: str) -> None:
        raise AssertionError(where)

    monkeypatch.setattr(admission, "_check_texts", one_by_one)
    full = GOOD._replace(timestamp=5, position=-1, price=2.5, currency="EUR", rating=4.0, session_id="s", context="{}")
    search = GOOD._replace(kind=EventKind.SEARCH, item_id=None)
    admission.check_events([GOOD, full, search] * 33)


def verdict(events: list[Event]) -> str | None:
    """What `check_events` says."""
    try:
        admission.check_events(events)
    except InputError as error:
        return str(error)
    return None
