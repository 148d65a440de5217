"""What every store does with mailings and with addresses, sentence by sentence of the protocols."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.errors import InputError
from recsys.stores.ledger import FINAL, LEDGER_SCHEMA, MAILED_SCHEMA, MOVES, LedgerEntry, Mailing, MailState, Move
from recsys.stores.protocols import Store
from tests.contracts.plain_store import OpenStore

W, S = MailState.WAITING, MailState.SENDING


def mailing(audience: int, name: str = "m1", purpose: str = "email", planned: int = 100) -> Mailing:
    """One of the campaign `spring`."""
    return Mailing(name, "spring", purpose, planned, audience)


def begun(store: Store, *ids: str, name: str = "m1", planned: int = 100) -> None:
    """A mailing in which all of these wait."""
    entries = [LedgerEntry(each, message_id=f"<{name}.{each}@shop>", content='[{"block":"x"}]') for each in ids]
    assert store.ledger.begin(mailing(len(ids), name, planned=planned), entries)


def states(store: Store, name: str = "m1") -> dict[str, str]:
    """The state of everybody."""
    return dict(store.ledger.rows(name).select("customer_id", "state").iter_rows())


def test_a_mailing_begins_once_with_everybody(store: Store) -> None:
    """Who waits and who is suppressed; a second time nothing changes."""
    entries = [
        LedgerEntry("ann", "", "<1@shop>", "[1]"),
        LedgerEntry("bob", "holdout"),
        LedgerEntry("cy", "no_consent"),
    ]
    assert store.ledger.begin(mailing(3), entries)
    assert not store.ledger.begin(mailing(1), [LedgerEntry("zoe")])
    rows = store.ledger.rows("m1")
    assert dict(rows.schema) == LEDGER_SCHEMA
    assert rows.rows() == [
        ("ann", "waiting", "", "<1@shop>", 0, 100, "[1]"),
        ("bob", "suppressed", "holdout", "", 0, 100, "[]"),
        ("cy", "suppressed", "no_consent", "", 0, 100, "[]"),
    ]
    totals = store.ledger.totals("m1")
    assert (totals.audience, totals.forgotten, totals.under_way, totals.reconciles) == (3, 0, 1, True)
    assert totals.causes == {"holdout": 1, "no_consent": 1}
    assert list(store.ledger.mailings()) == [mailing(3)]


@pytest.mark.parametrize(
    ("audience", "entries"),
    [
        (2, [LedgerEntry("ann")]),
        (2, [LedgerEntry("ann"), LedgerEntry("ann", "holdout")]),
        (1, [LedgerEntry("")]),
        (1, [LedgerEntry("ann", "a\0b")]),
        (2, [LedgerEntry("ann"), LedgerEntry("visitor")]),
    ],
)
def test_an_audience_that_does_not_add_up_is_refused(store: Store, audience: int, entries: list[LedgerEntry]) -> None:
    """Nothing of it is stored; two ids of one person are one customer."""
    store.profiles.merge("visitor", "ann", 5)
    with pytest.raises(InputError):
        store.ledger.begin(mailing(audience), entries)
    assert list(store.ledger.mailings()) == []
    with pytest.raises(InputError):
        store.ledger.totals("m1")


def test_moves_are_told_and_seen_by_others(opened: OpenStore) -> None:
    """Each with its reason and time, and how often it was on the way."""
    store = opened()
    begun(store, "ann", "bob", "cy")
    assert list(store.ledger.move("m1", [Move("ann", S), Move("bob", S), Move("nobody", S)], 200)) == [
        True,
        True,
        False,
    ]
    moves = [Move("ann", MailState.SENT), Move("bob", W, "450 later"), Move("cy", MailState.SENT)]
    assert list(store.ledger.move("m1", moves, 300)) == [True, True, False]
    assert list(store.ledger.move("m1", [Move("bob", S)], 400)) == [True]
    assert list(store.ledger.move("m1", [Move("bob", MailState.FAILED, "550 no such user")], 500)) == [True]
    rows = opened().ledger.rows("m1").select("customer_id", "state", "reason", "attempts", "at").rows()
    assert rows == [
        ("ann", "sent", "", 1, 300),
        ("bob", "failed", "550 no such user", 2, 500),
        ("cy", "waiting", "", 0, 100),
    ]


PATHS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(list(MailState))), max_size=25)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(path=PATHS, cut=st.integers(1, 5), gone=st.sampled_from(["", "a", "d"]))
def test_totals_reconcile_whatever_is_tried(
    fresh: Callable[[], AbstractContextManager[OpenStore]], path: list[tuple[str, MailState]], cut: int, gone: str
) -> None:
    """Against the plain rule: a move counts where the table of moves has it, and everybody is in one state."""
    plain = dict.fromkeys("abcd", W)
    with fresh() as opened:
        store = opened()
        begun(store, *plain)
        for start in range(0, len(path), cut):
            expected = []
            for customer, state in path[start : start + cut]:
                expected.append(state in MOVES[plain[customer]])
                if expected[-1]:
                    plain[customer] = state
            moves = [Move(customer, state, "why") for customer, state in path[start : start + cut]]
            assert list(store.ledger.move("m1", moves, 7)) == expected
        if gone:
            store.persons.forget(gone, 9)
            del plain[gone]
        totals = store.ledger.totals("m1")
        assert states(store) == plain
        assert list(store.ledger.rows("m1", FINAL)["customer_id"]) == sorted(c for c in plain if plain[c] in FINAL)
    assert {state: count for state, count in totals.states.items() if count} == Counter(plain.values())
    assert totals.reconciles
    assert (totals.audience, totals.forgotten) == (4, int(bool(gone)))


def test_what_was_mailed_is_known_for_caps(store: Store) -> None:
    """What a server took or may have taken, under the person's id; what failed, waits or is suppressed is not."""
    begun(store, "ann", "bob", "cy", "dan", "visitor")
    store.ledger.move("m1", [Move(each, S) for each in ("ann", "bob", "cy", "visitor")], 200)
    store.ledger.move("m1", [Move("ann", MailState.SENT), Move("bob", MailState.FAILED, "550")], 300)
    store.ledger.move("m1", [Move("visitor", MailState.UNCERTAIN)], 400)
    store.profiles.merge("visitor", "vera", 5)
    found = store.ledger.mailed(0)
    assert dict(found.schema) == MAILED_SCHEMA
    content = '[{"block":"x"}]'
    assert found.rows() == [
        ("cy", "spring", "email", 200, content),
        ("ann", "spring", "email", 300, content),
        ("vera", "spring", "email", 400, content),
    ]
    assert store.ledger.mailed(300, "email")["customer_id"].to_list() == ["ann", "vera"]
    assert store.ledger.mailed(0, "news").is_empty()


