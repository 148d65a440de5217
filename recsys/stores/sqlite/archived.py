"""The archive of an embedded store: which partitions belong to it, and how they come to be part of it.

The table `archive_partitions` says which folders count; a row in it, committed, is what makes a folder part of the
history. Folders are written by whoever holds the database's write lock, so a folder without a row, met under that lock,
is left over from a transaction that was taken back.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import orjson
import polars as pl

from recsys.durable import sync
from recsys.errors import StoreUnavailableError
from recsys.processes import runs
from recsys.stores.archive import partition as partitions
from recsys.stores.archive.event_ids import HashSet, IdColumn, Places
from recsys.stores.archive.partition import Partition
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.sequence import known_ids

PARTITION_ROWS = 4_000_000
"""What one transaction brings in is merged into partitions of about this many rows."""

_NEVER = "never"
_FILTER_SHARE = 20
"""A set of all stored hashes is made once a transaction has asked about more than one in so many stored events."""
_STATE = "SELECT value FROM meta WHERE key = 'archive'"
_PARTITION = re.compile(r"\d{12,}-[0-9a-f]{16}")
_LISTED = "SELECT folder, details FROM archive_partitions ORDER BY first_seq"
_ADD = "INSERT INTO archive_partitions (folder, first_seq, details) VALUES (?, ?, ?)"
_IS_LISTED = "SELECT 1 FROM archive_partitions WHERE folder = ?"
_ERASING = ".erasing-"
_DROP = "DELETE FROM archive_partitions WHERE folder = ?"
_LIVE_IDS = "SELECT event_id FROM events"
_LIVE_AT_ONCE = 200_000


HistoryRowByNumber = tuple[int, int, int, int | None, int | None, float, float | None]
HISTORY_NUMBERS = ("timestamp", "position", "quantity", "rating")


class Archive:
    """The partitions of one store. Everything is asked inside a snapshot or a write transaction."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._state = _NEVER
        self._partitions: tuple[Partition, ...] = ()
        self._open: dict[str, Partition] = {}
        self._transaction = -1
        self._committed: frozenset[str] = frozenset()
        self._asked = 0
        self._seen: HashSet | None = None
        database.before_commit(self._merge_new)

    def partitions(self) -> Sequence[Partition]:
        """Those that count now, in order of arrival; StoreError when one is not as it was written."""
        (state,) = self._database.one(_STATE)
        if state != self._state:
            listed = self._database.query(_LISTED)
            # Folder names are never used twice, so what was opened under one is still what it holds.
            self._open = {
                folder: self._open.get(folder) or Partition.open(self._folder / folder, orjson.loads(details))
                for folder, details in listed
            }
            self._partitions, self._state = tuple(self._open.values()), state
        return self._partitions

    def each(self) -> Iterator[Partition]:
        """The same, one after the other, each mapped into memory only until the next."""
        for folder, details in self._database.query(_LISTED):
            yield Partition.open(self._folder / folder, orjson.loads(details))

    def release(self) -> None:
        """Lets go of what is mapped into memory; it is mapped again when it is needed."""
        self._state, self._partitions, self._open = _NEVER, (), {}

    def version(self, customer: int) -> int:
        """The last `seq` of a customer's behaviour; 0 when there is none here."""
        newest = 0
        for partition in self.partitions():
            own = partition.behaviour_of(customer)
            if own.start < own.stop:
                newest = max(newest, int(partition.arrival[own.stop - 1]) + partition.first_seq)
        return newest

    def count(self, customer: int) -> int:
        """How many events of a customer's behaviour are here."""
        own = (partition.behaviour_of(customer) for partition in self.partitions())
        return sum(rows.stop - rows.start for rows in own)

    def rows(self, customer: int, newest: int | None = None) -> list[HistoryRowByNumber]:
        """A customer's behaviour on items: seq, item, kind, timestamp, position, quantity, rating; of each partition
        its last `newest` rows alone, where that is given."""
        found: list[HistoryRowByNumber] = []
        for partition in self.partitions():
            own = partition.behaviour_of(customer)
            if own.start == own.stop:
                continue
            piece = partition.piece(own if newest is None else slice(max(own.start, own.stop - newest), own.stop))
            numbers = (
                [None if absent else value for value, absent in zip(values.tolist(), missing, strict=True)]
                if missing is not None
                else values.tolist()
                for values, missing in (piece.numbers[name] for name in HISTORY_NUMBERS)
            )
            rows = zip(piece.seq.tolist(), piece.item.tolist(), piece.kind.tolist(), *numbers, strict=True)
            found += [row for row in rows if row[1]]
        return found

    def events_of(self, customer: int) -> pl.DataFrame:
        """Everything of a customer, exposures too: a frame in `partition.ROWS`."""
        parts = [pl.DataFrame(schema=partitions.ROWS)]
        for partition in self.partitions():
            own = partition.everything_of(customer)
            if own.start < own.stop:
                parts.append(partition.rows(own))
        return pl.concat(parts)

    def erase(self, customers: Sequence[int]) -> None:
        """Removes everything of these customers, who are nobody's numbers any more; outside of transactions.

        A partition is written anew beside the old one, while others go on writing, and then takes its place.
        """
        self._remove_unfinished()
        for name, details in self._database.query(_LISTED):
            partition = Partition.open(self._folder / name, orjson.loads(details))
            if not np.isin(customers, partition.customers).any():
                continue
            unfinished = self._folder / f"{_ERASING}{os.getpid()}-{secrets.token_hex(8)}"
            try:
                self._replace(partition, customers, unfinished)
            except OSError as error:
                raise self._refused(error) from error
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)

    def _replace(self, partition: Partition, customers: Sequence[int], unfinished: Path) -> None:
        """Puts what others did in a partition in its place."""
        rows = partition.rows().filter(~pl.col("customer").is_in(list(customers)))
        details = None
        if rows.height:
            details = partitions.write(unfinished, rows)
            partitions.seal(unfinished)
        with self._database.transaction():
            if not self._database.query(_IS_LISTED, (partition.folder.name,)):
                return  # Somebody else did it.
            self._database.run(_DROP, (partition.folder.name,))
            if details is not None:
                folder = self._folder / _new_name(rows)
                unfinished.rename(folder)
                sync(self._folder)
                self._database.run(_ADD, (folder.name, details["first_seq"], orjson.dumps(details).decode()))
            self._changed()
        shutil.rmtree(partition.folder)

    def _remove_unfinished(self) -> None:
        """Removes what processes that were killed left of `erase`."""
        for path in self._folder.glob(f"{_ERASING}*"):
            pid = path.name.removeprefix(_ERASING).partition("-")[0]
            if pid.isdigit() and not runs(int(pid)):
                shutil.rmtree(path, ignore_errors=True)

    def seqs(self, event_ids: Sequence[str]) -> list[tuple[int, str, int]]:
        """Customer, id and `seq` of those of these events that are here."""
        found = []
        for partition, places, rows in self._places(event_ids):
            owners, seqs = partition.customer_of(rows), partition.seq_of(rows)
            found += [
                (int(owner), event_ids[place], int(seq)) for place, owner, seq in zip(places, owners, seqs, strict=True)
            ]
        return found

    def known(self, event_ids: Sequence[str]) -> set[str]:
        """Those of these events that are here."""
        return {event_ids[place] for _, places, _ in self._places(event_ids) for place in places}

    def _places(self, event_ids: Sequence[str]) -> Iterable[tuple[Partition, list[int], Places]]:
        there = self.partitions()
        if not there or not event_ids:
            return
        wanted = IdColumn.of(event_ids)
        hashes = wanted.hashes()
        for partition in there:
            rows = partition.find(wanted, hashes)
            places = np.flatnonzero(rows >= 0)
            if len(places):
                yield partition, places.tolist(), rows[places]

    def known_of_many(self, event_ids: pl.Series) -> set[str]:
        """Those of these events that are stored, here or as live rows; inside a write transaction.

        Looking each id up in every partition and in the table takes time that grows with all of them. When much is
        asked, the hashes of everything stored are put into one set first, and only what is in it is looked up.
        """
        self._begin()
        hashes = IdColumn.of(event_ids).hashes()
        self._asked += len(hashes)
        if self._seen is None and self._asked * _FILTER_SHARE >= self._stored():
            self._seen = self._everything()
        suspects = event_ids if self._seen is None else event_ids.filter(pl.Series(self._seen.has(hashes)))
        asked = suspects.sort().to_list()
        return known_ids(self._database, asked) | self.known(asked)

    def noted(self, event_ids: pl.Series | Sequence[str]) -> None:
        """These events were stored in this transaction: later questions count them.

        That a part of the transaction may be taken back does no harm: what is in the set is looked up all the same.
        """
        if self._seen is not None and self._transaction == self._database.transactions:
            self._seen.add(IdColumn.of(event_ids).hashes())

    def stage(self, rows: pl.DataFrame, progress: Callable[[int], None] | None) -> None:
        """Adds a partition of these rows, in `partition.ROWS` and its order; inside a write transaction."""
        self._begin()
        self._add(rows, progress, quickly=True)

    def _add(self, rows: pl.DataFrame, progress: Callable[[int], None] | None, *, quickly: bool) -> Path:
        name = _new_name(rows)
        try:
            details = partitions.write(self._folder / name, rows, progress, quickly=quickly)
        except OSError as error:
            raise self._refused(error) from error
        self._database.run(_ADD, (name, details["first_seq"], orjson.dumps(details).decode()))
        self._changed()
        return self._folder / name

    def _changed(self) -> None:
        # Random and not counted up: a transaction that is taken back must not leave a number that another one gives
        # out again for something else.
        self._database.run("UPDATE meta SET value = ? WHERE key = 'archive'", (secrets.token_hex(8),))

    def _begin(self) -> None:
        """Forgets what held for an earlier transaction and removes what it may have left."""
        if self._transaction == self._database.transactions:
            return
        self._transaction = self._database.transactions
        self._asked, self._seen = 0, None
        self._committed = listed = frozenset(folder for folder, _ in self._database.query(_LISTED))
        try:
            for path in self._folder.iterdir() if self._folder.is_dir() else ():
                # Only what a partition could be called: whatever else lies there is not ours.
                if path.name not in listed and _PARTITION.fullmatch(path.name) and path.is_dir():
                    shutil.rmtree(path)
        except OSError as error:
            raise self._refused(error) from error

    def _merge_new(self) -> None:
        """Merges the partitions that this transaction added into few large ones and waits for the disk."""
        if self._transaction != self._database.transactions:
            return
        self._transaction, self._seen = -1, None
        new = [each for each in self.partitions() if each.folder.name not in self._committed]
        try:
            for group in _groups(new):
                if len(group) == 1:
                    partitions.seal(group[0].folder)
                    continue
                rows = pl.concat([each.rows() for each in group], rechunk=True)
                # Partitions come in order of arrival: sorting by customer and exposure keeps it within both.
                key = rows["customer"].to_numpy() * 2 + rows["exposure"].to_numpy()
                for each in group:
                    self._database.run(_DROP, (each.folder.name,))
                partitions.seal(self._add(rows[np.argsort(key, kind="stable")], None, quickly=False))
                for each in group:
                    shutil.rmtree(each.folder)
        except OSError as error:
            raise self._refused(error) from error

    def _stored(self) -> int:
        """How many events there are, about."""
        (live,) = self._database.one("SELECT value FROM meta WHERE key = 'last_seq'")
        return int(live)

    def _everything(self) -> HashSet:
        """The hashes of all events that are stored."""
        seen = HashSet()
        for partition in self.partitions():
            seen.add(partition.hashes)
        for rows in self._database.chunks(_LIVE_IDS, (), _LIVE_AT_ONCE):
            seen.add(IdColumn.of([event_id for (event_id,) in rows]).hashes())
        return seen

    def _refused(self, error: OSError) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"the store's archive {self._folder} cannot be written: {error}; nothing of this write was stored",
            remedy="see that there is room on that disk and that this user may write there, then try again",
        )


def _new_name(rows: pl.DataFrame) -> str:
    """A folder's name that was never used before."""
    return f"{int(rows['seq'].min()):012d}-{secrets.token_hex(8)}"  # type: ignore[arg-type]


def _groups(new: Sequence[Partition]) -> list[list[Partition]]:
    """Partitions in their order, so many together that each group has about `PARTITION_ROWS` rows."""
    groups: list[list[Partition]] = []
    size = PARTITION_ROWS
    for partition in new:
        if size + len(partition) > PARTITION_ROWS:
            groups.append([])
            size = 0
        groups[-1].append(partition)
        size += len(partition)
    return groups
