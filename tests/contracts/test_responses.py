"""What every store says of items that were shown, sentence by sentence of `EventStore.responses`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.events import Event, EventKind
from recsys.stores.protocols import RESPONSE_SCHEMA, Responses, Store
from tests.contracts.plain_store import OpenStore, PlainStore, event_frame, undo

CUSTOMERS = ("ann", "bob", "visitor")
NAMES = {EventKind.IMPRESSION: "impressions", EventKind.CLICK: "clicks", EventKind.PURCHASE: "purchases"}
TIMES = (None, 1 - 2**63, 1, 2, 5, 9, 2**63 - 1)


def event(number: int, kind: EventKind, item: str = "book", at: int | None = 1, customer: str = "ann") -> Event:
    """Something about an item."""
    return Event(event_id=f"e{number}", customer_id=customer, kind=kind, item_id=item, timestamp=at)


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Few customers, items and times, so that most responses follow something."""
    number = draw(st.integers(0, 15))
    customer = draw(st.sampled_from(CUSTOMERS))
    if draw(st.integers(0, 4)) == 0:
        return undo(f"e{number}", f"e{draw(st.integers(0, 15))}", customer)
    kind = draw(st.sampled_from([*NAMES, *NAMES, EventKind.VIEW]))
    return event(number, kind, draw(st.sampled_from(["a", "b"])), draw(st.sampled_from(TIMES)), customer)


def counted(
    stored: Sequence[Event], gone: set[str], after: int, since: int, within: int, person: dict[str, str]
) -> dict[str, Counter[str]]:
    """The same from a plain list, of which the first `after` events were read before."""

    def followed(one: Event) -> bool:
        assert one.timestamp is not None
        return any(
            shown.kind is EventKind.IMPRESSION
            and (shown.item_id, person.get(shown.customer_id, shown.customer_id))
            == (one.item_id, person.get(one.customer_id, one.customer_id))
            and shown.timestamp is not None
            and 0 <= one.timestamp - shown.timestamp <= within
            and shown.event_id not in gone
            for shown in stored
        )

    found: dict[str, Counter[str]] = {}
    for one in stored[after:]:
        if one.kind not in NAMES or one.timestamp is None or one.timestamp < since or one.event_id in gone:
            continue
        if one.kind is EventKind.IMPRESSION or followed(one):
            assert one.item_id is not None
            found.setdefault(one.item_id, Counter())[NAMES[one.kind]] += 1
    return found


def as_counts(read: Responses) -> dict[str, Counter[str]]:
    """What was read, as `counted` gives it."""
    assert read.items.schema == RESPONSE_SCHEMA
    assert read.items["item_id"].is_sorted()
    return {row.pop("item_id"): +Counter(row) for row in read.items.iter_rows(named=True)}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    writes=st.lists(st.tuples(st.booleans(), st.lists(events(), max_size=8)), min_size=1, max_size=4),
    merged=st.booleans(),
    since=st.sampled_from([-(2**63), 0, 2]),
    within=st.integers(0, 4),
)
def test_responses_are_those_of_a_plain_list(
    fresh: Callable[[], AbstractContextManager[OpenStore]],
    writes: list[tuple[bool, list[Event]]],
    merged: bool,
    since: int,
    within: int,
) -> None:
    """Whole, or from where an earlier reading ended, with undone events and merged visitors."""
    plain, person = PlainStore(), {"visitor": "ann"} if merged else {}
    with fresh() as opened:
        store = opened()
        if merged:
            store.profiles.merge("visitor", "ann", 0)
        ends = [(0, 0)]
        for live, batch in writes:
            plain.append(batch)
            if live:
                store.events.append(batch)
            else:
                store.events.ingest(event_frame(batch))
            gone = undone(plain, person)
            for last, length in ends:
                read = store.events.responses(last, since, within)
                assert as_counts(read) == counted(plain.events, gone, length, since, within, person)
            ends.append((read.last, len(plain.events)))


def undone(plain: PlainStore, person: dict[str, str]) -> set[str]:
    """The ids of what was taken back; a merged visitor takes back the customer's events, too."""
    whole = PlainStore()
    whole.events = [e._replace(customer_id=person.get(e.customer_id, e.customer_id)) for e in plain.events]
    own = {e.event_id: e.customer_id for e in whole.events}
    return {target for c in CUSTOMERS for target in whole.undone(c) if own.get(target) == c}


def test_what_follows_counts_within_its_time(store: Store) -> None:
    """A click counts up to the last moment, a purchase a moment later does not, nor one before the impression."""
    store.events.append([event(1, EventKind.IMPRESSION, at=100), event(2, EventKind.CLICK, at=110)])
    store.events.append([event(3, EventKind.PURCHASE, at=111), event(4, EventKind.PURCHASE, at=99)])
    assert as_counts(store.events.responses(0, 0, 10)) == {"book": Counter(impressions=1, clicks=1)}
    assert as_counts(store.events.responses(0, 0, 11)) == {"book": Counter(impressions=1, clicks=1, purchases=1)}


def test_a_later_reading_goes_on_where_the_earlier_ended(store: Store) -> None:
    """Only what is new counts, though what it follows is old; and a reading without news is empty."""
    store.events.append([event(1, EventKind.IMPRESSION, at=100)])
    first = store.events.responses(0, 0, 10)
    store.events.append([event(2, EventKind.PURCHASE, at=105)])
    second = store.events.responses(first.last, 0, 10)
    assert as_counts(second) == {"book": Counter(purchases=1)}
    assert as_counts(store.events.responses(second.last, 0, 10)) == {}


def test_whoever_is_forgotten_is_not_counted(store: Store) -> None:
    """A forgotten person's impressions are in no later reading."""
    store.events.append([event(1, EventKind.IMPRESSION), event(2, EventKind.IMPRESSION, customer="bob")])
    store.persons.forget("bob", 5)
    assert as_counts(store.events.responses(0, 0, 10)) == {"book": Counter(impressions=1)}


@pytest.mark.parametrize("live", [True, False], ids=["append", "ingest"])
def test_a_purchase_without_an_impression_is_no_response(store: Store, live: bool) -> None:
    """What customers find by themselves says nothing of lists."""
    batch = [event(1, EventKind.PURCHASE), event(2, EventKind.IMPRESSION, customer="bob")]
    batch.append(event(3, EventKind.CLICK)._replace(context=json.dumps({"slot": 1})))
    if live:
        store.events.append(batch)
    else:
        store.events.ingest(event_frame(batch))
    assert as_counts(store.events.responses(0, 0, 10)) == {"book": Counter(impressions=1)}
