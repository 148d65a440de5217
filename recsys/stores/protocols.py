"""What the rest of the project asks of a database. Small protocols; every implementation runs the same contract tests.

The store is the only durable truth. When a write method returns, what it wrote survives a power cut. Text may hold any
Unicode but NUL and lone surrogates, which no database takes: writing one raises InputError, and asking for an id with
one finds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, overload

import polars as pl

from recsys.data.catalog import CatalogChanges
from recsys.data.events import Event, EventKind
from recsys.data.history import StoredHistory
from recsys.data.interactions import EventTable
from recsys.data.profile import Consent, Profile
from recsys.outcomes.exposure import ArmAnswers, Exposure
from recsys.stores.access import AuditStore, KeyStore
from recsys.stores.facts import FactStore
from recsys.stores.ledger import AddressStore, LedgerStore


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a frame of rows; the numbers sum to its height.

    Attributes
    ----------
    added : rows whose id was new.
    known : rows that changed nothing: the same was there before, or another row of the same frame with the same id
        counted instead (the first of two events, the last of two items or customers).
    changed : rows that replaced a different row with the same id; never events.
    forgotten : rows of customers who asked to be forgotten; they were left out.
    """

    added: int
    known: int
    changed: int = 0
    forgotten: int = 0


RESPONSE_SCHEMA: dict[str, pl.DataType] = {
    "item_id": pl.String(),
    "impressions": pl.Int64(),
    "clicks": pl.Int64(),
    "purchases": pl.Int64(),
}
"""Counts by item; every item at most once."""


@dataclass(frozen=True, slots=True)
class Responses:
    """What became of items that were shown.

    Attributes
    ----------
    items : in `RESPONSE_SCHEMA`, ordered by id; items of which nothing is counted are left out.
    last : what the next reading goes on from.
    """

    items: pl.DataFrame
    last: int


class EventStore(Protocol):
    """The events of all customers, each exactly once, by `event_id`."""

    def append(self, events: Sequence[Event]) -> list[bool]:
        """Stores live events; True for each that is new, False for one whose `event_id` was there (or came before
        in the same call). All or nothing: StoreUnavailableError means that none of them is stored, and so does
        InputError, for an event that no store can hold (an empty or overlong id, a kind without the item it needs, a
        number that is not finite, an `undo` whose context names no event), and ForgottenCustomerError."""
        ...

    def ingest(self, events: pl.DataFrame, progress: Callable[[int], None] | None = None) -> Ingested:
        """Stores a frame in `EVENT_SCHEMA`, already checked; rows whose `event_id` is there already change nothing, and
        those of forgotten customers are left out.

        All or nothing, and InputError, as in `append`. `progress` is called now and then with the number of rows of
        the frame that are dealt with, last of all with its height. In memory it needs a few times the frame's size.
        """
        ...

    def read(self, as_of: int | None = None) -> EventTable:
        """All customers' histories, as one consistent state, for training. While it reads it needs up to
        about 250 bytes of memory per event; the table it returns needs 33.

        With a time (milliseconds UTC) an undo made then or later takes nothing back; the events of later are there all
        the same.
        """
        ...

    def responses(self, after: int, since: int, within: int) -> Responses:
        """How often each item was shown, and how often it was clicked and bought by a person who had been shown it: a
        visitor who turned out to be a customer is one person with them.

        Counted are impressions, clicks and purchases that arrived after `after` (`last` of an earlier reading; 0 for
        all) and happened at `since` (milliseconds UTC) or later; of clicks and purchases those that happened when or at
        most `within` milliseconds after the person was shown the item, whenever that arrived. Events without a time and
        what is taken back by now are left out. Costs what is new, and what those who clicked or bought were shown.
        """
        ...

    def period(self, kinds: Collection[EventKind], since: int, until: int) -> pl.DataFrame:
        """Events of these kinds from `since` up to and without `until` (milliseconds UTC), in `OUTCOME_SCHEMA` and in
        order of arrival, exposures too. What was taken back and what has no time is left out; everything a person did
        is under the one id of the customer."""
        ...

    def summary(self) -> Mapping[str, Any]:
        """Counts for people: `customers`, `items`, `events` (dict of kind to number), `first` and `last` timestamps
        (milliseconds UTC or None). Undone events, undos and exposures are counted too."""
        ...


