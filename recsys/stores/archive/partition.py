"""One closed partition: the events of many customers, each customer's in one piece."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.durable import sync
from recsys.errors import StoreError
from recsys.stores.archive import event_ids
from recsys.stores.archive.columns import Column, Mask, Numbers, load, save
from recsys.stores.archive.event_ids import Hashes, IdColumn, Places

ROWS: dict[str, pl.DataType] = {
    "customer": pl.Int64(),
    "exposure": pl.Int64(),
    "seq": pl.Int64(),
    "item": pl.Int64(),
    "kind": pl.Int64(),
    "event_id": pl.String(),
    "timestamp": pl.Int64(),
    "position": pl.Int64(),
    "quantity": pl.Float64(),
    "price": pl.Float64(),
    "currency": pl.String(),
    "rating": pl.Float64(),
    "session_id": pl.String(),
    "recommendation_id": pl.String(),
    "context": pl.String(),
}
"""What a partition is written from: all that is known of an event, customers and items as numbers, ascending by
customer, exposure, seq. `seq` is the order of arrival."""

_NUMBERS = ("timestamp", "position", "quantity", "rating")
_SELDOM = ("price", "currency", "session_id", "recommendation_id", "context")
_SELDOM_FILE = "seldom.parquet"
_REMEDY = "bring the folder back from the copy that belongs to this store file"


@dataclass(frozen=True, slots=True)
class Piece:
    """Successive rows of one partition, in its order.

    Attributes
    ----------
    seq : int64; order of arrival, over the whole store.
    item : int32; 0 where there is none.
    kind : int8.
    numbers : timestamp, position, quantity, rating: values, and which are missing.
    """

    seq: npt.NDArray[np.int64]
    item: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    numbers: Mapping[str, tuple[Numbers, Mask | None]]


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition on disk, mapped into memory.

    Attributes
    ----------
    folder : where it lies.
    details : what `write` returned.
    customers : int32, shape (m,); the numbers of its customers, ascending.
    starts : int64, shape (m + 1,); the rows of customer `i` are `starts[i]:starts[i + 1]`.
    behaviour : int64, shape (m,); where customer `i`'s exposures begin: behaviour comes first.
    arrival : uint32, shape (n,); seq less the partition's first.
    item, kind : int32 and int8, shape (n,).
    ids : the event ids, in order of rows.
    hashes, hash_rows : the ids' hashes ascending, and the row of each.
    numbers : the columns of numbers that histories need.
    """

    folder: Path
    details: Mapping[str, Any]
    customers: npt.NDArray[np.int32]
    starts: Places
    behaviour: Places
    arrival: npt.NDArray[np.uint32]
    item: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    ids: IdColumn
    hashes: Hashes
    hash_rows: npt.NDArray[np.uint32]
    numbers: Mapping[str, Column]

    @classmethod
    def open(cls, folder: Path, details: Mapping[str, Any]) -> Self:
        """The partition in a folder; StoreError when it is not there as it was written."""
        for name, size in details["files"].items():
            path = folder / name
            found = path.stat().st_size if path.is_file() else None
            if found != size:
                raise StoreError(
                    f"the store's archive is damaged: {path} "
                    + ("is missing" if found is None else f"has {found:,} bytes"),
                    expected=f"a file of {size:,} bytes",
                    remedy=_REMEDY,
                )
        try:
            return cls(
                folder=folder,
                details=details,
                customers=load(folder, "customers"),
                starts=load(folder, "starts"),
                behaviour=load(folder, "behaviour"),
                arrival=load(folder, "arrival"),
                item=load(folder, "item"),
                kind=load(folder, "kind"),
                ids=IdColumn(load(folder, "ids"), load(folder, "id_offsets")),
                hashes=load(folder, "hashes"),
                hash_rows=load(folder, "hash_rows"),
                numbers={name: Column.open(folder, name, details["columns"][name]) for name in _NUMBERS},
            )
        except (OSError, ValueError) as error:
            raise StoreError(f"the store's archive is damaged: {folder}: {error}", remedy=_REMEDY) from error

    def __len__(self) -> int:
        return len(self.item)

    @property
    def first_seq(self) -> int:
        """The smallest `seq`."""
        return int(self.details["first_seq"])

    def behaviour_of(self, customer: int) -> slice:
        """The rows of one customer's behaviour, exposures left out; empty for a customer without any."""
        place = int(np.searchsorted(self.customers, np.int32(customer)))
        if place == len(self.customers) or self.customers[place] != customer:
            return slice(0, 0)
        return slice(int(self.starts[place]), int(self.behaviour[place]))

    def everything_of(self, customer: int) -> slice:
        """The rows of one customer, exposures too."""
        place = int(np.searchsorted(self.customers, np.int32(customer)))
        if place == len(self.customers) or self.customers[place] != customer:
            return slice(0, 0)
        return slice(int(self.starts[place]), int(self.starts[place + 1]))

    def customer_of(self, rows: Places) -> npt.NDArray[np.int32]:
        """The customers of some rows."""
        return self.customers[np.searchsorted(self.starts, rows, side="right") - 1]

    def seq_of(self, rows: Places | slice) -> npt.NDArray[np.int64]:
        """The order of arrival of some rows."""
        return self.arrival[rows].astype(np.int64) + self.first_seq

    def piece(self, rows: slice) -> Piece:
        """Successive rows."""
        return Piece(
            seq=self.seq_of(rows),
            item=self.item[rows],
            kind=self.kind[rows],
            numbers={name: column.part(rows.start, rows.stop) for name, column in self.numbers.items()},
        )

    def find(self, wanted: IdColumn, hashes: Hashes) -> Places:
        """The row of each event: int64, -1 for one that is not here."""
        return event_ids.find(wanted, hashes, self.ids, self.hashes, self.hash_rows)

    def rows(self, part: slice | None = None, *, without_ids: bool = False) -> pl.DataFrame:
        """Everything, or successive rows, as it was written: a frame in `ROWS`. Making texts of the events' ids takes
        most of the time; where they are not needed they are null."""
        first, last = (part.start, part.stop) if part is not None else (0, len(self))
        size = last - first
        rows = np.arange(first, last)
        owner = np.searchsorted(self.starts, rows, side="right") - 1
        numbers = {name: _series(name, *column.part(first, last)) for name, column in self.numbers.items()}
        item = self.item[first:last].astype(np.int64)
        columns = {
            "customer": pl.Series(self.customers[owner].astype(np.int64)),
            "exposure": pl.Series((rows >= self.behaviour[owner]).astype(np.int64)),
            "seq": pl.Series(self.seq_of(slice(first, last))),
            "item": _series("item", item, item == 0),
            "kind": pl.Series(self.kind[first:last].astype(np.int64)),
            **({} if without_ids else {"event_id": self.ids.texts(first, last)}),
            **numbers,
        }
        seldom = pl.scan_parquet(self.folder / _SELDOM_FILE)
        names = seldom.collect_schema().names()
        columns |= {column.name: column for column in (seldom.slice(first, size).collect() if names else ())}
        nothing = pl.Series([None], dtype=pl.Null).new_from_index(0, size)
        return pl.DataFrame([columns.get(name, nothing).cast(dtype).alias(name) for name, dtype in ROWS.items()])

    def some(self, rows: Places, numbers: Collection[str], seldom: Collection[str]) -> pl.DataFrame:
        """Some rows, ascending: customer, seq, item and kind, and of the other columns those named; much quicker than
        all rows, of which most are then left out. A column that nothing is known of is null."""
        item = self.item[rows].astype(np.int64)
        columns = {
            "customer": pl.Series(self.customer_of(rows).astype(np.int64)),
            "seq": pl.Series(self.seq_of(rows)),
            "item": _series("item", item, item == 0),
            "kind": pl.Series(self.kind[rows].astype(np.int64)),
        }
        for name in numbers:
            values, missing = self.numbers[name].part(0, len(self))
            columns[name] = _series(name, values[rows], None if missing is None else missing[rows])
        scan = pl.scan_parquet(self.folder / _SELDOM_FILE)
        there = scan.collect_schema().names()
        places = pl.Series(rows)
        for name in seldom:
            if name in there:
                columns[name] = scan.select(name).collect()[name].gather(places)
            else:
                columns[name] = pl.Series([None], dtype=ROWS[name]).new_from_index(0, len(rows))
        return pl.DataFrame([column.cast(ROWS[name]).alias(name) for name, column in columns.items()])


