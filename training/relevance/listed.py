"""What would have been listed at a cut in time, and which of it was bought soon after."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.bundle.bundle import ModelBundle
from recsys.data.interactions import Interactions
from recsys.data.vocabulary import UNKNOWN
from recsys.models.relevance import Relevance
from recsys.recommend.batch import Histories, rank_many
from recsys.recommend.kernel import UNITS, ListedRows
from recsys.recommend.placement import Placement
from recsys.recommend.sources import in_units_of_spread
from training.evaluation.soon import Soon

DEPTH = 50
"""So many items of each list are looked at: about as many as the longest common list shows, spare ones included."""

MOST_CUSTOMERS = 10_000
"""Of more customers so many are drawn by the seed; of newcomers, too."""


class Listed(NamedTuple):
    """Listed items of many customers, one row each.

    Attributes
    ----------
    customer : int64; whose list, any number that tells customers apart.
    items : int64; how many items spoke in that history; 0 for newcomers.
    personal : bool; whether it was there for the history, or because it is popular.
    score : float64; the score of a personal item, the popularity of another one, in units of its spread.
    bought : bool.
    """

    customer: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]
    personal: npt.NDArray[np.bool_]
    score: npt.NDArray[np.float64]
    bought: npt.NDArray[np.bool_]

    def only(self, rows: npt.NDArray[np.bool_]) -> Listed:
        """Some of the rows."""
        return Listed(self.customer[rows], self.items[rows], self.personal[rows], self.score[rows], self.bought[rows])

    def relevance(self, relevance: Relevance) -> npt.NDArray[np.float64]:
        """What is foreseen of each row; NaN where it is not known."""
        personal = relevance.of_personal(self.score, self.items)
        return np.where(self.personal, personal, relevance.of_popular(self.score, self.items))

    def parts(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Which rows are of what sort, by name."""
        popular, known = ~self.personal, self.items > 0
        return {"personal": self.personal, "filling": popular & known, "newcomers": popular & ~known}

    def and_then(self, other: Listed) -> Listed:
        """The rows of both."""
        return Listed(
            np.concatenate([self.customer, other.customer]),
            np.concatenate([self.items, other.items]),
            np.concatenate([self.personal, other.personal]),
            np.concatenate([self.score, other.score]),
            np.concatenate([self.bought, other.bought]),
        )


def listed_for_customers(
    bundle: ModelBundle, placement: Placement, history: Interactions, now: int, soon: Soon, seed: int, threads: int
) -> Listed:
    """The lists of customers with a history, drawn from all of them whether or not they came back.

    Parameters
    ----------
    bundle : fitted on `history`, which ends at `now` (milliseconds UTC).
    """
    drawn = np.random.default_rng(seed).permutation(len(history.customers))[:MOST_CUSTOMERS]
    row = np.sort(drawn).astype(np.int32)
    own = Histories.of(bundle, placement, history, row, now)
    lists = _ranked(bundle, placement, own, threads)
    items = np.diff(own.strengths.indptr).astype(np.int64)
    # Whoever did nothing that carries taste is no newcomer, and such customers are too few to be a class.
    there = (lists.item != UNKNOWN) & (items > 0)[:, None]
    place, rank = np.nonzero(there)
    item = lists.item[place, rank]
    personal = rank < lists.counts[place, 1]
    popular = in_units_of_spread(bundle.popularity.score)
    score = np.where(personal, lists.score[place, rank] / UNITS, popular[item])
    own_ids = pl.Series([history.customers[int(each)] for each in row], dtype=pl.String)
    wanted = _pairs(soon.wanted.filter(pl.col("customer_id").is_in(own_ids.implode())), history)
    bought = np.isin(row[place].astype(np.int64) * len(bundle.items) + item, wanted)
    return Listed(row[place].astype(np.int64), items[place], personal, score, bought)


def listed_for_newcomers(
    bundle: ModelBundle, placement: Placement, history: Interactions, soon: Soon, seed: int
) -> Listed:
    """The one list for everybody without a history, once for each newcomer; `MOST_CUSTOMERS` are drawn."""
    drawn = np.random.default_rng(seed).permutation(len(soon.newcomers))[:MOST_CUSTOMERS]
    new = soon.newcomers.gather(np.sort(drawn))
    nobody = np.full(1, UNKNOWN, dtype=np.int32)
    item = _ranked(bundle, placement, Histories.of(bundle, placement, history, nobody, 0), 1).item[0]
    item = item[item != UNKNOWN]
    own = soon.wanted.filter(pl.col("customer_id").is_in(new.implode()))
    column = bundle.items.positions(own["item_id"]).astype(np.int64)
    known = column != UNKNOWN
    place = new.search_sorted(own["customer_id"]).to_numpy()[known] if own.height else np.zeros(0, dtype=np.int64)
    wanted = place.astype(np.int64) * len(bundle.items) + column[known]
    customer = np.repeat(np.arange(len(new), dtype=np.int64), len(item))
    listed = np.tile(item, len(new))
    return Listed(
        # Told apart from customers with a history.
        -1 - customer,
        np.zeros(len(listed), dtype=np.int64),
        np.zeros(len(listed), dtype=np.bool_),
        in_units_of_spread(bundle.popularity.score)[listed],
        np.isin(customer * len(bundle.items) + listed, wanted),
    )


def _ranked(bundle: ModelBundle, placement: Placement, histories: Histories, threads: int) -> ListedRows:
    showable = np.ones(len(bundle.items), dtype=np.bool_)
    return rank_many(bundle, histories, showable, DEPTH, threads, blend=placement.blend(bundle.manifest.blend))


def _pairs(wanted: pl.DataFrame, history: Interactions) -> npt.NDArray[np.int64]:
    """Pairs of known customers and items as customer · items + item."""
    customer = history.customers.positions(wanted["customer_id"]).astype(np.int64)
    item = history.items.positions(wanted["item_id"]).astype(np.int64)
    known = (customer != UNKNOWN) & (item != UNKNOWN)
    return np.asarray(customer[known] * len(history.items) + item[known])
