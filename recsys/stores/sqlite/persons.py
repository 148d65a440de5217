"""One person in SQLite and in the archive: to hand over, or to remove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from recsys.data.events import EVENT_SCHEMA, KIND_BY_CODE
from recsys.errors import StoreUnavailableError, UnknownCustomerError
from recsys.stores.admission import storable
from recsys.stores.protocols import Erased
from recsys.stores.sqlite.archived import Archive
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.forgotten import Forgotten
from recsys.stores.sqlite.names import ROOT_OF_ID

READERS_SECONDS = 5.0
"""How long old pages are waited for that somebody still reads."""

_PERSON = f"""
    SELECT customer, customer_id, has_row FROM customers AS root
    WHERE customer = {ROOT_OF_ID}
    UNION ALL
    SELECT customer, customer_id, has_row FROM customers WHERE merged_into =
        {ROOT_OF_ID}
"""  # noqa: S608
_KNOWN = "SELECT 1 FROM customers WHERE customer_id = ?"
_ROWS = """
    SELECT seq, event_id, kind, item, timestamp, position, quantity, price, currency, rating, session_id,
        recommendation_id, context
    FROM events WHERE customer = ?
"""
_ITEMS = "SELECT item, item_id FROM items WHERE item IN (SELECT value FROM json_each(?))"
_PENDING = "SELECT customer FROM erasures"
_NEVER_AGAIN = "UPDATE meta SET value = max(value, ?) WHERE key = 'last_customer'"
_TABLES = (
    "events",
    "consents",
    "profiles",
    "packed_histories",
    "exposures",
    "mails",
    "undeliverable",
    "customer_facts",
    "customers",
)


class _Person(NamedTuple):
    """A person: the numbers and ids of the customer and of the visitors they were."""

    numbers: list[int]
    ids: list[str]
    rows: int


class SqlitePersons:
    """Implements `PersonStore`."""

    def __init__(self, database: Database, archive: Archive, forgotten: Forgotten) -> None:
        self._database = database
        self._archive = archive
        self._forgotten = forgotten

    def events(self, customer_id: str) -> pl.DataFrame:
        """See `PersonStore`."""
        with self._database.snapshot():
            person = self._person(customer_id)
            parts = [pl.DataFrame(schema={"seq": pl.Int64(), "item": pl.Int64(), **_KEPT})]
            for number, own_id in zip(person.numbers, person.ids, strict=True):
                live = self._database.query(_ROWS, (number,))
                frame = pl.DataFrame(live, schema=_ROW_SCHEMA, orient="row")
                closed = self._archive.events_of(number).select(list(_ROW_SCHEMA))
                both = pl.concat([frame, closed]).with_columns(
                    pl.lit(own_id).alias("customer_id"),
                    pl.col("kind").replace_strict(_KIND_NAMES, return_dtype=pl.String),
                )
                parts.append(both.select(list(parts[0].columns)))
            whole = pl.concat(parts).sort("seq")
            numbers = whole["item"].drop_nulls().unique().to_list()
            names = pl.DataFrame(
                list(self._database.matching(_ITEMS, numbers)),
                schema={"item": pl.Int64(), "item_id": pl.String()},
                orient="row",
            )
        return whole.join(names, on="item", how="left", maintain_order="left").select(
            pl.col(name).cast(dtype) for name, dtype in EVENT_SCHEMA.items()
        )

    def known(self, customer_id: str) -> bool:
        """See `PersonStore`."""
        return storable(customer_id) and bool(self._database.query(_KNOWN, (customer_id,)))

    def forget(self, customer_id: str, at: int) -> Erased:
        """See `PersonStore`."""
        with self._database.transaction():
            person = self._person(customer_id)
            before = self._forgotten.among([customer_id])
            if person.numbers:
                erased = self._remove(person, before.get(customer_id, at))
            elif before:
                erased = Erased((customer_id,), before[customer_id], 0, 0, 0)
            else:
                raise UnknownCustomerError(customer_id)
        self._finish()
        return erased

    def forgotten(self, customer_ids: Sequence[str]) -> Mapping[str, int]:
        """See `PersonStore`."""
        with self._database.snapshot():
            return self._forgotten.among(customer_ids)

    def forgetting(self) -> int:
        """See `PersonStore`."""
        return self._forgotten.count()

    def _person(self, customer_id: str) -> _Person:
        found = self._database.query(_PERSON, (customer_id, customer_id)) if storable(customer_id) else []
        numbers, ids = [number for number, _, _ in found], [own for _, own, _ in found]
        return _Person(numbers, ids, sum(has_row for _, _, has_row in found))

    def _remove(self, person: _Person, at: int) -> Erased:
        """Everything in the database at once; what the archive has of them is nobody's from now on."""
        events = consents = exposures = 0
        for number in person.numbers:
            (live,) = self._database.one("SELECT count(*) FROM events WHERE customer = ?", (number,))
            (said,) = self._database.one("SELECT count(*) FROM consents WHERE customer = ?", (number,))
            (served,) = self._database.one("SELECT count(*) FROM exposures WHERE customer = ?", (number,))
            closed = self._archive.events_of(number).height
            events, consents, exposures = events + live + closed, consents + said, exposures + served
            if closed:
                self._database.run("INSERT INTO erasures (customer) VALUES (?)", (number,))
            for table in _TABLES:
                self._database.run(f"DELETE FROM {table} WHERE customer = ?", (number,))  # noqa: S608 - of the list above
        self._database.run(_NEVER_AGAIN, (max(person.numbers),))
        self._forgotten.add(person.ids, at)
        return Erased(tuple(person.ids), at, events, person.rows, consents, exposures)

    def _finish(self) -> None:
        """Removes what is nobody's from the archive, and old pages from the log."""
        pending = [number for (number,) in self._database.query(_PENDING)]
        if pending:
            self._archive.erase(pending)
            with self._database.transaction():
                self._database.run_many("DELETE FROM erasures WHERE customer = ?", [(number,) for number in pending])
        if not self._database.empty_log(READERS_SECONDS):
            raise StoreUnavailableError(
                f"old pages of the store {self._database.path} are still in use by another process; the customer is "
                "forgotten, but these pages hold what was known before",
                remedy="end long reads, such as a training run or a backup, then ask again",
            )


_KIND_NAMES = {code: str(kind) for code, kind in KIND_BY_CODE.items()}
_KEPT = {name: dtype for name, dtype in EVENT_SCHEMA.items() if name != "item_id"}
_ROW_SCHEMA: dict[str, pl.DataType] = {
    "seq": pl.Int64(),
    "event_id": pl.String(),
    "kind": pl.Int64(),
    "item": pl.Int64(),
    **{name: dtype for name, dtype in _KEPT.items() if name not in ("event_id", "customer_id", "kind")},
}
