"""Drawing a book from a group of books as it stood at a moment: only what was published by then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from recsys.simulation.books import Books

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shelves:
    """Books in groups (one author's, one strand's, …), each group in order of publication.

    The books of a group that are published by a time are a run of neighbours; with the running total of their appeal,
    a book is drawn in proportion to its appeal by one search.

    Attributes
    ----------
    book : int64, shape (books,); positions of books, by group, then by publication.
    key : int64, shape (books,); group · span + published, ascending.
    running : float64, shape (books + 1,); the total appeal of the books before each place.
    span : int64; more than any publication time, so that keys of different groups do not mix.
    """

    book: Ints
    key: Ints
    running: Floats
    span: int

    @classmethod
    def of(cls, group: Ints, published: Ints, appeal: Floats) -> Self:
        """Shelves of all books.

        Parameters
        ----------
        group : shape (books,); 0 or more.
        published : shape (books,); milliseconds since the first publication, 0 or more.
        appeal : shape (books,); above 0.
        """
        span = int(published.max()) + 1
        key = group * span + published
        book = np.argsort(key, kind="stable")
        return cls(book, key[book], np.concatenate(([0.0], np.cumsum(appeal[book]))), span)

    def draw(self, group: Ints, when: Ints, chance: Floats, since: Ints | None = None) -> Ints:
        """A book of each group as of each time, -1 where the group has none: int64, shape (n,).

        Parameters
        ----------
        group, when : shape (n,); `when` counts as `published` does.
        chance : shape (n,); uniform in [0, 1), decides which book.
        since : shape (n,); only books published at this time or later.
        """
        base = group * self.span
        last = np.minimum(when, self.span - 1)
        first = np.zeros_like(when) if since is None else np.clip(since, 0, self.span)
        low = np.searchsorted(self.key, base + first, side="left")
        high = np.searchsorted(self.key, base + last, side="right")
        target = self.running[low] + chance * (self.running[high] - self.running[low])
        place = np.searchsorted(self.running, target, side="right") - 1
        # Rounding can push the target onto a neighbour's shelf.
        place = np.minimum(np.maximum(place, low), high - 1)
        return np.where(high > low, self.book[np.clip(place, 0, len(self.book) - 1)], -1)


@dataclass(frozen=True, slots=True)
class Library:
    """All books in every order they are drawn from.

    Attributes
    ----------
    origin : milliseconds UTC of the first publication; times inside the shelves are counted from it.
    everywhere, genre, sub_genre, strand, author : the books by these groups; `everywhere` has the one group 0.
    """

    origin: int
    everywhere: Shelves
    genre: Shelves
    sub_genre: Shelves
    strand: Shelves
    author: Shelves

    @classmethod
    def of(cls, books: Books) -> Self:
        """The library of a catalogue."""
        origin = int(books.published.min())
        published = books.published - origin
        nothing = np.zeros(len(books), dtype=np.int64)
        groups = (nothing, books.genre, books.sub_genre, books.strand, books.author)
        return cls(origin, *(Shelves.of(group, published, books.appeal) for group in groups))

    @property
    def last(self) -> int:
        """A time, counted from `origin`, by which everything is published."""
        return self.everywhere.span
