"""What comes of looking: which book of a series it is, and what is taken, bought or already had."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recsys.simulation.books import Books
from recsys.simulation.visits import Looks

_CART_AT_LEAST, _CART_BY_LIKING = 0.02, 0.5
_BUY, _BUY_GIFT, _GIFT_CART = 0.6, 0.85, 0.3
_REMOVE = 0.25
_OWN = 0.02

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Decisions:
    """What each look led to: bool arrays of shape (looks,). Bought and removed looks are in the cart before."""

    cart: Bools
    bought: Bools
    removed: Bools
    owned: Bools


def decide(looks: Looks, liking: Floats, books: Books, rng: np.random.Generator) -> tuple[Looks, Decisions]:
    """The looks with the volumes of series put in reading order, and what was decided at each.

    `liking` has shape (looks,); it is the same for all volumes of a series.
    """
    n = len(liking)
    owned = ~looks.gift & (rng.random(n) < _OWN * liking)
    in_cart = np.where(looks.gift, _GIFT_CART, _CART_AT_LEAST + _CART_BY_LIKING * liking)
    cart = ~owned & (rng.random(n) < in_cart)
    bought = cart & (rng.random(n) < np.where(looks.gift, _BUY_GIFT, _BUY))
    volume_book, read = _next_volumes(looks, bought | owned, books)
    looks = replace(looks, book=volume_book)
    bought, owned = bought & ~read, owned & ~read

    had = _had_before(looks, bought | owned, len(books))
    bought, owned = bought & ~had, owned & ~had
    cart &= ~read & ~had
    stocked = np.zeros(n, dtype=np.bool_)
    at = np.flatnonzero(cart)
    stocked[at] = books.in_stock(looks.book[at], looks.when[at]) & books.in_stock(looks.book[at], looks.checkout[at])
    cart &= stocked
    bought &= stocked
    removed = cart & ~bought & (rng.random(n) < _REMOVE)
    return looks, Decisions(cart, bought, removed, owned)


def _next_volumes(looks: Looks, taken: Bools, books: Books) -> tuple[Ints, Bools]:
    """The book of each look, with volumes replaced by the one that comes next, and where none was left to read.

    A customer at volume x takes one more at some looks, but never more than the P volumes that are out:
    x_n = min(x_{n−1} + taken_n, P_n), whose solution is x_n = C_n + min(0, min_{j ≤ n} (P_j − C_j)) with C the running
    number of takes. Presents do not count and are left alone.
    """
    book = looks.book.copy()
    read = np.zeros(len(book), dtype=np.bool_)
    at = np.flatnonzero((books.series[book] >= 0) & ~looks.gift)
    if len(at) == 0:
        return book, read
    series = books.series[book[at]]
    order = np.lexsort((np.arange(len(at)), series, looks.customer[at]))
    at, series = at[order], series[order]
    starts = np.flatnonzero(np.diff(series, prepend=-1) | np.diff(looks.customer[at], prepend=-1))
    group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(at)))

    took = taken[at].astype(np.int64)
    running = np.cumsum(took)
    count = running - (running[starts] - took[starts])[group]
    out = _volumes_out(books, series, looks.when[at])
    # One minimum per group in a single pass: each later group lies wholly below the earlier ones.
    apart = group * (2 * int(max(count.max(), out.max())) + 2)
    lowest = np.minimum.accumulate(out - count - apart) + apart
    place = count + np.minimum(0, lowest)
    before = np.concatenate(([0], place[:-1]))
    before[starts] = 0
    book[at] = books.series_first[series] + np.minimum(before, out - 1)
    read[at] = before >= out
    return book, read


def _volumes_out(books: Books, series: Ints, when: Ints) -> Ints:
    """How many volumes of each series were published at each time; at least 1 where one was looked at."""
    members = np.flatnonzero(books.series >= 0)
    span = int(books.published.max()) + 1
    origin = int(books.published.min())
    key = books.series[members] * span + (books.published[members] - origin)
    first = np.cumsum(books.series_volumes) - books.series_volumes
    time = np.minimum(when - origin, span - 1)
    return np.searchsorted(key, series * span + time, side="right") - first[series]


def _had_before(looks: Looks, got: Bools, n_books: int) -> Bools:
    """Where a customer would get a book again that they got at an earlier look; presents are not for themselves."""
    again = np.zeros(len(got), dtype=np.bool_)
    at = np.flatnonzero(got & ~looks.gift)
    _, first = np.unique(looks.customer[at] * n_books + looks.book[at], return_index=True)
    again[at] = True
    again[at[first]] = False
    return again
