"""What the rest of the project asks of a database. Small protocols; every implementation runs the same contract tests.

The store is the only durable truth. When a write method returns, what it wrote survives a power cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from recsys.data.events import Event
from recsys.data.history import StoredHistory
from recsys.data.interactions import EventTable


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a frame of rows: how many were new and how many were there before."""

    added: int
    known: int


class EventStore(Protocol):
    """The events of all customers, each exactly once, by `event_id`."""

    def append(self, events: Sequence[Event]) -> list[bool]:
        """Stores live events; True for each that is new, False for one whose `event_id` was there (or came before
        in the same call). All or nothing: StoreUnavailableError means that none of them is stored."""
        ...

    def ingest(self, events: pl.DataFrame) -> Ingested:
        """Stores a frame in `EVENT_SCHEMA`, already checked; rows whose `event_id` is there already change nothing."""
        ...

    def history(self, customer_id: str, limit: int) -> StoredHistory:
        """The newest `limit` events of a customer's history that name an item; empty, version 0, for one unknown.

        Newest by timestamp, then position, then arrival. Undone events and undos are left out (an undo that is itself
        undone takes nothing back; an undo works only on the same customer's events, whichever of the two arrived
        first), exposures too.
        """
        ...

    def version(self, customer_id: str) -> int:
        """The history version alone, cheaply; equal versions mean equal histories."""
        ...

    def read(self) -> EventTable:
        """All customers' histories, as one consistent state, for training."""
        ...

    def summary(self) -> Mapping[str, Any]:
        """Counts for people: `customers`, `items`, `events` (dict of kind to number), `first` and `last` timestamps
        (milliseconds UTC or None)."""
        ...


class CatalogStore(Protocol):
    """What is known of items, in `ITEM_SCHEMA`."""

    def put(self, items: pl.DataFrame) -> Ingested:
        """Adds or replaces items (whole rows) from a frame in `ITEM_SCHEMA`; an equal row changes nothing."""
        ...

    def read(self) -> pl.DataFrame:
        """All items that have a row, in `ITEM_SCHEMA`, ordered by id."""
        ...

    def get(self, item_ids: Sequence[str]) -> pl.DataFrame:
        """The rows of these items, in `ITEM_SCHEMA`; those without a row are left out."""
        ...

    def version(self) -> int:
        """Grows when any item changes; cheap."""
        ...


class CustomerStore(Protocol):
    """What is known of customers, in `CUSTOMER_SCHEMA`."""

    def put(self, customers: pl.DataFrame) -> Ingested:
        """Adds or replaces customers (whole rows) from a frame in `CUSTOMER_SCHEMA`; an equal row changes nothing."""
        ...

    def read(self) -> pl.DataFrame:
        """All customers that have a row, in `CUSTOMER_SCHEMA`, ordered by id."""
        ...

    def get(self, customer_ids: Sequence[str]) -> pl.DataFrame:
        """The rows of these customers, in `CUSTOMER_SCHEMA`; those without a row are left out."""
        ...


class Store(Protocol):
    """One database: its parts, and what holds for all of them. Usable from one thread at a time."""

    @property
    def events(self) -> EventStore: ...

    @property
    def catalog(self) -> CatalogStore: ...

    @property
    def customers(self) -> CustomerStore: ...

    def transaction(self) -> AbstractContextManager[None]:
        """Everything written inside is stored together when the block ends, or not at all when it raises."""
        ...

    def changes(self) -> int:
        """A number that differs whenever anything was written by another connection or process since the last call
        with the other value: while it stays equal, everything read before is still true. The cheapest check there is
        (microseconds)."""
        ...

    def secret(self) -> bytes:
        """32 random bytes, made when the store was made and the same ever after: the key for signed tokens."""
        ...

    def close(self) -> None: ...
