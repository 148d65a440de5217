"""What is bought together: the score `expected` of `recsys.models.similarity` over baskets.

A basket is what one customer bought on one day (UTC), or at one position where times are unknown. Baskets and not whole
histories, for two reasons: "bought together" on a product's page says that one purchase went with the other, which a
lamp in March and a book in October do not; and what people also bought, whenever that was, is what the lists of similar
items say already. Where fewer than one basket in `BASKETS_PER_SHARED` holds two items (nothing is known of time, or the
shop sells one thing at a time), lists over baskets would be empty, and whole histories take their place.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.data.interactions import Interactions
from recsys.data.signals import EventWeights
from recsys.errors import InputError
from recsys.models.after import target_kinds
from recsys.models.item_item import ItemItem
from recsys.models.occasions import Occasions, best_clock, occasions_of, purchase_rows
from recsys.models.similarity import SimilarityConfig, SimilarityScore, fit_expected

BASKETS_PER_SHARED = 20
"""Baskets count when at least one in so many holds two items or more."""

_LARGEST_KEY = 2**62

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TogetherConfig:
    """How togetherness is counted.

    Attributes
    ----------
    counting : `kept`, `minimum_customers`, `prior` and `balance` of the score `expected`; of longer histories
        `history_cap` items count, those bought last.
    basket_cap : larger baskets (a reseller's order) do not count.
    """

    counting: SimilarityConfig = field(
        default_factory=lambda: SimilarityConfig(score=SimilarityScore.EXPECTED, kept=50, minimum_customers=2)
    )
    basket_cap: int = 200

    def __post_init__(self) -> None:
        if self.counting.score is not SimilarityScore.EXPECTED:
            raise InputError(f"bought-together lists count by {self.counting.score}", expected="expected")
        if self.basket_cap < 2:
            raise InputError(f"basket_cap is {self.basket_cap}", expected="2 or more")


@dataclass(frozen=True, slots=True)
class Together:
    """The lists, and what they are over.

    Attributes
    ----------
    neighbours : row X speaks about what is bought with it, largest weight first; all weights above 0.
    baskets : whether over baskets; else over whole histories.
    """

    neighbours: ItemItem
    baskets: bool


@dataclass(frozen=True, slots=True)
class _Units:
    """Baskets or histories: which items each holds, and whose it is.

    Attributes
    ----------
    unit, item : shape (n,); distinct pairs, ascending.
    customer : int32, shape (units,); ascending.
    """

    unit: Ints
    item: npt.NDArray[np.int32]
    customer: npt.NDArray[np.int32]

    def matrix(self, items: int) -> sparse.csr_matrix:
        """Stored where a unit holds an item: int8, shape (units, items)."""
        ones = np.ones(len(self.unit), dtype=np.int8)
        return sparse.csr_matrix((ones, (self.unit, self.item)), shape=(len(self.customer), items))


def fit_together(interactions: Interactions, weights: EventWeights, config: TogetherConfig, threads: int) -> Together:
    """What goes into one basket with each item, or into one history where there are no baskets to speak of.

    Parameters
    ----------
    weights : which kinds carry taste.
    threads : 1 or more; does not change the result.
    """
    bought = _purchases(interactions, weights)
    units = _baskets(bought, config.basket_cap)
    shared = int(np.count_nonzero(np.bincount(units.unit, minlength=len(units.customer)) >= 2))
    baskets = shared * BASKETS_PER_SHARED >= max(len(units.customer), 1)
    if not baskets:
        units = _histories(bought, config.counting.history_cap)
    matrix = units.matrix(len(interactions.items))
    return Together(fit_expected(matrix, units.customer, config.counting, threads), baskets)


def _purchases(interactions: Interactions, weights: EventWeights) -> Occasions:
    kinds = target_kinds(interactions, weights)
    rows = purchase_rows(interactions)
    return occasions_of(rows, best_clock(rows, kinds), kinds)


def _baskets(bought: Occasions, cap: int) -> _Units:
    """What each customer bought at each moment; of larger baskets nothing."""
    row, item, when = _by_moment(bought)
    new = np.ones(len(row), dtype=np.bool_)
    new[1:] = (row[1:] != row[:-1]) | (when[1:] != when[:-1])
    unit = np.cumsum(new) - 1
    fits = np.bincount(unit)[unit] <= cap if len(unit) else np.zeros(0, dtype=np.bool_)
    return _Units(unit[fits], item[fits], row[new].astype(np.int32))


def _by_moment(bought: Occasions) -> tuple[Ints, npt.NDArray[np.int32], Ints]:
    """The rows sorted by customer, moment and item."""
    if not len(bought.row):
        return bought.row, bought.item, bought.when
    size, start = int(bought.item.max()) + 1, int(bought.when.min())
    span = int(bought.when.max()) - start + 1
    if (int(bought.row.max()) + 1) * size * span >= _LARGEST_KEY:
        order = np.lexsort((bought.item, bought.when, bought.row))
        return bought.row[order], bought.item[order], bought.when[order]
    # One number per row sorts several times as fast as three columns.
    unit, item = np.divmod(np.sort((bought.row * span + (bought.when - start)) * size + bought.item), size)
    row, since = np.divmod(unit, span)
    return row, item.astype(np.int32), since + start


def _histories(bought: Occasions, cap: int) -> _Units:
    """What each customer ever bought; of longer histories the items bought last."""
    last = np.append(bought.first_of_pair[1:], True)[: len(bought.row)]
    row, item, when = bought.row[last], bought.item[last], bought.when[last]
    newest_first = np.lexsort((item, -when, row))
    rank = np.empty(len(row), dtype=np.int64)
    rank[newest_first] = np.arange(len(row)) - np.searchsorted(row, row)
    stay = rank < cap
    customers = int(row.max(initial=-1)) + 1
    return _Units(row[stay], item[stay], np.arange(customers, dtype=np.int32))
