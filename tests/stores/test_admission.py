"""What no store can hold is refused, however the events are looked through."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.events import Event, EventKind
from recsys.errors import InputError
from recsys.stores import admission

TEXTS = st.sampled_from([None, None, "a", "", "\0", "a\0b", "\ud800", "é", "x" * 256, "x" * 257])
AMOUNTS = st.sampled_from([None, None, 1.0, -2.5, 1e308, float("inf"), float("-inf"), float("nan")])
WHOLES = st.sampled_from([None, None, 0, 5, -(2**63), 2**63 - 1, 2**63, -(2**63) - 1])
IDS = st.sampled_from(["a", "b", "x" * 256, "", "x" * 257, "\0"])
EVENTS = st.builds(
    Event,
    event_id=st.just("e") | IDS,
    customer_id=st.just("c") | IDS,
    kind=st.sampled_from([EventKind.VIEW, EventKind.SEARCH, EventKind.UNDO, EventKind.IMPRESSION]),
    item_id=st.just("i") | TEXTS,
    timestamp=WHOLES,
    position=WHOLES,
    quantity=st.just(1.0) | AMOUNTS.filter(lambda amount: amount is not None),
    price=AMOUNTS,
    currency=st.none() | TEXTS,
    rating=st.none() | AMOUNTS,
    session_id=st.none() | TEXTS,
    recommendation_id=st.none() | TEXTS,
    context=TEXTS | st.just('{"undoes": "e"}'),
)
FINE = st.builds(
    Event, event_id=st.just("e"), customer_id=st.just("c"), kind=st.just(EventKind.VIEW), item_id=st.just("i")
)


@settings(deadline=None, max_examples=300)
@given(events=st.lists(FINE | EVENTS, max_size=4))
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
    view = Event(event_id="e", customer_id="c", kind=EventKind.VIEW, item_id="i")
    full = view._replace(timestamp=5, position=-1, price=2.5, currency="EUR", rating=4.0, session_id="s", context="{}")
    search = view._replace(kind=EventKind.SEARCH, item_id=None)
    admission.check_events([view, full, search] * 33)


def verdict(events: list[Event]) -> str | None:
    """What `check_events` says."""
    try:
        admission.check_events(events)
    except InputError as error:
        return str(error)
    return None