class HistoryStore(Protocol):
    """What each customer did, one customer at a time.

    Whoever was met as a visitor and merged into a customer has the customer's history.
    """

    def get(self, customer_id: str, limit: int) -> StoredHistory:
        """The newest `limit` (0 or more, else InputError) events of a customer's history that name an item; empty,
        version 0, for one unknown.

        Newest by timestamp, then position, then arrival; an unknown timestamp or position is older than any known
        one. Of the older ones `earlier` says which kinds of event there were on which item. Undone events and undos
        are left out (an undo that is itself undone takes nothing back; an undo works only on the same customer's
        events, whichever of the two arrived first; of undos that name each other in a circle the one that arrived last
        counts), exposures too.
        """
        ...

    def at_once(self, customer_id: str, limit: int, most: int) -> StoredHistory | None:
        """The same; None where more than `most` events would have to be read one by one, so that no single customer
        holds up all others. After `pack` it is there at once."""
        ...

    def recent(self, customer_id: str, limit: int, most: int) -> StoredHistory:
        """What is said by the packed row and by the `most` events that arrived last, or by these alone where there is
        no such row: quickly, however many there are. For an answer that cannot wait for all of them. What was taken
        back may count; its version is not to be relied on."""
        ...

    def version(self, customer_id: str) -> int:
        """The history version alone, cheaply; equal versions mean equal histories."""
        ...

    def shown(self, customer_id: str, limit: int) -> tuple[int, Sequence[tuple[str, int]]]:
        """The newest `limit` impressions of a customer by arrival, item and time (milliseconds UTC), and their version.
        Those without a time or an item are left out, and those that the archive took: it keeps what is long ago."""
        ...

    def shown_version(self, customer_id: str) -> int:
        """The version of the impressions alone, cheaply; equal versions mean equal impressions."""
        ...

    def pack(self, customer_ids: Sequence[str]) -> None:
        """Puts what is known of these customers into one piece each, from which it is read quickly. Changes no
        history and no version."""
        ...


class CatalogStore(Protocol):
    """What is known of items, in `ITEM_SCHEMA`, and which the shop took off."""

    def put(self, items: pl.DataFrame) -> Ingested:
        """Adds or replaces items (whole rows) from a frame in `ITEM_SCHEMA`; an equal row changes nothing. An item that
        was removed is back, and counts as added."""
        ...

    def remove(self, item_ids: Sequence[str]) -> list[bool]:
        """Takes items off for good: their rows are gone, and they are told apart from items that never had a row, so
        that models which know them from events do not show them. Their events stay. True for each item that was there,
        with a row or in an event; False for one unknown, removed before, or named before in the same call."""
        ...

    def read(self) -> pl.DataFrame:
        """All items that have a row, in `ITEM_SCHEMA`, ordered by id."""
        ...

    def get(self, item_ids: Sequence[str]) -> pl.DataFrame:
        """The rows of these items, in `ITEM_SCHEMA`, ordered by id, each once; those without a row are left out."""
        ...

    @overload
    def changes(self, since: int) -> CatalogChanges: ...

    @overload
    def changes(self, since: int, at_most: int | None, also: Collection[str] = ()) -> CatalogChanges | None: ...

    def changes(self, since: int, at_most: int | None = None, also: Collection[str] = ()) -> CatalogChanges | None:
        """What changed after `since`, an earlier version of the catalogue, as one consistent state; `UNREAD` gives all
        there is, and so may any version before a put of very many rows. The items `also` count as changed. None,
        quickly, when that is more than `at_most` items. Costs what changed, whatever the size of the catalogue."""
        ...

    def version(self) -> int:
        """Grows when any item changes or is removed; cheap."""
        ...


