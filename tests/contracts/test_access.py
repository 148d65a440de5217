"""API keys and the audit, sentence by sentence of `KeyStore` and `AuditStore`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recsys.access.audit import MOST_NAMED, Act, Actor, audit
from recsys.access.keys import ApiKey, NewKey, Role, wanted_key
from recsys.access.rates import Rate
from recsys.data.events import EventKind
from recsys.errors import InputError
from recsys.stores.protocols import Store
from tests.contracts.plain_store import OpenStore

FULL = wanted_key(
    Role.EVENTS, "the web shop", 7, origins=("https://a.example", "http://b.example:81"), kinds=(EventKind.VIEW,),
    rate=Rate(5, 60), expires=100,
)  # fmt: skip
PLAIN = wanted_key(Role.ADMIN, "admin", 3)


def added(store: Store, wanted: ApiKey) -> ApiKey:
    """A new key that is stored."""
    kept = NewKey.like(wanted).kept
    store.keys.add(kept)
    return kept


def test_a_key_is_there_as_it_was_added(opened: OpenStore) -> None:
    """With every field, for every connection, the oldest first."""
    full, plain = added(opened(), FULL), added(opened(), PLAIN)
    assert list(opened().keys.all()) == [plain, full]


def test_a_key_is_added_once(store: Store) -> None:
    """Neither the id nor the digest comes twice."""
    kept = added(store, PLAIN)
    for twice in (kept, replace(kept, digest=b"x" * 32), replace(kept, key_id="other")):
        with pytest.raises(InputError, match="already"):
            store.keys.add(twice)
    assert list(store.keys.all()) == [kept]


def test_expiring_never_makes_a_key_live_longer(store: Store) -> None:
    """The earlier of the two ends counts; revoking is another matter."""
    kept = added(store, FULL)
    assert store.keys.expire(kept.key_id, 500).expires == 100
    assert store.keys.expire(kept.key_id, 50).expires == 50
    assert store.keys.expire(added(store, PLAIN).key_id, 500).expires == 500
    assert {key.revoked for key in store.keys.all()} == {None}


def test_revoking_is_for_good(store: Store) -> None:
    """The first time stays, and the key is still known."""
    kept = added(store, PLAIN)
    assert store.keys.revoke(kept.key_id, 40).revoked == 40
    assert store.keys.revoke(kept.key_id, 90).revoked == 40
    (known,) = store.keys.all()
    assert known == replace(kept, revoked=40)
    assert not known.is_valid(0)


def test_an_unknown_id_is_refused(store: Store) -> None:
    """By name, and nothing changes."""
    mark = store.keys.mark()
    for end in (store.keys.revoke, store.keys.expire):
        with pytest.raises(InputError, match="no key 'nobody'"):
            end("nobody", 5)
    assert store.keys.mark() == mark


def test_the_mark_changes_with_every_change_and_only_then(opened: OpenStore) -> None:
    """Seen by another connection too, whose `changes` differs as well."""
    store, other = opened(), opened()
    marks, seen = {other.keys.mark()}, other.changes()
    kept = added(store, PLAIN)
    assert other.changes() != seen
    marks.add(other.keys.mark())
    store.keys.expire(kept.key_id, 50)
    marks.add(other.keys.mark())
    store.keys.revoke(kept.key_id, 60)
    marks.add(other.keys.mark())
    assert len(marks) == 4
    audit(store, Act.KEY_REVOKED, [kept.key_id], Actor("user:ann"), 5)
    assert other.keys.mark() in marks


def test_lines_of_the_audit_come_back_in_order(opened: OpenStore) -> None:
    """As they were written, all or those since a moment."""
    store = opened()
    first = audit(store, Act.ITEMS_PUT, ["a", "b"], Actor("key:k", "request"), 20, "created 2")
    second = audit(store, Act.KEY_CREATED, ["k"], Actor("user:ann"), 10)
    assert list(opened().audit.read()) == [first, second]
    assert list(store.audit.read(20)) == [first]
    assert list(store.audit.read(21)) == []


def test_a_line_names_some_and_counts_all(store: Store) -> None:
    """A batch of thousands is one line of bounded length."""
    line = audit(store, Act.ITEMS_PUT, [str(number) for number in range(1000)], Actor("key:k"), 1)
    assert (len(line.subjects), line.number) == (MOST_NAMED, 1000)
    assert list(store.audit.read()) == [line]


def test_a_line_is_stored_with_its_transaction(store: Store) -> None:
    """What was taken back leaves no line."""

    def interrupted() -> None:
        with store.transaction():
            audit(store, Act.ITEMS_PUT, ["a"], Actor("key:k"), 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert list(store.audit.read()) == []
