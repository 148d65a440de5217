"""The embedded store: one SQLite file, and beside it a folder of closed partitions once much was imported at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from recsys.errors import StoreError
from recsys.stores.sqlite import migrations
from recsys.stores.sqlite.access import SqliteAudit, SqliteKeys
from recsys.stores.sqlite.archived import Archive
from recsys.stores.sqlite.catalog import SqliteCatalog
from recsys.stores.sqlite.customers import SqliteCustomers
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.events import SqliteEvents
from recsys.stores.sqlite.exposures import SqliteExposures
from recsys.stores.sqlite.facts import SqliteFacts
from recsys.stores.sqlite.forgotten import Forgotten
from recsys.stores.sqlite.histories import SqliteHistories
from recsys.stores.sqlite.ledger import SqliteAddresses, SqliteLedger
from recsys.stores.sqlite.persons import SqlitePersons
from recsys.stores.sqlite.profiles import SqliteProfiles


class SqliteStore:
    """Implements `Store`. Usable from one thread at a time; threads may hand it to one another."""

    def __init__(self, database: Database) -> None:
        self._database = database
        archive = Archive(database, database.path.with_name(f"{database.path.name}-archive"))
        forgotten = Forgotten(database)
        self._events = SqliteEvents(database, archive, forgotten)
        self._histories = SqliteHistories(database, archive)
        self._catalog = SqliteCatalog(database)
        self._customers = SqliteCustomers(database, forgotten)
        self._profiles = SqliteProfiles(database, forgotten)
        self._persons = SqlitePersons(database, archive, forgotten)
        self._keys = SqliteKeys(database)
        self._audit = SqliteAudit(database)
        self._exposures = SqliteExposures(database, forgotten)
        self._facts = SqliteFacts(database, archive)
        self._ledger = SqliteLedger(database, forgotten)
        self._addresses = SqliteAddresses(database, forgotten)
        self._changes = 0
        self._seen = (0, 0)
        (secret,) = database.one("SELECT value FROM meta WHERE key = 'secret'")
        self._secret = bytes(secret)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool,
        read_only: bool,
        busy_seconds: float,
        steps: Sequence[migrations.Migration] | None = None,
    ) -> Self:
        """See `recsys.stores.open_store`; `steps` are the migrations, those of this release unless told otherwise."""
        mode = "ro" if read_only else "rw"
        if create:
            mode = "rwc"
            _make_folder(path.parent)
        if path.is_dir():
            raise StoreError(f"the store {path} is a folder", expected="a file", remedy="name the file in it")
        if not create and not path.exists():
            raise StoreError(f"there is no store at {path}", remedy="make one with `bookmatch import FILE...`")
        database = Database.open(path, mode=mode, busy_seconds=busy_seconds)
        try:
            migrations.prepare(
                database,
                create=create,
                read_only=read_only,
                busy_seconds=busy_seconds,
                migrations=migrations.MIGRATIONS if steps is None else steps,
            )
            return cls(database)
        except BaseException:
            database.close()
            raise

    @property
    def events(self) -> SqliteEvents:
        """See `Store`."""
        return self._events

    @property
    def histories(self) -> SqliteHistories:
        """See `Store`."""
        return self._histories

    @property
    def catalog(self) -> SqliteCatalog:
        """See `Store`."""
        return self._catalog

    @property
    def customers(self) -> SqliteCustomers:
        """See `Store`."""
        return self._customers

    @property
    def profiles(self) -> SqliteProfiles:
        """See `Store`."""
        return self._profiles

    @property
    def persons(self) -> SqlitePersons:
        """See `Store`."""
        return self._persons

    @property
    def keys(self) -> SqliteKeys:
        """See `Store`."""
        return self._keys

    @property
    def audit(self) -> SqliteAudit:
        """See `Store`."""
        return self._audit

    @property
    def exposures(self) -> SqliteExposures:
        """See `Store`."""
        return self._exposures

    @property
    def facts(self) -> SqliteFacts:
        """See `Store`."""
        return self._facts

    @property
    def ledger(self) -> SqliteLedger:
        """See `Store`."""
        return self._ledger

    @property
    def addresses(self) -> SqliteAddresses:
        """See `Store`."""
        return self._addresses

    def transaction(self) -> AbstractContextManager[None]:
        """See `Store`."""
        return self._database.transaction()

    def changes(self) -> int:
        """See `Store`."""
        # data_version tells of commits by other connections only; the rows that this one wrote are counted beside it.
        seen = self._database.state()
        if seen != self._seen:
            self._seen = seen
            self._changes += 1
        return self._changes

    def secret(self) -> bytes:
        """See `Store`."""
        return self._secret

    def close(self) -> None:
        """See `Store`."""
        self._database.close()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder {folder} for the store cannot be made: {error}",
            remedy="name a folder that this user may write",
        ) from error
