"""What was said and sent after a copy of a store was made, written into that copy: no older state may undo it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from recsys.data.profile import Consent
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.names import Names
from recsys.stores.sqlite.store import SqliteStore

_WHOSE = "SELECT value FROM meta WHERE key = 'secret'"
_STATEMENTS = """
    SELECT customer_id, purpose, granted, source, stated FROM consents JOIN customers USING (customer) ORDER BY seq
"""
_OFF = "SELECT customer_id FROM profiles JOIN customers USING (customer) WHERE NOT recommendations"
_MARKS = "SELECT customer_id, digest, reply, at FROM undeliverable JOIN customers USING (customer)"
_MARK = "INSERT OR IGNORE INTO undeliverable (customer, digest, reply, at) VALUES (?, ?, ?, ?)"
_MAILINGS = "SELECT name, campaign, purpose, planned, audience, forgotten FROM mailings ORDER BY mailing"
_ADD_MAILING = """
    INSERT INTO mailings (name, campaign, purpose, planned, audience, forgotten) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (name) DO NOTHING
"""
_MAILS = """
    SELECT customer_id, state, reason, message_id, attempts, at, content
    FROM mails JOIN customers USING (customer) JOIN mailings USING (mailing) WHERE name = ?
"""
_ADD_MAIL = """
    INSERT INTO mails (customer, mailing, state, reason, message_id, attempts, at, content)
    SELECT ?, mailing, ?, ?, ?, ?, ?, ? FROM mailings WHERE name = ?
    ON CONFLICT (customer, mailing) DO UPDATE SET
        (state, reason, attempts, at) = (excluded.state, excluded.reason, excluded.attempts, excluded.at)
    WHERE excluded.at > mails.at AND mails.state <> 3
"""
"""Of two states of a mail the later one, but none takes back that it was sent."""
_BUSY_SECONDS = 10.0


class CarriedOn(NamedTuple):
    """How many statements of consent there were since, and how many customers' mails."""

    statements: int = 0
    mails: int = 0


def carry_on(old: Path, new: Path) -> CarriedOn:
    """Writes into the store at `new`, which nobody uses, what the one at `old` has of consents, of switched off
    recommendations, of addresses that cannot be reached, and of mailings. Both are of this release; of another shop's
    store nothing is taken.

    A yes or no counts by when it was said, so that the two together are right. Whoever is forgotten in `new` stays so.
    """
    store = SqliteStore.open(new, create=False, read_only=False, busy_seconds=_BUSY_SECONDS)
    after = Database.open(new, mode="rw", busy_seconds=_BUSY_SECONDS)
    before = Database.open(old, mode="ro", busy_seconds=_BUSY_SECONDS)
    try:
        if before.one(_WHOSE) != after.one(_WHOSE):
            return CarriedOn()
        statements = _consents(before, after, store)
        with after.transaction():
            return CarriedOn(statements, _mails(before, after, store))
    finally:
        before.close()
        after.close()
        store.close()


def _consents(before: Database, after: Database, store: SqliteStore) -> int:
    known, off = set(after.query(_STATEMENTS)), set(after.query(_OFF))
    said: defaultdict[str, list[Consent]] = defaultdict(list)
    for row in before.query(_STATEMENTS):
        if row not in known:
            customer_id, purpose, granted, source, stated = row
            said[customer_id].append(Consent(purpose, bool(granted), source, stated))
    switched = {customer_id for (customer_id,) in set(before.query(_OFF)) - off}
    gone = store.persons.forgotten(sorted(said.keys() | switched))
    with store.transaction():
        for customer_id in sorted((said.keys() | switched) - gone.keys()):
            recommendations = False if customer_id in switched else None
            store.profiles.put(customer_id, said.get(customer_id, ()), recommendations=recommendations)
    return sum(len(consents) for customer_id, consents in said.items() if customer_id not in gone)


def _mails(before: Database, after: Database, store: SqliteStore) -> int:
    """The addresses, too; inside a transaction on `after`."""
    names, done = Names(after, "customers", "customer"), 0
    marks = before.query(_MARKS)
    gone = store.persons.forgotten(sorted({row[0] for row in marks}))
    numbers = names.intern({row[0] for row in marks if row[0] not in gone})
    after.run_many(_MARK, [(numbers[row[0]], *row[1:]) for row in marks if row[0] in numbers])
    for mailing in before.query(_MAILINGS):
        rows = before.query(_MAILS, (mailing[0],))
        gone = store.persons.forgotten([row[0] for row in rows])
        after.run(_ADD_MAILING, (*mailing[:-1], mailing[-1] + len(gone)))
        numbers = names.intern([row[0] for row in rows if row[0] not in gone])
        kept = [(numbers[row[0]], *row[1:], mailing[0]) for row in rows if row[0] in numbers]
        after.run_many(_ADD_MAIL, kept)
        done += len(kept)
    return done
