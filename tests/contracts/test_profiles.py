"""What every store does with what customers say, sentence by sentence of `ProfileStore`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.profile import Consent, Profile
from recsys.errors import InputError
from recsys.stores.protocols import PERMISSION_SCHEMA, Store
from tests.contracts.plain_store import OpenStore, PlainStore, event_frame, undo, view
from tests.contracts.test_event_store import events, table_rows

WHO = st.sampled_from(["ann", "bea", "zoe"])
EMAIL = Consent("email", True, "checkout", 10)


def test_nothing_said_is_no(store: Store) -> None:
    """Somebody unknown, or of whom only events are known, consented to nothing, and is recommended to."""
    store.events.append([view("e1")])
    for customer in ("ann", "nobody", "\ud800", ""):
        assert store.profiles.get(customer) == Profile(customer)
        assert store.profiles.version(customer) == 0
        assert not store.profiles.get(customer).allows("email")
        assert list(store.profiles.statements(customer)) == []
    assert list(store.profiles.consenting("email")) == []


def test_the_latest_statement_counts_whenever_it_arrives(store: Store) -> None:
    """What counts is when it was said, not when it came in; of one moment the no; nothing is thrown away."""
    no = Consent("email", False, "letter", 20)
    for statements in ([EMAIL, no], [no, EMAIL]):
        customer = f"c{statements[0].granted}"
        for statement in statements:
            store.profiles.put(customer, [statement])
        assert store.profiles.get(customer).consents == {"email": no}
        assert list(store.profiles.statements(customer)) == statements
    store.profiles.put("same", [replace(no, stated=10), EMAIL])
    assert not store.profiles.get("same").allows("email")
    assert list(store.profiles.consenting("email")) == []


def test_saying_it_again_changes_nothing(store: Store) -> None:
    """The version grows with what is new, and only then; a purpose says nothing of another."""
    first = store.profiles.put("ann", [EMAIL])
    assert first.version > 0
    assert store.profiles.put("ann", [EMAIL, EMAIL]) == first
    assert store.profiles.put("ann") == first
    assert store.profiles.put("ann", recommendations=True) == first
    off = store.profiles.put("ann", recommendations=False)
    assert off.version > first.version
    assert not off.recommendations
    assert off.allows("email")
    assert not off.allows("post")
    on = store.profiles.put("ann", recommendations=True)
    assert store.profiles.version("ann") == on.version > off.version


def test_who_consents(store: Store) -> None:
    """Those whose last word for the purpose is yes, without those who switched recommendations off."""
    for customer in ("zoe", "ann", "off", "no"):
        store.profiles.put(customer, [EMAIL])
    store.profiles.put("off", recommendations=False)
    store.profiles.put("no", [Consent("email", False, "link", 11)])
    store.profiles.put("other", [Consent("post", True, "form", 1)])
    assert list(store.profiles.consenting("email")) == ["ann", "zoe"]
    store.profiles.merge("zoe", "bea", 30)
    assert list(store.profiles.consenting("email")) == ["ann", "bea"]


BAD = [
    replace(EMAIL, purpose=""),
    replace(EMAIL, purpose="E-Mail"),
    replace(EMAIL, purpose="x" * 65),
    replace(EMAIL, source=""),
    replace(EMAIL, source="x" * 257),
]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_what_cannot_be_kept_is_refused_whole(store: Store, bad: Consent) -> None:
    """One bad statement and nothing is stored; so with an id that no store holds."""
    with pytest.raises(InputError):
        store.profiles.put("ann", [EMAIL, bad])
    for customer in ("", "x" * 257, "a\0b", "\ud800"):
        with pytest.raises(InputError):
            store.profiles.put(customer, [EMAIL])
    assert store.profiles.get("ann") == Profile("ann")


def test_a_visitor_becomes_a_customer(store: Store) -> None:
    """Whichever id is asked for, history, version and profile are the same; later events under either id count."""
    store.events.append([view("v1", "a", "visitor", 5), view("c1", "b", "ann", 1)])
    before = {customer: store.histories.version(customer) for customer in ("visitor", "ann")}
    store.histories.pack(["visitor", "ann"])
    assert store.profiles.merge("visitor", "ann", 9)
    for customer in ("visitor", "ann"):
        assert [row.item_id for row in store.histories.get(customer, 9).rows] == ["b", "a"]
        assert store.histories.version(customer) > max(before.values())
        assert store.profiles.get(customer).customer_id == "ann"
        assert store.profiles.version(customer) == store.profiles.get(customer).version > 0
        assert store.profiles.get(customer).visitors == ("visitor",)
    for place, customer in enumerate(("visitor", "ann")):
        store.histories.pack([customer])
        version = store.histories.version("ann")
        store.events.append([view(f"later{place}", f"l{place}", customer, 10 + place)])
        assert store.histories.version("visitor") == store.histories.version("ann") > version
        assert store.histories.get("ann", 1).rows[0].item_id == f"l{place}"
    table = store.events.read()
    assert table.customer_ids.to_list() == ["ann"]
    assert {customer for customer, *_ in table_rows(table)} == {"ann"}
    assert store.events.summary()["customers"] == 1


def test_undo_works_across_the_ids_of_one_person(store: Store) -> None:
    """What the visitor did, the customer can take back, and the other way round; a stranger cannot."""
    store.events.append([view("v1", "a", "visitor"), view("c1", "b", "ann"), view("s1", "c", "stranger")])
    store.profiles.merge("visitor", "ann", 9)
    store.events.append([undo("u1", "v1", "ann"), undo("u2", "c1", "visitor"), undo("u3", "s1", "ann")])
    assert list(store.histories.get("ann", 9).rows) == []
    assert len(store.histories.get("stranger", 9).rows) == 1
    assert store.events.read().events.height == 1


def test_merging_again_and_in_chains(store: Store) -> None:
    """Merging twice is once; a customer who is merged takes their visitors along; nobody is merged into themselves."""
    assert store.profiles.merge("tablet", "phone", 1)
    assert store.profiles.merge("phone", "ann", 2)
    assert not store.profiles.merge("tablet", "ann", 3)
    assert not store.profiles.merge("ann", "tablet", 3)
    assert store.profiles.get("tablet").customer_id == "ann"
    assert store.profiles.get("ann").visitors == ("phone", "tablet")
    with pytest.raises(InputError, match="itself"):
        store.profiles.merge("ann", "ann", 4)
    for bad in ("", "a\0"):
        with pytest.raises(InputError):
            store.profiles.merge(bad, "ann", 4)
        with pytest.raises(InputError):
            store.profiles.merge("ann", bad, 4)


@pytest.mark.parametrize("refuser", ["visitor", "ann"])
@pytest.mark.parametrize("later", [True, False])
def test_refusals_survive_merging(store: Store, refuser: str, later: bool) -> None:
    """A no of either id stays a no, however old, until the person says yes again; switched off stays off."""
    other = "ann" if refuser == "visitor" else "visitor"
    store.profiles.put(other, [EMAIL])
    store.profiles.put(refuser, [Consent("email", False, "form", 20 if later else 5)], recommendations=False)
    store.profiles.merge("visitor", "ann", 30)
    merged = store.profiles.get("ann")
    assert not merged.allows("email")
    assert not merged.recommendations
    assert store.profiles.put("ann", [Consent("email", True, "counter", 31)]).allows("email")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batch=st.lists(events(), max_size=12), cut=st.integers(0, 12), pairs=st.integers(0, 2), packed=st.booleans())
def test_a_merged_person_is_as_if_there_had_been_one_id(
    fresh: Callable[[], AbstractContextManager[OpenStore]], batch: list, cut: int, pairs: int, packed: bool
) -> None:
    """Whatever two ids did before and after, the history is that of a plain list where both are one customer."""
    visitor, customer = (("ann", "bob"), ("bob", "0042"), ("0042", "ann"))[pairs]
    plain = PlainStore()
    plain.append(batch[:cut])
    plain.append(batch[cut:])
    plain.events = [e._replace(customer_id=customer) if e.customer_id == visitor else e for e in plain.events]
    with fresh() as opened:
        store = opened()
        store.events.ingest(event_frame(batch[:cut]))
        if packed:
            store.histories.pack([visitor, customer])
        store.profiles.merge(visitor, customer, 1)
        if packed:
            store.histories.pack([visitor])
        store.events.append(batch[cut:])
        for asked in (visitor, customer):
            history = store.histories.get(asked, 5)
            assert (list(history.rows), set(history.earlier)) == plain.history(customer, 5)


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("say"), WHO, st.sampled_from(["email", "post"]), st.booleans(), st.integers(0, 3)),
            st.tuples(st.just("switch"), WHO, st.booleans()),
            st.tuples(st.just("merge"), WHO, WHO),
        ),
        max_size=12,
    )
)
def test_permissions_of_all_are_those_of_each(
    fresh: Callable[[], AbstractContextManager[OpenStore]], acts: list[tuple[Any, ...]]
) -> None:
    """What `permissions` says of everybody at once is what `get` says of each, whatever was said and merged."""
    with fresh() as opener:
        store = opener()
        for act, *what in acts:
            if act == "say":
                who, purpose, granted, at = what
                store.profiles.put(who, [Consent(purpose, granted, "form", at)])
            elif act == "switch":
                store.profiles.put(what[0], recommendations=what[1])
            elif what[0] != what[1]:
                store.profiles.merge(what[0], what[1], 5)
        expected = {}
        for who in ("ann", "bea", "zoe"):
            profile = store.profiles.get(who)
            consent = profile.consents.get("email")
            if consent is not None or not profile.recommendations:
                expected[profile.customer_id] = (None if consent is None else consent.granted, profile.recommendations)
        found = store.customers.permissions("email")
        assert dict(found.schema) == PERMISSION_SCHEMA
        assert found.rows() == [(who, *said) for who, said in sorted(expected.items())]
