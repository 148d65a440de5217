"""What the store knows this moment: histories, profiles and the catalogue's version, re-read only when something
changed.

An answer whose request starts after an event was acknowledged counts that event, on every worker: before each answer
the store is asked whether anything was written (microseconds); if not, every copy is still true; if so, the customer's
version decides.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import polars as pl

from recsys.bundle import ModelBundle
from recsys.customers.attributes import attributes_of
from recsys.data.history import History
from recsys.data.profile import Profile
from recsys.data.shown import MOST_IMPRESSIONS, NOTHING_SHOWN, Shown
from recsys.data.vocabulary import Vocabulary
from recsys.errors import StoreError
from recsys.stores.protocols import Store
from serving.http.catalog_reading import ReadCatalog, caught_up
from serving.http.moves import Moves
from serving.http.store_handle import Origin, StoreHandle

STORE_UNAVAILABLE = "store_unavailable"
"""The store does not answer: the list was made from an earlier copy of the history, or from what is popular."""

Stamp = tuple[int, int]
"""The state of the store that something was read in: generation of the connection, and its `changes()`."""


HISTORY_UNAVAILABLE = "history_unavailable"
"""Nothing is known of a customer whom the store may well know: it does not answer."""

HISTORY_TOO_LONG = "history_too_long"
"""A history that takes longer to read than one answer may wait: its newest events count, and all of it when it is in
one piece, which is done meanwhile. Such a history is as old as its version says, and less: no list of it is kept."""

MOST_AT_ONCE = 5_000
"""So many events are read one by one for an answer, at most: some milliseconds."""

LOOSE_AT_MOST = 48
"""When more events than so many had to be read one by one, the history is put into one piece for the next time."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A customer as an answer sees them.

    Attributes
    ----------
    history : empty when nothing is known.
    profile : what the customer said; nothing when it is not known.
    degraded : None when both are the store's word of this moment; else why they are not.
    unknown : why nothing is known although the store may know something; None when this is its word, of now or of an
        earlier moment.
    """

    history: History
    profile: Profile
    degraded: str | None = None
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class _Copy:
    bundle: str
    history: History
    profile: Profile
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class _ShownCopy:
    bundle: str
    shown: Shown
    version: int
    stamp: Stamp


class LiveStore:
    """The reading side of one worker, on the event loop's thread.

    Parameters
    ----------
    handle : a connection of its own.
    history_limit : the newest events of a customer that are read.
    max_copies : histories kept; the one used longest ago goes first.
    pack : asks for a customer's history to be put into one piece; returns at once.
    timed : inside of what it gives one read happens, `history` or `catalog`; not when nothing had to be read.
    """

    def __init__(
        self,
        handle: StoreHandle,
        history_limit: int,
        max_copies: int,
        pack: Callable[[str], None] = lambda _: None,
        timed: Callable[[str], AbstractContextManager[object]] = lambda _: nullcontext(),
    ) -> None:
        self._changed: tuple[tuple[int, int], frozenset[str] | None] | None = None
        self._handle = handle
        self._history_limit = history_limit
        self._max_copies = max_copies
        self._pack = pack
        self._timed = timed
        self._copies: OrderedDict[str, _Copy] = OrderedDict()
        self._catalog: tuple[Stamp, int] | None = None
        self._copied_from: Origin | None = None
        self._attributes: OrderedDict[str, tuple[Stamp, Mapping[str, object]]] = OrderedDict()
        self._looked: Stamp | None = None
        self._together: tuple[asyncio.Task[object] | None, Stamp | None] | None = None
        self._forgetting = 0
        self._shown: OrderedDict[str, _ShownCopy] = OrderedDict()
        self._shown_from: Origin | None = None
        self.moves: Moves = {}
        """By which copies of histories that were made for one bundle become those for another."""
        self.when_forgotten: list[Callable[[], None]] = [self._copies.clear, self._shown.clear, self._attributes.clear]
        """What is done before the next answer once somebody was forgotten, here or by another process."""
        self.when_changed: list[Callable[[Store], None]] = []
        """What else is read again, before the next answer, once anything was written."""

    @property
    def secret(self) -> bytes | None:
        """The secret of the store; None while it has never been seen."""
        return self._handle.secret

    @property
    def copies(self) -> int:
        """Histories that are kept; at most `max_copies`."""
        return len(self._copies)

    @property
    def origin(self) -> Origin | None:
        """Which store this is; None while it has never been seen."""
        return self._handle.origin

    def look(self) -> Stamp | None:
        """The state of the store now, None while it does not answer: what a request looks at once, when it starts."""
        try:
            return self._handle.use(self._look)
        except StoreError:
            return None

    def look_together(self) -> Stamp | None:
        """As `look`, once for all requests that came in together.

        The event loop reads what came in on all connections, and only then runs the tasks that answer, in their order:
        whatever runs before the loop's next round was there before the first of them looked. A task that asks again
        may have waited for something in between, so it looks again.
        """
        task, known = asyncio.current_task(), self._together
        if known is not None and known[0] is not task:
            return known[1]
        if known is None:
            asyncio.get_running_loop().call_soon(self._end_together)
        stamp = self.look()
        self._together = (task, stamp)
        return stamp

    def _end_together(self) -> None:
        self._together = None

    def _look(self, store: Store) -> Stamp:
        stamp = self._stamp(store)
        if stamp != self._looked:
            forgetting = store.persons.forgetting()
            if forgetting != self._forgetting:
                self._forgetting = forgetting
                for forget in self.when_forgotten:
                    forget()
            for follow in self.when_changed:
                follow(store)
            self._looked = stamp
        return stamp

    def history(self, customer_id: str, bundle: ModelBundle, now: Stamp | None = None) -> Seen:
        """The customer with the history in the bundle's positions, as of `now` or later: what `look` gave a moment ago.

        Never raises for a store that does not answer.
        """
        copy = self._copies.get(customer_id)
        if copy is not None and copy.bundle != bundle.bundle_id:
            copy = self._moved(copy, bundle.bundle_id)
            if copy is not None:
                self._copies[customer_id] = copy
        if copy is not None and copy.stamp == now and self._copied_from == self._handle.origin:
            self._copies.move_to_end(customer_id)
            return Seen(copy.history, copy.profile)
        try:
            with self._timed("history"):
                fresh = self._handle.use(lambda store: self._fresh(store, customer_id, bundle, copy))
        except StoreError:
            return self._behind(customer_id, copy)
        if isinstance(fresh, Seen):
            self._pack(customer_id)
            return fresh
        self._remember(customer_id, fresh)
        return Seen(fresh.history, fresh.profile)

    def _moved(self, copy: _Copy, bundle_id: str) -> _Copy | None:
        """A copy in the positions of another bundle, where that can be told without the store."""
        places = self.moves.get((copy.bundle, bundle_id))
        history = None if places is None else copy.history.moved(places)
        return None if history is None else replace(copy, bundle=bundle_id, history=history)

    def shown(self, customer_id: str, bundle: ModelBundle, now: Stamp | None = None) -> Shown:
        """What a customer was shown lately, in the bundle's positions, as of `now` or later; as far as it was read
        before while the store does not answer."""
        known = self._shown.get(customer_id)
        if known is not None and (known.bundle != bundle.bundle_id or self._shown_from != self._handle.origin):
            known = None
        if known is not None and known.stamp == now:
            self._shown.move_to_end(customer_id)
            return known.shown
        try:
            fresh = self._handle.use(lambda store: self._freshly_shown(store, customer_id, bundle, known))
        except StoreError:
            return NOTHING_SHOWN if known is None else known.shown
        # As with histories: made-up ids push nobody out.
        if not fresh.version and customer_id not in self._copies:
            self._shown.pop(customer_id, None)
            return fresh.shown
        self._shown[customer_id] = fresh
        self._shown.move_to_end(customer_id)
        if len(self._shown) > self._max_copies:
            self._shown.popitem(last=False)
        return fresh.shown

    def _freshly_shown(
        self, store: Store, customer_id: str, bundle: ModelBundle, known: _ShownCopy | None
    ) -> _ShownCopy:
        if self._shown_from != self._handle.origin:
            self._shown.clear()
            self._shown_from = self._handle.origin
            known = None
        # The stamp comes first, as for histories.
        stamp = self._stamp(store)
        if known is not None and store.histories.shown_version(customer_id) == known.version:
            return replace(known, stamp=stamp)
        version, impressions = store.histories.shown(customer_id, MOST_IMPRESSIONS)
        return _ShownCopy(bundle.bundle_id, Shown.of(impressions, bundle.items), version, stamp)

    def _behind(self, customer_id: str, copy: _Copy | None) -> Seen:
        """What was known before, when what is known now cannot be had."""
        if copy is None:
            return Seen(History.empty(), Profile(customer_id), STORE_UNAVAILABLE, HISTORY_UNAVAILABLE)
        self._copies.move_to_end(customer_id)
        return Seen(copy.history, copy.profile, STORE_UNAVAILABLE)

    def catalog_version(self, now: Stamp | None = None) -> int:
        """The version of the catalogue as of `now`, as in `history`. Raises StoreError."""
        if self._catalog is not None and self._catalog[0] == now:
            return self._catalog[1]

        def ask(store: Store) -> int:
            stamp = self._stamp(store)
            if self._catalog is None or self._catalog[0] != stamp:
                self._catalog = (stamp, store.catalog.version())
            return self._catalog[1]

        return self._handle.use(ask)

    def newer_catalog(self, known: ReadCatalog, items: Vocabulary, at_most: int) -> ReadCatalog | None:
        """The catalogue of this moment, as `caught_up`. Raises StoreError."""

        def ask(store: Store) -> ReadCatalog | None:
            assert self.origin is not None  # noqa: S101 - the handle has just opened it
            return caught_up(store, self.origin, known, items, at_most)

        with self._timed("catalog"):
            return self._handle.use(ask)

    def changed_items(self, since: int, version: int, at_most: int) -> frozenset[str] | None:
        """The items of which anything changed between two versions of the catalogue, or after; None for more than
        `at_most`, and while the store does not answer."""
        if version <= since:
            return frozenset()
        if self._changed is None or self._changed[0] != (since, version):
            try:
                changes = self._handle.use(lambda store: store.catalog.changes(since, at_most))
            except StoreError:
                return None
            changed = None if changes is None else frozenset([*changes.items["item_id"], *changes.removed])
            self._changed = (since, version), changed
        return self._changed[1]

    def attributes(self, customer_id: str, now: Stamp | None = None) -> Mapping[str, object]:
        """What the shop knows of a customer, as parsed JSON, as of `now` or later, as in `history`; `account_id` is
        there, too. What was known before while the store does not answer. Not to be changed."""
        known = self._attributes.get(customer_id)
        if known is not None and known[0] == now:
            self._attributes.move_to_end(customer_id)
            return known[1]
        try:
            fresh = self._handle.use(lambda store: (self._stamp(store), attributes_of(store, customer_id)))
        except StoreError:
            return {} if known is None else known[1]
        self._attributes[customer_id] = fresh
        self._attributes.move_to_end(customer_id)
        if len(self._attributes) > self._max_copies:
            self._attributes.popitem(last=False)
        return fresh[1]

    def items(self, item_ids: Sequence[str]) -> pl.DataFrame:
        """The rows of these items, as `CatalogStore.get`. Raises StoreError."""
        return self._handle.use(lambda store: store.catalog.get(item_ids))

    def check(self) -> None:
        """Asks the store for a sign of life. Raises StoreError."""
        self._handle.use(lambda store: store.catalog.version())

    @property
    def answers(self) -> bool:
        """Whether the store answered when it was asked last."""
        return self._handle.answers

    def close(self) -> None:
        """Closes the connection."""
        self._handle.close()

    def _stamp(self, store: Store) -> Stamp:
        return self._handle.generation, store.changes()

    def _fresh(self, store: Store, customer_id: str, bundle: ModelBundle, copy: _Copy | None) -> _Copy | Seen:
        """The customer now; what was seen of a history that takes too long."""
        if self._copied_from != self._handle.origin:
            # Another store was put in this one's place, or a backup of it; its versions mean other histories.
            self._copies.clear()
            self._copied_from = self._handle.origin
            copy = None
        # The stamp comes first: a write between the two reads then shows as a change next time.
        stamp = self._stamp(store)
        if copy is not None:
            if copy.stamp == stamp:
                return copy
            if store.histories.version(customer_id) == copy.history.version:
                if store.profiles.version(customer_id) == copy.profile.version:
                    return replace(copy, stamp=stamp)
                return replace(copy, stamp=stamp, profile=store.profiles.get(customer_id))
        stored = store.histories.at_once(customer_id, self._history_limit, MOST_AT_ONCE)
        if stored is None:
            stored = store.histories.recent(customer_id, self._history_limit, MOST_AT_ONCE)
            profile = store.profiles.get(customer_id)
            return Seen(History.from_stored(stored, bundle.items), profile, HISTORY_TOO_LONG)
        if stored.loose > LOOSE_AT_MOST:
            self._pack(customer_id)
        return _Copy(
            bundle.bundle_id, History.from_stored(stored, bundle.items), store.profiles.get(customer_id), stamp
        )

    def _remember(self, customer_id: str, copy: _Copy) -> None:
        # Nobody's history is not worth a place: whoever asks for made-up ids would push real customers out.
        if not copy.history.version and not copy.profile.version:
            self._copies.pop(customer_id, None)
            return
        self._copies[customer_id] = copy
        self._copies.move_to_end(customer_id)
        if len(self._copies) > self._max_copies:
            self._copies.popitem(last=False)


class CustomerAttributes(Mapping[str, object]):
    """What the shop knows of a customer, read when somebody asks for it."""

    def __init__(self, live: LiveStore, customer_id: str, now: Stamp | None) -> None:
        self._live, self._customer_id, self._now = live, customer_id, now

    def __getitem__(self, name: str) -> object:
        return self._live.attributes(self._customer_id, self._now)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._live.attributes(self._customer_id, self._now))

    def __len__(self) -> int:
        return len(self._live.attributes(self._customer_id, self._now))
