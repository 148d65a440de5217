"""Days of a shop whose lists decide what customers meet: visits, lists, clicks, purchases, and a model trained anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from benchmarks.exploration.training import Shelf, trained
from benchmarks.exploration.world import (
    DAYS,
    EXAMINED,
    RETRAINED_EVERY,
    SLOTS,
    WARM_DAYS,
    Day,
    Ints,
    World,
    purchase_chance,
)
from recsys.data.events import EventKind
from recsys.data.history import History
from recsys.data.signals import UNKNOWN_TIME
from recsys.recommend.exploration import Beliefs, ItemCounts
from recsys.recommend.recommender import Taste
from recsys.recommend.types import Request
from recsys.simulation.spec import MS_PER_DAY

REFRESHED_EVERY = 100
"""Visits after which beliefs are made anew: some hours of this shop."""

_BOUGHT, _SEEN = EventKind.PURCHASE.code, EventKind.VIEW.code
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list is made from.

    Attributes
    ----------
    seed : the answer's.
    listed : positions; the list without exploration.
    showable : of all items, those that may be shown.
    hidden : positions of what must not be: what the customer had.
    """

    seed: str
    beliefs: Beliefs
    taste: Taste
    listed: npt.NDArray[np.int32]
    showable: Flags
    hidden: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of making lists.

    Attributes
    ----------
    name : for the table.
    listed : the positions that are shown, how many of them are explored, and the purchases that this was expected to
        lose. None is the list as it is.
    believed : what is believed after some counts of a shelf's items.
    """

    name: str
    listed: Callable[[Asked], tuple[npt.NDArray[np.int32], int, float]] | None
    believed: Callable[[ItemCounts, Shelf, Ints, int], Beliefs]


@dataclass
class Counted:
    """What happened, by day and book: shape (days, books).

    Attributes
    ----------
    impressions, clicks, purchases : as counted.
    expected : float64; the purchases that the truth expects of the impressions.
    explored, lost : by day: slots, and purchases that the policy expected to lose.
    """

    impressions: Ints
    clicks: Ints
    purchases: Ints
    expected: npt.NDArray[np.float64]
    explored: Ints
    lost: npt.NDArray[np.float64]

    @classmethod
    def nothing(cls, books: int) -> Counted:
        """Before the first day."""
        shape = (WARM_DAYS + DAYS, books)
        by_book = [np.zeros(shape, dtype=np.int64) for _ in range(3)]
        return cls(*by_book, np.zeros(shape), np.zeros(shape[0], dtype=np.int64), np.zeros(shape[0]))

    def so_far(self, book: Ints) -> ItemCounts:
        """The counts of these books."""
        return ItemCounts(*(part.sum(axis=0)[book] for part in (self.impressions, self.clicks, self.purchases)))


@dataclass
class Histories:
    """What customers did, as it comes in.

    Attributes
    ----------
    rows : by customer: book, kind, time.
    from_lists : customer, book, kind, time of what came of lists.
    """

    world: World
    rows: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    from_lists: list[tuple[int, int, int, int]] = field(default_factory=list)
    _coming: list[tuple[int, int, int, int]] = field(default_factory=list)
    _at: int = 0

    def of(self, customer: int, now: int) -> list[tuple[int, int, int]]:
        """A customer's, after everything that customers did by themselves before `now`."""
        self._coming = self._coming or self.world.events.rows()
        while self._at < len(self._coming) and self._coming[self._at][3] < now:
            who, *row = self._coming[self._at]
            self.rows.setdefault(who, []).append((row[0], row[1], row[2]))
            self._at += 1
        return self.rows.setdefault(customer, [])


