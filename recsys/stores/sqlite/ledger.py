"""The ledger of mailings in SQLite."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import polars as pl

from recsys.errors import InputError
from recsys.stores.admission import check_ids, storable
from recsys.stores.ledger import (
    LEDGER_SCHEMA,
    MAILED_SCHEMA,
    MOVES,
    LedgerEntry,
    Mailing,
    MailState,
    Move,
    Totals,
)
from recsys.stores.sqlite.database import Database, as_json
from recsys.stores.sqlite.forgotten import Forgotten
from recsys.stores.sqlite.names import ROOT, Names

CODES: Mapping[MailState, int] = {state: code for code, state in enumerate(MailState, start=1)}
"""States as the table holds them. Codes never change and are never reused."""

_NAMES = {code: str(state) for state, code in CODES.items()}
_FROM = {state: as_json([CODES[before] for before in MailState if state in MOVES[before]]) for state in MailState}
MOST_TEXT = 1_000
"""So much of a server's reply is kept."""

_MAILING = "SELECT mailing FROM mailings WHERE name = ?"
_ADD_MAILING = """
    INSERT INTO mailings (name, campaign, purpose, planned, audience, forgotten) VALUES (?, ?, ?, ?, ?, ?)
"""
_ADD = """
    INSERT INTO mails (customer, mailing, state, reason, message_id, attempts, at, content)
    VALUES (?, ?, ?, ?, ?, 0, ?, ?)
"""
_MOVE = """
    UPDATE mails SET state = ?1, reason = ?2, at = ?3, attempts = attempts + (?1 = 2)
    WHERE mailing = ?4 AND state IN (SELECT value FROM json_each(?5))
        AND customer = (SELECT customer FROM customers WHERE customer_id = ?6)
"""
_ROWS = """
    SELECT customer_id, state, reason, message_id, attempts, at, content FROM mails JOIN customers USING (customer)
    WHERE mailing = ? AND state IN (SELECT value FROM json_each(?)) ORDER BY customer_id
"""
_COUNTS = "SELECT state, CASE state WHEN 4 THEN reason ELSE '' END, count(*) FROM mails WHERE mailing = ? GROUP BY 1, 2"
_MAILINGS = "SELECT name, campaign, purpose, planned, audience FROM mailings ORDER BY planned, mailing"
_MAILED = """
    SELECT root.customer_id, campaign, purpose, mails.at, content
    FROM mails JOIN mailings USING (mailing) JOIN customers AS own USING (customer)
        JOIN customers AS root ON root.customer = coalesce(own.merged_into, own.customer)
    WHERE state IN (2, 3, 6) AND at >= ?1 AND (?2 IS NULL OR purpose = ?2) ORDER BY at, root.customer_id
"""
_PERSONS = f"""
    SELECT customer_id, {ROOT} FROM json_each(?) CROSS JOIN customers ON customer_id = value
"""  # noqa: S608

_RECIPIENTS = """
    SELECT message_id, name, customer_id
    FROM json_each(?) CROSS JOIN mails ON message_id = value AND message_id <> ''
        JOIN mailings USING (mailing) JOIN customers USING (customer)
"""


class SqliteLedger:
    """Implements `LedgerStore`."""

    def __init__(self, database: Database, forgotten: Forgotten) -> None:
        self._database = database
        self._forgotten = forgotten
        self._customers = Names(database, "customers", "customer")

    def begin(self, mailing: Mailing, entries: Sequence[LedgerEntry]) -> bool:
        """See `LedgerStore`."""
        _check(mailing, entries)
        ids = [entry.customer_id for entry in entries]
        with self._database.bulk(), self._database.transaction():
            if self._database.query(_MAILING, (mailing.name,)):
                return False
            gone = self._forgotten.among(ids)
            kept = [entry for entry in entries if entry.customer_id not in gone]
            numbers = self._customers.intern([entry.customer_id for entry in kept])
            self._check_persons(mailing, list(numbers))
            about = (mailing.name, mailing.campaign, mailing.purpose, mailing.planned)
            self._database.run(_ADD_MAILING, (*about, mailing.audience, len(gone)))
            number = self._number(mailing.name)
            waiting, suppressed = CODES[MailState.WAITING], CODES[MailState.SUPPRESSED]
            rows = [
                (
                    numbers[entry.customer_id],
                    number,
                    suppressed if entry.cause else waiting,
                    entry.cause[:MOST_TEXT],
                    entry.message_id,
                    mailing.planned,
                    entry.content,
                )
                for entry in kept
            ]
            self._database.run_many(_ADD, sorted(rows))
        return True

    def move(self, mailing: str, moves: Sequence[Move], at: int) -> Sequence[bool]:
        """See `LedgerStore`."""
        done = []
        with self._database.transaction():
            number = self._number(mailing)
            for customer_id, state, reason in moves:
                before = self._database.changed_rows
                if storable(customer_id):
                    text = _kept(reason)
                    self._database.run(_MOVE, (CODES[state], text, at, number, _FROM[state], customer_id))
                done.append(self._database.changed_rows > before)
        return done

    def rows(self, mailing: str, states: Collection[MailState] = tuple(MailState)) -> pl.DataFrame:
        """See `LedgerStore`."""
        wanted = as_json([CODES[state] for state in states])
        found = self._database.query(_ROWS, (self._number(mailing), wanted))
        raw = LEDGER_SCHEMA | {"state": pl.Int64()}
        frame = pl.DataFrame(found, schema=raw, orient="row")
        return frame.with_columns(pl.col("state").replace_strict(_NAMES, return_dtype=pl.String))

    def totals(self, mailing: str) -> Totals:
        """See `LedgerStore`."""
        with self._database.snapshot():
            number = self._number(mailing)
            audience, forgotten = self._database.one(
                "SELECT audience, forgotten FROM mailings WHERE mailing = ?", (number,)
            )
            counted = self._database.query(_COUNTS, (number,))
        states: Counter[MailState] = Counter()
        causes: Counter[str] = Counter()
        for code, cause, count in counted:
            states[MailState(_NAMES[code])] += count
            if code == CODES[MailState.SUPPRESSED] and cause:
                causes[cause] += count
        return Totals(audience, {state: states[state] for state in MailState}, dict(causes.most_common()), forgotten)

    def mailings(self) -> Sequence[Mailing]:
        """See `LedgerStore`."""
        return [Mailing(*row) for row in self._database.query(_MAILINGS)]

    def mailed(self, since: int, purpose: str | None = None) -> pl.DataFrame:
        """See `LedgerStore`."""
        return pl.DataFrame(self._database.query(_MAILED, (since, purpose)), schema=MAILED_SCHEMA, orient="row")

    def _number(self, mailing: str) -> int:
        found = self._database.query(_MAILING, (mailing,)) if storable(mailing) else []
        if not found:
            raise InputError(
                f"there is no mailing {mailing!a} in the ledger",
                expected="the name of one that began",
                remedy="see `bookmatch email report` without a name",
            )
        return int(found[0][0])

    def _check_persons(self, mailing: Mailing, ids: Sequence[str]) -> None:
        """A person who is met under two ids is one customer of the audience."""
        first: dict[int, str] = {}
        for customer_id, person in self._database.matching(_PERSONS, ids):
            if person in first:
                raise InputError(
                    f"the mailing {mailing.name!a} has {first[person]!a} and {customer_id!a}, who are one person",
                    expected="every person once, under the id of the customer",
                    remedy="make the plan again",
                )
            first[person] = customer_id


