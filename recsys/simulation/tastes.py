"""What customers like: a few strands and favourite authors each, with weights that move from one taste to another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.simulation.books import Books
from recsys.simulation.shelves import Library
from recsys.simulation.spec import MS_PER_DAY, ShopSpec

SLOTS = 6
"""How many strands a customer ever likes."""
_HOME_SHARE = 0.6
"""The share of the other slots that stay in the first one's genre."""
_EARLY, _LATE = slice(0, 4), slice(2, 6)
AUTHOR_MATCH, STRAND_MATCH, SUB_GENRE_MATCH, GENRE_MATCH = 1.0, 0.7, 0.3, 0.08

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BookGroups:
    """What of some books decides who likes them: arrays of shape (books,), as in `Books`."""

    author: Ints
    strand: Ints
    sub_genre: Ints
    genre: Ints
    quality: Floats


@dataclass(frozen=True, slots=True)
class Tastes:
    """The tastes of some customers, at all times.

    A slot is a liked strand with a favourite author in it. The weights of a customer's slots sum to 1; they go in a
    straight line from `early` to `late` between two times and stand still before and after.

    Attributes
    ----------
    strand, author, sub_genre, genre : int64, shape (customers, SLOTS).
    early, late : float64, shape (customers, SLOTS).
    drift_from, drift_until : int64, shape (customers,); milliseconds UTC.
    """

    strand: Ints
    author: Ints
    sub_genre: Ints
    genre: Ints
    early: Floats
    late: Floats
    drift_from: Ints
    drift_until: Ints

    def weights(self, customer: Ints, when: Ints) -> Floats:
        """The weights of the slots of each customer at each time (milliseconds UTC): shape (n, SLOTS)."""
        begin, end = self.drift_from[customer], self.drift_until[customer]
        gone = np.clip((when - begin) / (end - begin), 0.0, 1.0)[:, None]
        return np.asarray((1.0 - gone) * self.early[customer] + gone * self.late[customer])

    def liking(self, customer: Ints, book: Ints, weights: Floats, books: Books | BookGroups) -> Floats:
        """How much each customer likes each book, in [0, 1]: float64, shape (n,); both given as positions, pairwise.

        With w the slots' weights (shape (n, SLOTS), from `weights`) and m_k = 1 where the book is by slot k's author,
        else 0.7 where it stands in its strand, 0.3 in its sub-genre, 0.08 in its genre, else 0:

            liking = (1 − exp(−3 · Σ_k w_k · m_k)) · (0.5 + 0.5 · quality).

        This one formula decides what is bought, rated well and sent back.
        """
        match = np.zeros(len(book))
        levels = (
            (self.genre, books.genre[book], GENRE_MATCH),
            (self.sub_genre, books.sub_genre[book], SUB_GENRE_MATCH),
            (self.strand, books.strand[book], STRAND_MATCH),
            (self.author, books.author[book], AUTHOR_MATCH),
        )
        for slot in range(SLOTS):
            best = np.zeros(len(book))
            for of_slot, of_book, worth in levels:
                best[of_slot[customer, slot] == of_book] = worth
            match += weights[:, slot] * best
        return np.asarray((1.0 - np.exp(-3.0 * match)) * (0.5 + 0.5 * books.quality[book]))


def make_tastes(spec: ShopSpec, books: Books, library: Library, n: int, rng: np.random.Generator) -> Tastes:
    """The tastes of `n` customers: a book drawn from the catalogue brings its strand and its author into a slot."""
    loved = np.empty((n, SLOTS), dtype=np.int64)
    nothing, late = np.zeros(n, dtype=np.int64), np.full(n, library.last)
    loved[:, 0] = library.everywhere.draw(nothing, late, rng.random(n))
    home = books.genre[loved[:, 0]]
    for slot in range(1, SLOTS):
        chance = rng.random(n)
        near, far = library.genre.draw(home, late, chance), library.everywhere.draw(nothing, late, chance)
        loved[:, slot] = np.where(rng.random(n) < _HOME_SHARE, near, far)
    early, new = _slot_weights(rng, n, _EARLY), _slot_weights(rng, n, _LATE)
    if 0.0 < spec.drift < 1.0:
        moved = rng.beta(2.0 * spec.drift, 2.0 * (1.0 - spec.drift), size=n)[:, None]
    else:
        moved = np.full((n, 1), spec.drift)
    span = spec.days * MS_PER_DAY
    begin = spec.start_ms + (rng.random(n) * 0.6 * span).astype(np.int64)
    length = ((0.05 + 0.35 * rng.random(n)) * span).astype(np.int64)
    return Tastes(
        books.strand[loved], books.author[loved], books.sub_genre[loved], books.genre[loved],
        _stored(early), _stored((1.0 - moved) * early + moved * new), begin, begin + length,
    )  # fmt: skip


def _slot_weights(rng: np.random.Generator, n: int, slots: slice) -> Floats:
    weights = np.zeros((n, SLOTS))
    weights[:, slots] = rng.gamma(1.0, size=(n, slots.stop - slots.start)) + 0.05
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _stored(weights: Floats) -> Floats:
    """As the files of the ground truth hold them, so that what is read back is what was simulated."""
    return weights.astype(np.float32).astype(np.float64)