class CustomerStore(Protocol):
    """What is known of customers, in `CUSTOMER_SCHEMA`."""

    def put(self, customers: pl.DataFrame) -> Ingested:
        """Adds or replaces customers (whole rows) from a frame in `CUSTOMER_SCHEMA`; an equal row changes nothing, and
        one of a forgotten customer is left out."""
        ...

    def read(self) -> pl.DataFrame:
        """All customers that have a row, in `CUSTOMER_SCHEMA`, ordered by id."""
        ...

    def get(self, customer_ids: Sequence[str]) -> pl.DataFrame:
        """The rows of these customers, in `CUSTOMER_SCHEMA`, ordered by id, each once; those without a row are left
        out."""
        ...

    def permissions(self, purpose: str) -> pl.DataFrame:
        """What is in force of what everybody said of a purpose and of recommendations, in `PERMISSION_SCHEMA`, ordered
        by id; those who said nothing of either are left out. The same as `ProfileStore.get` says of each."""
        ...

    def sample(self, size: int, seed: int) -> Sequence[str]:
        """At most so many customers, with a row or an event, drawn by `seed` (0 to 2³² − 1), the same ones as long as
        there are no new ones; a visitor who turned out to be a customer is none. Looks at every customer's id."""
        ...


PERMISSION_SCHEMA: dict[str, pl.DataType] = {
    "customer_id": pl.String(),
    "granted": pl.Boolean(),
    "recommendations": pl.Boolean(),
}
"""What customers said: `granted` is null where nothing was said of the purpose; `recommendations` is false once they
were switched off."""


class ProfileStore(Protocol):
    """What customers said about being served, and which ids are one person."""

    def get(self, customer_id: str) -> Profile:
        """Everything in force for a customer; of a visitor who was merged, the customer's. One unknown said nothing."""
        ...

    def version(self, customer_id: str) -> int:
        """The profile's version alone, cheaply; equal versions mean equal profiles."""
        ...

    def put(
        self, customer_id: str, consents: Sequence[Consent] = (), *, recommendations: bool | None = None
    ) -> Profile:
        """Adds statements and switches recommendations on or off (None leaves them); returns what is in force then. A
        statement that is there already changes nothing. Raises InputError for an id or a statement that cannot be
        kept, and ForgottenCustomerError."""
        ...

    def statements(self, customer_id: str) -> Sequence[Consent]:
        """Every statement ever made, under any of the person's ids, in order of arrival."""
        ...

    def merge(self, visitor_id: str, customer_id: str, at: int) -> bool:
        """From now on a visitor is this customer: what either did is one history, and whichever id is asked for, the
        answer is the same. Refusals survive: where one of the two had said no and the other yes it is no as of `at`
        (milliseconds UTC), and recommendations are off where they were off for one. False when they were one person
        already; InputError for an id that cannot be kept and for twice the same."""
        ...

    def consenting(self, purpose: str) -> Sequence[str]:
        """The customers, ascending, who may be served for a purpose and did not switch recommendations off."""
        ...


@dataclass(frozen=True, slots=True)
class Erased:
    """What was removed of one person.

    Attributes
    ----------
    ids : the person's ids; the one asked for, the customer they were merged into, and the visitors.
    at : when it was first asked for, milliseconds UTC.
    events, rows, consents, exposures : how many events, rows of attributes, statements of consent and days on which
        they were served an arm of an experiment were removed.
    """

    ids: tuple[str, ...]
    at: int
    events: int
    rows: int
    consents: int
    exposures: int = 0