class SqliteAddresses:
    """Implements `AddressStore`."""

    def __init__(self, database: Database, forgotten: Forgotten) -> None:
        self._database = database
        self._forgotten = forgotten
        self._customers = Names(database, "customers", "customer")
        (secret,) = database.one("SELECT value FROM meta WHERE key = 'secret'")
        self._key = hashlib.blake2b(bytes(secret), digest_size=32, person=b"bookmatch.mails").digest()

    def mark(self, customer_id: str, address: str, reply: str, at: int) -> None:
        """See `AddressStore`."""
        check_ids("customer_id", [customer_id])
        with self._database.transaction():
            if self._forgotten.among([customer_id]):
                return
            number = self._customers.intern([customer_id])[customer_id]
            self._database.run(
                "INSERT OR IGNORE INTO undeliverable (customer, digest, reply, at) VALUES (?, ?, ?, ?)",
                (number, self._digest(address), _kept(reply), at),
            )

    def undeliverable(self, addresses: Collection[str]) -> Mapping[str, str]:
        """See `AddressStore`."""
        by_digest: dict[str, list[str]] = {}
        for address in addresses:
            by_digest.setdefault(self._digest(address), []).append(address)
        marked = self._database.matching(
            "SELECT digest, reply FROM undeliverable WHERE digest IN (SELECT value FROM json_each(?)) ORDER BY at DESC",
            list(by_digest),
        )
        return {address: reply for digest, reply in marked for address in by_digest[digest]}

    def clear(self, address: str) -> bool:
        """See `AddressStore`."""
        with self._database.transaction():
            before = self._database.changed_rows
            self._database.run("DELETE FROM undeliverable WHERE digest = ?", (self._digest(address),))
            return self._database.changed_rows > before

    def recipients(self, message_ids: Collection[str]) -> Mapping[str, tuple[str, str]]:
        """See `AddressStore`."""
        wanted = [each for each in message_ids if each and storable(each)]
        return {each: (name, customer) for each, name, customer in self._database.matching(_RECIPIENTS, wanted)}

    def _digest(self, address: str) -> str:
        raw = address.strip().casefold().encode(errors="surrogatepass")
        return hashlib.blake2b(raw, digest_size=16, key=self._key).hexdigest()


def _check(mailing: Mailing, entries: Sequence[LedgerEntry]) -> None:
    check_ids("mailing", [mailing.name])
    ids = [entry.customer_id for entry in entries]
    check_ids("customer_id", ids)
    if len(entries) != mailing.audience:
        raise InputError(
            f"the mailing {mailing.name!a} has {len(entries)} entries",
            expected=f"one for each of the {mailing.audience} customers of its audience",
        )
    twice = [customer_id for customer_id, count in Counter(ids).most_common(1) if count > 1]
    if twice:
        raise InputError(f"the mailing {mailing.name!a} has the customer {twice[0]!a} twice", expected="each once")
    for text in (mailing.campaign, mailing.purpose, *(part for entry in entries for part in entry[1:])):
        if not storable(text):
            raise InputError(f"the text {text[:100]!a} cannot be kept", expected="text without NUL or lone surrogates")


def _kept(text: str) -> str:
    """What a server said, as far as it can be kept."""
    return text.replace("\0", " ").encode(errors="replace").decode()[:MOST_TEXT]
