"""The simulated shop as a closed loop needs it: who comes when, what each would truly like, what chance decides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.events import EventKind
from recsys.simulation.blocks import Simulation
from recsys.simulation.books import Books
from recsys.simulation.frames import BookFrames
from recsys.simulation.spec import MS_PER_DAY, ShopSpec
from recsys.simulation.tastes import Tastes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SLOTS = 10
WARM_DAYS, DAYS = 7, 56
"""So many days of lists come before exploration begins, and so many follow."""
RETRAINED_EVERY = 7
KEPT_KINDS = (EventKind.VIEW, EventKind.ADD_TO_CART, EventKind.PURCHASE, EventKind.OWN)
EXAMINED = 1.0 / np.log2(np.arange(SLOTS) + 2.0)
"""How likely a customer looks at each slot: the discount of NDCG."""
CLICK_BY_LIKING, CART_AT_LEAST, CART_BY_LIKING, BUY = 0.3, 0.02, 0.5, 0.6
"""An item that is looked at is clicked in proportion to the customer's liking; from then on they decide as anywhere in
the simulated shop."""


def purchase_chance(liking: Floats) -> Floats:
    """How likely an item is bought where it is looked at."""
    return CLICK_BY_LIKING * liking * (CART_AT_LEAST + CART_BY_LIKING * liking) * BUY


@dataclass(frozen=True, slots=True)
class Day:
    """The visits of one day, in order of time.

    Attributes
    ----------
    customer, when : int64, shape (visits,).
    liking : float64, shape (visits, books); the truth.
    clicked, bought : bool, shape (visits, books); what would come of the item if it were looked at: the same for every
        recommender, so that they differ by what they show alone.
    looks : bool, shape (visits, SLOTS); which slots are looked at.
    """

    customer: Ints
    when: Ints
    liking: Floats
    clicked: npt.NDArray[np.bool_]
    bought: npt.NDArray[np.bool_]
    looks: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class World:
    """One simulated shop.

    Attributes
    ----------
    first : milliseconds UTC at which lists begin.
    events : what customers do by themselves, before and meanwhile: `customer`, `book`, `kind`, `when`, by time.
    items : the catalogue, in `ITEM_SCHEMA`.
    days : the visits of `WARM_DAYS + DAYS` days.
    """

    spec: ShopSpec
    books: Books
    tastes: Tastes
    items: pl.DataFrame
    first: int
    events: pl.DataFrame
    days: tuple[Day, ...]


def make_world(spec: ShopSpec) -> World:
    """The shop of a specification; all of its customers are one block."""
    simulation = Simulation(spec)
    block, books = simulation.block(0), simulation.books
    looks, rows = block.looks, block.rows
    events = (
        pl.DataFrame(
            {
                "customer": looks.customer[rows.look],
                "book": looks.book[rows.look],
                "kind": rows.kind,
                "when": rows.when,
            }
        )
        .filter(pl.col("kind").is_in([kind.code for kind in KEPT_KINDS]))
        .sort("when", maintain_order=True)
    )
    first = spec.end_ms - (WARM_DAYS + DAYS) * MS_PER_DAY
    begins = np.flatnonzero(looks.first & (looks.when >= first))
    begins = begins[np.argsort(looks.when[begins], kind="stable")]
    number = (looks.when[begins] - first) // MS_PER_DAY
    days = tuple(
        _day(spec, books, block.tastes, day, looks.customer[begins[number == day]], looks.when[begins[number == day]])
        for day in range(WARM_DAYS + DAYS)
    )
    return World(spec, books, block.tastes, BookFrames.of(spec, books).items, first, events, days)


def _day(spec: ShopSpec, books: Books, tastes: Tastes, day: int, customer: Ints, when: Ints) -> Day:
    who, book = np.repeat(customer, len(books)), np.tile(np.arange(len(books)), len(customer))
    shape = (len(customer), len(books))
    weights = tastes.weights(who, np.repeat(when, len(books)))
    liking = tastes.liking(who, book, weights, books).reshape(shape)
    liking *= books.published[None, :] <= when[:, None]
    rng = spec.random(99, day)
    clicked = rng.random(shape) < CLICK_BY_LIKING * liking
    bought = rng.random(shape) < (CART_AT_LEAST + CART_BY_LIKING * liking) * BUY
    return Day(customer, when, liking, clicked, clicked & bought, rng.random((len(customer), SLOTS)) < EXAMINED)