def test_who_is_forgotten_is_only_counted(store: Store) -> None:
    """The row and the address go; who was forgotten before a mailing begins gets no row, and totals still add up."""
    store.addresses.mark("ann", "ann@example.com", "550", 5)
    begun(store, "ann", "visitor", "bob")
    store.profiles.merge("visitor", "ann", 5)
    store.persons.forget("ann", 9)
    begun(store, "ann", "bob", name="m2")
    assert (states(store), states(store, "m2")) == ({"bob": "waiting"}, {"bob": "waiting"})
    assert [store.ledger.totals(name).forgotten for name in ("m1", "m2")] == [2, 1]
    assert all(store.ledger.totals(name).reconciles for name in ("m1", "m2"))
    assert not store.addresses.undeliverable(["ann@example.com"])
    store.addresses.mark("ann", "ann@example.com", "550", 10)
    assert not store.addresses.undeliverable(["ann@example.com"])


def test_an_address_is_undeliverable_until_it_is_cleared(store: Store) -> None:
    """However its letters are written; the first reply stays."""
    store.addresses.mark("ann", "Ann@Example.com", "550 first", 5)
    store.addresses.mark("ann", "ann@example.com", "550 second", 6)
    asked = ["ann@example.com", "ANN@example.com", "bob@example.com"]
    assert store.addresses.undeliverable(asked) == {
        "ann@example.com": "550 first",
        "ANN@example.com": "550 first",
    }
    assert [store.addresses.clear("ann@EXAMPLE.com") for _ in range(2)] == [True, False]
    assert store.addresses.undeliverable(asked) == {}


def test_whose_mail_came_back_is_known(store: Store) -> None:
    """By its Message-ID, in whichever mailing; what is not in the ledger is nobody's."""
    begun(store, "ann", "bob")
    begun(store, "ann", name="m2")
    asked = ["<m1.bob@shop>", "<m2.ann@shop>", "<other@shop>", "", "a\0b"]
    assert store.addresses.recipients(asked) == {"<m1.bob@shop>": ("m1", "bob"), "<m2.ann@shop>": ("m2", "ann")}
