"""What every store keeps of facts about customers, sentence by sentence of the protocol."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.catalog import CUSTOMER_SCHEMA
from recsys.data.events import Event, EventKind
from recsys.errors import InputError
from recsys.stores.facts import KEPT_SCHEMA, LAST_SCHEMA, PEOPLE_SCHEMA
from recsys.stores.protocols import Store
from tests.contracts.plain_store import OpenStore, event_frame, undo, view
from tests.contracts.test_event_store import CUSTOMERS, events


def kept(**facts: str) -> pl.DataFrame:
    """Facts by customer."""
    return pl.DataFrame({"customer_id": list(facts), "facts": list(facts.values())}, schema=KEPT_SCHEMA)


def test_everybody_is_named_once(store: Store) -> None:
    """With a row or an event; a visitor of somebody else is not."""
    rows = [{"customer_id": "cid", "account_id": "home"}, {"customer_id": "bob"}]
    store.customers.put(pl.DataFrame(rows, schema=CUSTOMER_SCHEMA))
    store.events.append([view("1", customer_id="visitor"), view("2", customer_id="ann")])
    store.profiles.merge("visitor", "cid", 5)
    people = store.facts.people()
    assert dict(people.schema) == PEOPLE_SCHEMA
    assert people.rows() == [("ann", None, False), ("bob", None, True), ("cid", "home", True)]


def test_facts_take_the_place_of_earlier_ones(store: Store) -> None:
    """All of them, those of customers who are not among the new ones too."""
    store.events.append([view("1", customer_id="ann"), view("2", customer_id="bob")])
    assert (store.facts.about(), store.facts.get("ann")) == (None, None)
    assert store.facts.keep(kept(bob="{}", ann='{"r": 1}'), "first") == 2
    assert dict(store.facts.read().schema) == KEPT_SCHEMA
    assert store.facts.read().rows() == [("ann", '{"r": 1}'), ("bob", "{}")]
    assert store.facts.keep(kept(ann='{"r": 2}', nobody="{}"), "second") == 1
    assert store.facts.read().rows() == [("ann", '{"r": 2}')]
    assert (store.facts.about(), store.facts.get("bob"), store.facts.get("nobody")) == ("second", None, None)
    assert store.facts.get("nul\0") is None
    with pytest.raises(InputError):
        store.facts.keep(pl.DataFrame({"customer_id": [""], "facts": ["{}"]}, schema=KEPT_SCHEMA), "third")
    assert store.facts.about() == "second"


def test_a_merged_visitor_has_the_facts_of_the_customer(store: Store) -> None:
    """Their own are not seen any more."""
    store.events.append([view("1", customer_id="visitor"), view("2", customer_id="ann")])
    store.facts.keep(kept(ann='{"r": 1}', visitor='{"r": 5}'), "x")
    store.profiles.merge("visitor", "ann", 5)
    assert store.facts.get("visitor") == store.facts.get("ann") == '{"r": 1}'
    assert store.facts.read().rows() == [("ann", '{"r": 1}')]
    assert store.facts.keep(kept(visitor="{}"), "x") == 0


def test_a_forgotten_customer_has_none(store: Store) -> None:
    """And none can be kept of them again."""
    store.events.append([view("1", customer_id="ann"), view("2", customer_id="bob")])
    store.facts.keep(kept(ann="{}", bob="{}"), "x")
    store.persons.forget("ann", 9)
    assert (store.facts.get("ann"), store.facts.read().rows()) == (None, [("bob", "{}")])
    assert store.facts.keep(kept(ann="{}", bob="{}"), "x") == 1
    assert store.facts.people()["customer_id"].to_list() == ["bob"]


def test_what_is_taken_back_is_not_the_last(store: Store) -> None:
    """Nor what happens at the moment asked for, or has no time; visitors are the customer."""
    events = [view("1", timestamp=5), view("2", timestamp=8), undo("3", "2"), view("4", timestamp=20), view("5")]
    store.events.append(events)
    store.events.ingest(event_frame([view("6", customer_id="visitor", timestamp=6)]))
    store.events.append([Event("7", "ann", EventKind.EMAIL_SENT, timestamp=3)])
    store.profiles.merge("visitor", "ann", 5)
    last = store.facts.last(20)
    assert dict(last.schema) == LAST_SCHEMA
    assert sorted(last.rows()) == [("ann", "email_sent", 3), ("ann", "view", 6)]
    assert ("ann", "view", 20) in store.facts.last(21).rows()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batch=st.lists(events(), max_size=14), cut=st.integers(0, 14), merge=st.booleans(), until=st.integers(-3, 6))
def test_the_last_is_the_newest_of_the_period(
    fresh: Callable[[], AbstractContextManager[OpenStore]], batch: list[Event], cut: int, merge: bool, until: int
) -> None:
    """For any events, in the table and in the archive: as of all that happened before."""
    first = list({event.event_id: event for event in reversed(batch)}.values())[::-1]
    with fresh() as opened:
        store = opened()
        store.events.ingest(event_frame(first[:cut]))
        store.events.append(first[cut:])
        if merge:
            store.profiles.merge(CUSTOMERS[0], CUSTOMERS[1], 1)
        found = store.facts.last(until)
        everything = store.events.period(set(EventKind), -(2**62), until)
    expected = everything.group_by("customer_id", "kind").agg(last=pl.col("timestamp").max())
    assert sorted(found.rows()) == sorted(expected.rows())
