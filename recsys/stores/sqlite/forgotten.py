"""Who asked to be forgotten: keyed hashes of ids, which say nothing to whoever does not know the id already."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import lru_cache

import polars as pl

from recsys.errors import ForgottenCustomerError
from recsys.stores.sqlite.database import Database

_COUNT = "SELECT value FROM meta WHERE key = 'forgotten'"
_AMONG = "SELECT digest, at FROM forgotten WHERE digest IN (SELECT value FROM json_each(?))"
_ADD = "INSERT OR IGNORE INTO forgotten (digest, at) VALUES (?, ?)"
_GROW = "UPDATE meta SET value = value + 1 WHERE key = 'forgotten'"


class Forgotten:
    """The forgotten of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        (secret,) = database.one("SELECT value FROM meta WHERE key = 'secret'")
        self._secret = bytes(secret)

    def count(self) -> int:
        """How often somebody was forgotten."""
        (count,) = self._database.one(_COUNT)
        return int(count)

    def among(self, customer_ids: Collection[str]) -> dict[str, int]:
        """Those of these ids who are forgotten, and when."""
        # Few shops have any, and every write asks.
        if not self.count():
            return {}
        by_digest = {self._digest(customer_id): customer_id for customer_id in customer_ids}
        return {by_digest[digest]: at for digest, at in self._database.matching(_AMONG, list(by_digest))}

    def check(self, customer_ids: Collection[str]) -> None:
        """Raises ForgottenCustomerError when one of them is."""
        there = self.among(customer_ids)
        if there:
            raise ForgottenCustomerError(sorted(there))

    def add(self, customer_ids: Collection[str], at: int) -> None:
        """From now on these are; inside a write transaction."""
        self._database.run_many(_ADD, [(self._digest(customer_id), at) for customer_id in customer_ids])
        self._database.run(_GROW)

    def _digest(self, customer_id: str) -> str:
        return digest_of(self._secret, customer_id)


def digest_of(secret: bytes, customer_id: str) -> str:
    """What is kept of a forgotten customer's id in the store with this secret."""
    raw = customer_id.encode(errors="surrogatepass")
    return hashlib.blake2b(raw, digest_size=20, key=_key(secret)).hexdigest()


@lru_cache
def _key(secret: bytes) -> bytes:
    return hashlib.blake2b(secret, digest_size=32, person=b"bookmatch.forget").digest()


def without_forgotten(rows: pl.DataFrame, forgotten: Forgotten) -> pl.DataFrame:
    """The rows of a frame with a column `customer_id` whose customers are not forgotten."""
    if "customer_id" not in rows.columns or not forgotten.count():
        return rows
    gone = forgotten.among(rows["customer_id"].drop_nulls().unique().to_list())
    return rows.filter(~pl.col("customer_id").is_in(list(gone))) if gone else rows
