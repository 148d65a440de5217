"""Text ids and the integers that stand for them inside the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.stores.sqlite.database import Database, as_json

ROOT = "coalesce(merged_into, customer)"
"""In SQL: the number of the customer that a row of `customers` stands for, itself or what the visitor became."""
ROOT_OF_ID = f"(SELECT {ROOT} FROM customers WHERE customer_id = ?)"  # noqa: S608
"""In SQL: the same of an id."""


class Names:
    """The ids of one table, `customers` or `items`: column `customer` and `customer_id`, or `item` and `item_id`."""

    def __init__(self, database: Database, table: str, number: str) -> None:
        self._database = database
        text = f"{number}_id"
        self._find = f"SELECT {text}, {number} FROM json_each(?) CROSS JOIN {table} ON {text} = value"  # noqa: S608
        self._add = f"INSERT INTO {table} ({number}, {text}) VALUES (?, ?)"  # noqa: S608
        self._last = (
            f"SELECT max(coalesce((SELECT max({number}) FROM {table}), 0),"  # noqa: S608
            f" coalesce((SELECT value FROM meta WHERE key = 'last_{number}'), 0))"
        )
        self._all = f"SELECT {number}, {text} FROM {table} ORDER BY {number}"  # noqa: S608
        self._texts = f"SELECT {number}, {text} FROM {table} WHERE {number} IN (SELECT value FROM json_each(?))"  # noqa: S608
        self._kept: dict[str, int] = {}
        self._kept_in = (-1, -1)

    def intern(self, ids: Collection[str]) -> dict[str, int]:
        """The numbers of these ids, new ones for those that have none; inside a write transaction only."""
        moment = (self._database.transactions, self._database.taken_back)
        if self._kept_in != moment:
            self._kept, self._kept_in = {}, moment
        # In the order of the index, so that neighbours in it are met and made one after the other.
        unmet = sorted({identifier for identifier in ids if identifier not in self._kept})
        if unmet:
            numbers: dict[str, int] = dict(self._database.matching(self._find, unmet))
            missing = [identifier for identifier in unmet if identifier not in numbers]
            if missing:
                (last,) = self._database.one(self._last)
                added = dict(zip(missing, range(last + 1, last + 1 + len(missing)), strict=True))
                self._database.run_many(self._add, ((number, identifier) for identifier, number in added.items()))
                numbers |= added
            # The files of one import name the same items again and again: each is asked for once in a transaction.
            self._kept |= numbers
        return {identifier: self._kept[identifier] for identifier in ids}

    def forget(self) -> None:
        """Lets go of what `intern` kept for the transaction under way."""
        self._kept = {}

    def number(self, identifier: str) -> int | None:
        """The number of one id, or None."""
        for _, number in self._database.matching(self._find, [identifier]):
            return int(number)
        return None

    def texts(self, numbers: Sequence[int]) -> dict[int, str]:
        """The ids of these numbers."""
        return dict(self._database.query(self._texts, (as_json(numbers),)))

    def all(self, merged: Mapping[int, int]) -> tuple[pl.Series, npt.NDArray[np.int32]]:
        """All ids, and the row of each number among them: int32, shape (largest number + 1,), -1 where none is.

        `merged` tells of numbers that stand for another one: they have its row, and their ids are left out.
        """
        rows = self._database.query(self._all)
        largest = rows[-1][0] if rows else 0
        row_of = np.full(largest + 1, -1, dtype=np.int32)
        own = [(number, text) for number, text in rows if number not in merged] if merged else rows
        row_of[np.fromiter((number for number, _ in own), dtype=np.int64, count=len(own))] = np.arange(len(own))
        for number, other in merged.items():
            row_of[number] = row_of[other]
        return pl.Series([text for _, text in own], dtype=pl.String), row_of