def write(
    folder: Path, rows: pl.DataFrame, progress: Callable[[int], None] | None = None, *, quickly: bool = False
) -> dict[str, Any]:
    """Writes a partition into a new folder.

    Parameters
    ----------
    rows : in `ROWS` and its order; at least one, at most 2³² − 1.
    progress : called with the number of rows that are as good as written.
    quickly : for a partition that will soon be merged into another: less compression.

    Returns what `Partition.open` needs to know besides the folder. Nothing is waited for: see `seal`.
    """
    folder.mkdir(parents=True)
    told = progress or (lambda _: None)
    size = rows.height
    customer, exposure = rows["customer"].to_numpy(), rows["exposure"].to_numpy()
    firsts = np.flatnonzero(np.append(True, customer[1:] != customer[:-1]))
    starts = np.append(firsts, size).astype(np.int64)
    exposures = np.add.reduceat(exposure, firsts)
    seq = rows["seq"].to_numpy()
    first_seq = int(seq.min())
    save(folder, "customers", customer[firsts].astype(np.int32))
    save(folder, "starts", starts)
    save(folder, "behaviour", starts[1:] - exposures)
    save(folder, "arrival", (seq - first_seq).astype(np.uint32))
    save(folder, "item", rows["item"].fill_null(0).to_numpy().astype(np.int32))
    save(folder, "kind", rows["kind"].to_numpy().astype(np.int8))
    told(size // 4)
    ids = IdColumn.of(rows["event_id"])
    hashes = ids.hashes()
    by_hash = np.argsort(hashes, kind="stable")
    save(folder, "ids", ids.text)
    save(folder, "id_offsets", ids.offsets if ids.offsets[-1] >= 2**32 else ids.offsets.astype(np.uint32))
    save(folder, "hashes", hashes[by_hash])
    save(folder, "hash_rows", by_hash.astype(np.uint32))
    told(size // 2)
    columns = {name: Column.write(folder, name, *_parts(rows[name])) for name in _NUMBERS}
    seldom = rows.select(name for name in _SELDOM if rows[name].null_count() < size)
    seldom.write_parquet(folder / _SELDOM_FILE, compression="lz4" if quickly else "zstd", statistics=False)
    told(size * 3 // 4)
    kinds = rows["kind"].value_counts().sort("kind")
    return {
        "events": size,
        "first_seq": first_seq,
        "last_seq": int(seq.max()),
        "columns": columns,
        "kinds": {str(code): count for code, count in kinds.iter_rows()},
        "first": rows["timestamp"].min(),
        "last": rows["timestamp"].max(),
        "files": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
    }


def seal(folder: Path) -> None:
    """Waits until a partition would survive a power cut."""
    for path in folder.iterdir():
        sync(path)
    sync(folder)
    sync(folder.parent)


def _parts(column: pl.Series) -> tuple[Numbers, Mask | None]:
    missing = column.is_null().to_numpy() if column.null_count() else None
    return column.fill_null(0).to_numpy(), missing


def _series(name: str, values: Numbers, missing: Mask | None) -> pl.Series:
    column = pl.Series(name, values)
    return column if missing is None else column.set(pl.Series(missing), None)