def run(world: World, arm: Arm) -> Counted:
    """The days of one arm."""
    counted, histories, visits = Counted.nothing(len(world.books)), Histories(world), 0
    shelf, beliefs = None, None
    for number, day in enumerate(world.days):
        if number % RETRAINED_EVERY == 0:
            shelf, beliefs = trained(world, histories.from_lists, world.first + number * MS_PER_DAY), None
        assert shelf is not None
        for visit in range(len(day.customer)):
            now = int(day.when[visit])
            mine = histories.of(int(day.customer[visit]), now)
            history = _history(shelf, mine)
            listed = shelf.recommender.rank(history, shelf.catalog, Request(limit=SLOTS, now=now))
            if arm.listed is not None and number >= WARM_DAYS:
                if beliefs is None or visits % REFRESHED_EVERY == 0:
                    published = world.books.published[shelf.book]
                    beliefs = arm.believed(counted.so_far(shelf.book), shelf, published, visits)
                seed = f"{world.spec.seed} {number} {visit}"
                asked = _asked(shelf, beliefs, seed, history, listed, mine, now)
                listed, explored, lost = arm.listed(asked)
                counted.explored[number] += explored
                counted.lost[number] += lost
            visits += 1
            _visit(day, visit, shelf.book[listed], counted, number, mine, histories.from_lists)
    return counted


def run_oracle(world: World) -> Counted:
    """The days of a recommender that knows what every customer likes: the ten they like best of what they have not
    bought."""
    counted, histories = Counted.nothing(len(world.books)), Histories(world)
    for number, day in enumerate(world.days):
        for visit in range(len(day.customer)):
            mine = histories.of(int(day.customer[visit]), int(day.when[visit]))
            liking = day.liking[visit].copy()
            liking[[book for book, kind, _ in mine if kind == _BOUGHT]] = -1.0
            best = np.argsort(-liking, kind="stable")[:SLOTS]
            _visit(day, visit, best, counted, number, mine, histories.from_lists)
    return counted


def _asked(
    shelf: Shelf,
    beliefs: Beliefs,
    seed: str,
    history: History,
    listed: npt.NDArray[np.int32],
    mine: list[tuple[int, int, int]],
    now: int,
) -> Asked:
    taste = shelf.recommender.taste(history)
    showable = np.asarray(shelf.index.showable(shelf.catalog, now))
    had = shelf.position[[book for book, kind, _ in mine if kind == _BOUGHT]]
    hidden = np.concatenate([taste.seen, had]).astype(np.int32)
    return Asked(seed, beliefs, taste, listed, showable, hidden)


def _history(shelf: Shelf, mine: list[tuple[int, int, int]]) -> History:
    rows = np.array(mine[-500:], dtype=np.int64).reshape(-1, 3)
    position = shelf.position[rows[:, 0]]
    rows, position = rows[position < shelf.known], position[position < shelf.known]
    size = len(rows)
    return History(
        item=position.astype(np.int32),
        kind=rows[:, 1].astype(np.int8),
        timestamp=rows[:, 2].copy(),
        position=np.full(size, UNKNOWN_TIME, dtype=np.int64),
        quantity=np.ones(size, dtype=np.float32),
        rating=np.full(size, np.nan, dtype=np.float32),
        version=1,
    )


def _visit(
    day: Day,
    visit: int,
    book: Ints,
    counted: Counted,
    number: int,
    mine: list[tuple[int, int, int]],
    from_lists: list[tuple[int, int, int, int]],
) -> None:
    """What a customer does with a list of these books."""
    customer, when = int(day.customer[visit]), int(day.when[visit])
    had = {own for own, kind, _ in mine if kind == _BOUGHT}
    fresh = np.array([own not in had for own in book.tolist()])
    counted.impressions[number, book] += 1
    counted.expected[number, book] += EXAMINED[: len(book)] * purchase_chance(day.liking[visit, book]) * fresh
    for slot in np.flatnonzero(day.looks[visit, : len(book)] & day.clicked[visit, book]).tolist():
        chosen = int(book[slot])
        counted.clicks[number, chosen] += 1
        kinds = [_SEEN]
        if day.bought[visit, chosen] and fresh[slot]:
            counted.purchases[number, chosen] += 1
            kinds.append(_BOUGHT)
        for kind in kinds:
            mine.append((chosen, kind, when))
            from_lists.append((customer, chosen, kind, when))