class PersonStore(Protocol):
    """Everything that is stored of one person, to hand it over or to remove it."""

    def events(self, customer_id: str) -> pl.DataFrame:
        """All events under any of the person's ids, exposures and what was taken back included, in `EVENT_SCHEMA`, in
        order of arrival."""
        ...

    def known(self, customer_id: str) -> bool:
        """Whether anything was ever stored of a customer who is not forgotten."""
        ...

    def forget(self, customer_id: str, at: int) -> Erased:
        """Removes a person from the database and the archive, under all their ids; when it returns, no file of the
        store holds anything of them but a keyed hash of each id, which keeps later writes from bringing them back.

        At once nobody sees them any more; that much holds even when the process is killed before this returns, and
        asking again does what is left. Asking again later removes nothing and tells when it was first asked.
        Raises UnknownCustomerError, and StoreUnavailableError while somebody else keeps old pages of the file in use:
        then everything is removed but these, and asking again tries again.
        """
        ...

    def forgotten(self, customer_ids: Sequence[str]) -> Mapping[str, int]:
        """Those of these ids whose owners asked to be forgotten, and when."""
        ...

    def forgetting(self) -> int:
        """A number that grows whenever somebody is forgotten: copies made before are then to be thrown away."""
        ...


class ExposureStore(Protocol):
    """Which arms of experiments customers were served, and how the answers of each arm were."""

    def record(self, exposures: Sequence[Exposure], answers: Sequence[ArmAnswers] = ()) -> None:
        """Keeps the first exposure of each customer, experiment, arm and day, and adds `answers` to those of the same
        arm and day. Those of forgotten customers are left out. All or nothing; raises InputError for an id that cannot
        be kept, and StoreUnavailableError."""
        ...

    def served(self, experiment: str, until: int) -> pl.DataFrame:
        """Who was served which arm up to a moment (milliseconds UTC), in `EXPOSURE_SCHEMA`: a row for each id and arm,
        under the id of the person, in no order. A person who was met under several ids has several rows."""
        ...

    def answered(self, experiment: str) -> pl.DataFrame:
        """How the answers of each arm were, in `ANSWERS_SCHEMA`, by day and arm."""
        ...

    def of_person(self, customer_id: str) -> Sequence[Exposure]:
        """All of one person, under any of their ids, in order of time."""
        ...

    def experiments(self) -> Sequence[str]:
        """The names of those of which anything was recorded, ascending."""
        ...


class Store(Protocol):
    """One database: its parts, and what holds for all of them.

    Usable from one thread at a time: threads may hand it to one another (an event loop to its pool and back), but two
    must never be inside it at once. A child process opens its own.
    """

    @property
    def events(self) -> EventStore: ...

    @property
    def histories(self) -> HistoryStore: ...

    @property
    def catalog(self) -> CatalogStore: ...

    @property
    def customers(self) -> CustomerStore: ...

    @property
    def profiles(self) -> ProfileStore: ...

    @property
    def persons(self) -> PersonStore: ...

    @property
    def keys(self) -> KeyStore: ...

    @property
    def audit(self) -> AuditStore: ...

    @property
    def exposures(self) -> ExposureStore: ...

    @property
    def facts(self) -> FactStore: ...

    @property
    def ledger(self) -> LedgerStore: ...

    @property
    def addresses(self) -> AddressStore: ...

    def transaction(self) -> AbstractContextManager[None]:
        """Everything written inside is stored together when the block ends, or not at all when it raises.

        Blocks nest: an inner block that raises takes back what it wrote, and what the outer block wrote is stored or
        not with the outer block. Writes by others wait meanwhile; reads by others see the state before.
        """
        ...

    def changes(self) -> int:
        """A number that differs whenever anything was written, by this store or by another connection or process,
        since the last call: while it stays equal, everything read before is still true. It may also differ when
        nothing was written. The cheapest check there is (microseconds)."""
        ...

    def secret(self) -> bytes:
        """32 random bytes, made when the store was made and the same ever after: the key for signed tokens."""
        ...

    def close(self) -> None:
        """Ends the use of the database; a transaction that is still open is taken back. Closing twice is fine."""
        ...
