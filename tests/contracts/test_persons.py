"""What every store does with one person's data, sentence by sentence of `PersonStore`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.catalog import CUSTOMER_SCHEMA
from recsys.data.events import EVENT_SCHEMA, Event, EventKind
from recsys.data.profile import Consent, Profile
from recsys.errors import ForgottenCustomerError, UnknownCustomerError
from recsys.stores.protocols import Store
from tests.contracts.plain_store import OpenStore, event_frame, undo, view
from tests.contracts.test_event_store import CUSTOMERS, events

EMAIL = Consent("email", True, "checkout", 10)


def everything_of(store: Store, customer: str) -> list[dict[str, object]]:
    """The events of one person, as they were posted."""
    return store.persons.events(customer).rows(named=True)


def test_a_person_gets_all_their_events_back(store: Store) -> None:
    """Exposures, what was taken back and everything said beside the behaviour, in order of arrival, over all ids."""
    full = Event(
        event_id="full", customer_id="ann", kind=EventKind.PURCHASE, item_id="book", timestamp=-1, position=2,
        quantity=2.5, price=9.99, currency="EUR", rating=4.5, session_id="s", recommendation_id="r", context="{}",
    )  # fmt: skip
    batch = [
        full,
        Event(event_id="seen", customer_id="ann", kind=EventKind.IMPRESSION, item_id="other"),
        Event(event_id="asked", customer_id="visitor", kind=EventKind.SEARCH, context='{"query": "x"}'),
        view("taken back"),
    ]
    store.events.ingest(event_frame(batch))
    store.events.append([undo("u", "taken back"), view("stranger's", customer_id="bob")])
    store.profiles.merge("visitor", "ann", 1)
    expected = [event._asdict() | {"kind": str(event.kind)} for event in (*batch, undo("u", "taken back"))]
    for customer in ("ann", "visitor"):
        found = store.persons.events(customer)
        assert dict(found.schema) == EVENT_SCHEMA
        assert found.rows(named=True) == expected
    assert store.persons.events("nobody").is_empty()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batch=st.lists(events(), max_size=14), cut=st.integers(0, 14), gone=st.sampled_from(CUSTOMERS))
def test_after_forgetting_it_is_as_if_the_person_had_never_been_there(
    fresh: Callable[[], AbstractContextManager[OpenStore]], batch: list[Event], cut: int, gone: str
) -> None:
    """Histories, the table for training and the counts are those of a store that only ever knew the others; the same
    events again, by either way, change nothing."""
    first = list({event.event_id: event for event in reversed(batch)}.values())[::-1]
    others = [event for event in first if event.customer_id != gone]
    with fresh() as opened, fresh() as opened_plain:
        store, plain = opened(), opened_plain()
        for each, known in ((store, first), (plain, others)):
            each.events.ingest(event_frame([event for event in known if event in first[:cut]]))
            each.events.append([event for event in known if event not in first[:cut]])
        own = [event for event in first if event.customer_id == gone]
        store.histories.pack(CUSTOMERS)
        if own:
            erased = store.persons.forget(gone, 77)
            assert (erased.ids, erased.events, erased.at) == ((gone,), len(own), 77)
            again = store.persons.forget(gone, 99)
            assert (again.events, again.at) == (0, 77)
            told = store.events.ingest(event_frame(own))
            assert (told.added, told.forgotten) == (0, len(own))
            with pytest.raises(ForgottenCustomerError, match="forgotten"):
                store.events.append([*others[:1], own[0]._replace(event_id="new")])
        else:
            with pytest.raises(UnknownCustomerError):
                store.persons.forget(gone, 77)
        for customer in CUSTOMERS:
            for read in (store, opened()):
                mine, theirs = read.histories.get(customer, 9), plain.histories.get(customer, 9)
                assert (list(mine.rows), set(mine.earlier)) == (list(theirs.rows), set(theirs.earlier))
            assert everything_of(store, customer) == everything_of(plain, customer)
        mine_table, plain_table = store.events.read(), plain.events.read()
        assert mine_table.customer_ids.to_list() == plain_table.customer_ids.to_list()
        assert len(mine_table.events) == len(plain_table.events)
        assert store.events.summary()["events"] == plain.events.summary()["events"]


def test_everything_that_was_said_goes_too(store: Store) -> None:
    """Attributes, consents, switches and the ids of the visitors they were; nothing of it comes back by any write."""
    store.customers.put(pl.DataFrame([{"customer_id": "ann", "attributes": "{}"}], schema=CUSTOMER_SCHEMA))
    store.events.append([view("v", customer_id="visitor"), view("c", customer_id="ann"), view("b", customer_id="bob")])
    store.profiles.put("ann", [EMAIL], recommendations=False)
    store.profiles.merge("visitor", "ann", 1)
    before = store.persons.forgetting()
    erased = store.persons.forget("visitor", 5)
    assert (sorted(erased.ids), erased.events, erased.rows, erased.consents) == (["ann", "visitor"], 2, 1, 1)
    assert store.persons.forgetting() > before
    assert store.persons.forgotten(["ann", "visitor", "bob", "nobody"]) == {"ann": 5, "visitor": 5}
    row = pl.DataFrame([{"customer_id": "ann"}, {"customer_id": "new"}], schema=CUSTOMER_SCHEMA)
    assert store.customers.put(row).forgotten == 1
    for write in (
        lambda: store.profiles.put("ann", [EMAIL]),
        lambda: store.profiles.merge("visitor", "bob", 6),
        lambda: store.profiles.merge("bob", "ann", 6),
    ):
        with pytest.raises(ForgottenCustomerError):
            write()
    assert store.profiles.get("ann") == Profile("ann")
    assert store.customers.read()["customer_id"].to_list() == ["new"]
    assert list(store.profiles.consenting("email")) == []
    assert store.events.read().customer_ids.to_list() == ["bob", "new"]


def test_a_number_is_never_somebody_elses(store: Store) -> None:
    """Whoever comes after the forgotten inherits nothing, however the store numbers people inside."""
    store.events.ingest(event_frame([view("b", customer_id="bob"), view("z", customer_id="zoe")]))
    store.persons.forget("zoe", 1)
    store.events.append([view("n", "other", "new")])
    assert [row.item_id for row in store.histories.get("new", 9).rows] == ["other"]
    assert len(store.events.read().events) == 2
