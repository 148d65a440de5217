"""One block of customers: who they are and everything they do, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.data.events import EventKind
from recsys.simulation.books import Books, make_books
from recsys.simulation.decisions import decide
from recsys.simulation.rows import EventRows, make_rows
from recsys.simulation.shelves import Library
from recsys.simulation.spec import ShopSpec
from recsys.simulation.tastes import Tastes, make_tastes
from recsys.simulation.visits import Browsing, Looks, Presence

_BLOCK_STREAM, _TRIAL_STREAM = 1, 2
_FIRST_GUESS = 1.6
_TRIAL_EVENTS = 30_000


@dataclass(frozen=True, slots=True)
class Block:
    """Some customers and their events.

    Attributes
    ----------
    number : the block's place in the shop.
    first_customer : the position of the block's first customer in the shop.
    tastes, presence : of the block's customers.
    looks, rows : what they looked at, and the events that came of it.
    rng : the block's random numbers, for what else is to be drawn of it.
    """

    number: int
    first_customer: int
    tastes: Tastes
    presence: Presence
    looks: Looks
    rows: EventRows
    rng: np.random.Generator

    @property
    def customers(self) -> int:
        """How many customers the block has."""
        return len(self.presence.activity)

    @property
    def gifts(self) -> npt.NDArray[np.bool_]:
        """Which rows are the purchase of a present: bool, shape (events,)."""
        return np.asarray(self.looks.gift[self.rows.look] & (self.rows.kind == EventKind.PURCHASE.code))


class Simulation:
    """A shop whose blocks can be made in any order and in any number: each has its own random numbers."""

    def __init__(self, spec: ShopSpec) -> None:
        self.spec = spec
        self.books: Books = make_books(spec)
        self._library = Library.of(self.books)
        self._browsing = Browsing(spec, self.books, self._library)
        self._events_per_look = self._try_out()

    def block(self, number: int) -> Block:
        """The block with this number, 0 to `spec.blocks` - 1; the same however often and in whatever order asked."""
        first = number * self.spec.customers_per_block
        customers = min(self.spec.customers_per_block, self.spec.customers - first)
        return self._make(number, first, customers, self.spec.random(_BLOCK_STREAM, number), self._events_per_look)

    def _try_out(self) -> float:
        """How many events come of one look here, measured on some customers who are then forgotten."""
        customers = max(1, min(self.spec.customers_per_block, _TRIAL_EVENTS * self.spec.customers // self.spec.events))
        trial = self._make(0, 0, customers, self.spec.random(_TRIAL_STREAM), _FIRST_GUESS)
        return len(trial.rows.kind) / len(trial.looks.book) if len(trial.looks.book) else _FIRST_GUESS

    def _make(self, number: int, first: int, customers: int, rng: np.random.Generator, events_per_look: float) -> Block:
        expected = self.spec.events * customers / self.spec.customers / events_per_look
        tastes = make_tastes(self.spec, self.books, self._library, customers, rng)
        presence = Presence.draw(self.spec, customers, rng)
        looks = self._browsing.looks(tastes, presence, expected, rng)
        weights = tastes.weights(looks.customer, looks.when)
        liking = tastes.liking(looks.customer, looks.book, weights, self.books)
        looks, decisions = decide(looks, liking, self.books, rng)
        rows = make_rows(looks, decisions, liking, self.spec.end_ms, rng)
        return Block(number, first, tastes, presence, looks, rows, rng)
