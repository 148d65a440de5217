"""Who comes when, and which books they look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from recsys.simulation.books import Books
from recsys.simulation.seasons import Seasons
from recsys.simulation.shelves import Library, Shelves
from recsys.simulation.spec import MS_PER_DAY, ShopSpec
from recsys.simulation.tastes import Tastes

LOOKS_PER_VISIT = 3.0
_JOINED_BEFORE, _LAPSED = 0.55, 0.3
_SECONDS_BETWEEN_LOOKS = 55.0
_LATELY_DAYS = 45.0
_BY_AUTHOR, _BY_STRAND = 0.35, 0.5
"""Of the looks that follow a slot of the taste; the rest go anywhere in its sub-genre."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Presence:
    """How active customers are and when they are there; arrays of shape (customers,).

    Attributes
    ----------
    activity : float64; the expected share of the block's visits; sums to 1.
    first_day, last_day : int64; the days from which and up to which (not included) they come.
    """

    activity: Floats
    first_day: Ints
    last_day: Ints

    @classmethod
    def draw(cls, spec: ShopSpec, n: int, rng: np.random.Generator) -> Self:
        """The presence of `n` customers."""
        joined = np.where(rng.random(n) < _JOINED_BEFORE, 0, rng.integers(spec.days, size=n))
        stay = np.where(rng.random(n) < _LAPSED, rng.random(n), 1.0)
        left = joined + 1 + np.floor(stay * (spec.days - joined - 1)).astype(np.int64)
        eagerness = np.exp(spec.activity_spread * rng.standard_normal(n)) * (left - joined)
        return cls(eagerness / eagerness.sum(), joined, left)


@dataclass(frozen=True, slots=True)
class Looks:
    """What was looked at: arrays of shape (looks,), by customer, then visit, then time.

    Attributes
    ----------
    customer : int64; positions within the block.
    visit : int64; ascending.
    when : int64; milliseconds UTC.
    checkout : int64; when the visit ends, milliseconds UTC.
    book : int64; positions.
    gift : bool; the visit looks for a present.
    first : bool; the visit's first look.
    """

    customer: Ints
    visit: Ints
    when: Ints
    checkout: Ints
    book: Ints
    gift: Bools
    first: Bools


class Browsing:
    """Draws looks."""

    def __init__(self, spec: ShopSpec, books: Books, library: Library) -> None:
        self._spec = spec
        self._books = books
        self._library = library
        self._seasons = Seasons.of(spec.start_ms, spec.days)

    def looks(self, tastes: Tastes, presence: Presence, expected: float, rng: np.random.Generator) -> Looks:
        """About `expected` looks of the customers of a block."""
        visits = rng.poisson(presence.activity * expected / LOOKS_PER_VISIT)
        of_visit = np.repeat(np.arange(len(visits)), visits)
        begin = self._seasons.times_between(presence.first_day[of_visit], presence.last_day[of_visit], rng)
        begin = begin[np.lexsort((begin, of_visit))]
        gift_visit = rng.random(len(begin)) < self._seasons.gift_chance(begin, self._spec.gift_share)

        length = rng.geometric(1.0 / LOOKS_PER_VISIT, size=len(begin))
        visit = np.repeat(np.arange(len(begin)), length)
        starts = np.cumsum(length) - length
        gap = (rng.exponential(_SECONDS_BETWEEN_LOOKS, size=len(visit)) * 1000).astype(np.int64) + 3_000
        elapsed = np.cumsum(gap)
        before = elapsed[starts] - gap[starts] if len(starts) else elapsed
        when = begin[visit] + elapsed - before[visit]
        pause = rng.integers(30_000, 240_000, size=len(begin))
        checkout = when[starts + length - 1] + pause if len(starts) else when
        first = np.zeros(len(visit), dtype=np.bool_)
        first[starts] = True

        customer, gift = of_visit[visit], gift_visit[visit]
        book = self._own_choice(tastes, customer, when, rng)
        for_whom = self._library.everywhere.draw(
            np.zeros_like(begin), begin - self._library.origin, rng.random(len(begin))
        )
        present = self._books.strand[for_whom[visit[gift]]]
        book[gift] = self._library.strand.draw(present, when[gift] - self._library.origin, rng.random(len(present)))
        book = self._back_to_series(customer, book, gift, rng)
        return Looks(customer, visit, when, checkout[visit], book, gift, first)

    def _own_choice(self, tastes: Tastes, customer: Ints, when: Ints, rng: np.random.Generator) -> Ints:
        """The book each customer turns to at each time: by taste, by what is new, or by what everybody looks at."""
        n, library = len(customer), self._library
        time = when - library.origin
        nothing = np.zeros(n, dtype=np.int64)
        running = np.cumsum(tastes.weights(customer, when), axis=1)
        slot = (rng.random(n)[:, None] * running[:, -1:] >= running[:, :-1]).sum(axis=1)
        strand, author = tastes.strand[customer, slot], tastes.author[customer, slot]
        sub_genre, genre = tastes.sub_genre[customer, slot], tastes.genre[customer, slot]

        chance, way, source = rng.random(n), rng.random(n), rng.random(n)
        lately = time - (rng.exponential(_LATELY_DAYS, size=n) * MS_PER_DAY).astype(np.int64)
        book = np.full(n, -1, dtype=np.int64)

        def fill(wanted: Bools, shelves: Shelves, group: Ints, since: Ints | None = None) -> None:
            """Where `wanted` and nothing is chosen yet, draws from a shelf; an empty shelf leaves it open."""
            at = np.flatnonzero(wanted & (book < 0))
            book[at] = shelves.draw(group[at], time[at], chance[at], None if since is None else since[at])

        new = source < self._spec.launch_boost
        crowd = ~new & (source < self._spec.launch_boost + self._spec.off_taste_share)
        fill(new, library.sub_genre, sub_genre, lately)
        fill(new, library.genre, genre, lately)
        fill(crowd, library.everywhere, nothing)
        fill(way < _BY_AUTHOR, library.author, author)
        fill(way < _BY_AUTHOR + _BY_STRAND, library.strand, strand)
        everyone = np.ones(n, dtype=np.bool_)
        fill(everyone, library.sub_genre, sub_genre)
        fill(everyone, library.everywhere, nothing)
        return book

    def _back_to_series(self, customer: Ints, book: Ints, gift: Bools, rng: np.random.Generator) -> Ints:
        """The books with some looks turned back to a series that the customer looked at before."""
        n = len(book)
        own_series = (self._books.series[book] >= 0) & ~gift
        at = np.flatnonzero(own_series)
        before: Ints = np.cumsum(own_series) - own_series
        starts = np.searchsorted(customer, customer)  # where each look's customer begins
        seen: Ints = before - before[starts]
        back = ~gift & (seen > 0) & (rng.random(n) < self._spec.series_pull)
        which = before[starts] + np.floor(rng.random(n) * seen).astype(np.int64)
        turned = book.copy()
        turned[back] = book[at[which[back]]]
        return turned
