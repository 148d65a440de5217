"""What is true of a simulated shop and no model is told: for tests and studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.errors import InputError
from recsys.simulation.books import GENRE_OF_SUB_GENRE, SUB_GENRES
from recsys.simulation.folder import TRUTH, read_record
from recsys.simulation.spec import ShopSpec
from recsys.simulation.tastes import BookGroups, Tastes
from recsys.simulation.words import GENRES

_PAIRS_AT_ONCE = 2_000_000

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The tastes of all customers and the nature of all books of one simulated shop.

    Attributes
    ----------
    spec : the parameters it was made with.
    books : per book: `item_id`, `author`, `strand`, `sub_genre`, `genre` (positions) with the names of the last two,
        `series` (-1 for none), `volume`, `published`, `quality`, `appeal`.
    stock_outs : `item_id`, `out_from`, `out_until` (milliseconds UTC).
    customers : per customer: `customer_id`, `activity`, `present_from`, `present_until` and the taste's slots.
    gifts : `event_id` of each purchase that was a present.
    """

    spec: ShopSpec
    books: pl.DataFrame
    stock_outs: pl.DataFrame
    customers: pl.DataFrame
    gifts: pl.Series

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The ground truth of a folder that `bookmatch simulate` wrote. Raises InputError when it is not one."""
        spec = ShopSpec(**read_record(folder)["parameters"])
        truth = folder / TRUTH
        return cls(
            spec,
            pl.read_parquet(truth / "books.parquet"),
            pl.read_parquet(truth / "stock_outs.parquet"),
            pl.read_parquet(sorted(truth.glob("customers-*.parquet"))),
            pl.read_parquet(sorted(truth.glob("gifts-*.parquet")))["event_id"],
        )

    def affinity(self, customer_ids: Sequence[str], item_ids: Sequence[str], at: int | None = None) -> Floats:
        """How much each customer likes each item, in [0, 1]: float64, shape (customers, items).

        The same quantity that decided purchases, ratings and returns (see `Tastes.liking`): what the customer would
        truly like, whether or not they ever saw it.

        Parameters
        ----------
        at : milliseconds UTC; the end of the simulated time when None.

        Raises
        ------
        InputError : for an id that is not in the shop.
        """
        chosen, groups = self._tastes(customer_ids), self._groups(item_ids)
        items = np.arange(len(item_ids))
        result = np.empty((len(customer_ids), len(item_ids)))
        step = max(1, _PAIRS_AT_ONCE // max(1, len(items)))
        moment = self.spec.end_ms if at is None else at
        for start in range(0, len(customer_ids), step):
            block = np.arange(start, min(start + step, len(customer_ids)))
            customer, item = np.repeat(block, len(items)), np.tile(items, len(block))
            weights = chosen.weights(customer, np.full(len(customer), moment))
            result[block] = chosen.liking(customer, item, weights, groups).reshape(len(block), -1)
        return result

    def genre_weights(self, customer_ids: Sequence[str], at: int | None = None) -> Floats:
        """The share of each genre in each customer's taste: float64, shape (customers, genres); rows sum to 1.

        Genres in the order of `GENRES`; `at` as in `affinity`.
        """
        weights = self.sub_genre_weights(customer_ids, at)
        return np.asarray(np.add.reduceat(weights, np.searchsorted(GENRE_OF_SUB_GENRE, range(len(GENRES))), axis=1))

    def sub_genre_weights(self, customer_ids: Sequence[str], at: int | None = None) -> Floats:
        """As `genre_weights`, of the sub-genres: shape (customers, sub-genres)."""
        chosen = self._tastes(customer_ids)
        customer = np.arange(len(customer_ids))
        moment = np.full(len(customer), self.spec.end_ms if at is None else at)
        result = np.zeros((len(customer), SUB_GENRES))
        np.add.at(result, (customer[:, None], chosen.sub_genre), chosen.weights(customer, moment))
        return result

    def _tastes(self, customer_ids: Sequence[str]) -> Tastes:
        rows = self.customers[_places(self.customers["customer_id"], customer_ids, "customer")]
        sub_genre_of = np.zeros(int(self.books["strand"].max()) + 1, dtype=np.int64)  # type: ignore[arg-type]
        sub_genre_of[self.books["strand"].to_numpy()] = self.books["sub_genre"].to_numpy()
        strand = rows["strands"].to_numpy().astype(np.int64)
        sub_genre = sub_genre_of[strand]
        return Tastes(
            strand,
            rows["authors"].to_numpy().astype(np.int64),
            sub_genre,
            GENRE_OF_SUB_GENRE[sub_genre],
            rows["early_weights"].to_numpy().astype(np.float64),
            rows["late_weights"].to_numpy().astype(np.float64),
            rows["drift_from"].to_numpy(),
            rows["drift_until"].to_numpy(),
        )

    def _groups(self, item_ids: Sequence[str]) -> BookGroups:
        rows = self.books[_places(self.books["item_id"], item_ids, "item")]
        author, strand, sub_genre, genre = (
            rows[name].to_numpy().astype(np.int64) for name in ("author", "strand", "sub_genre", "genre")
        )
        return BookGroups(author, strand, sub_genre, genre, rows["quality"].to_numpy())


def _places(ids: pl.Series, wanted: Sequence[str], noun: str) -> Ints:
    """Where each wanted id stands among `ids`: int64, shape (n,)."""
    places = pl.DataFrame({"id": ids}).with_row_index("place")
    found = pl.DataFrame({"id": pl.Series(wanted, dtype=pl.String)}).join(
        places, on="id", how="left", maintain_order="left"
    )
    missing = found.filter(pl.col("place").is_null())
    if len(missing):
        raise InputError(f"{noun} {missing['id'][0]!r} is not in the simulated shop", expected="ids from its files")
    return found["place"].to_numpy().astype(np.int64)
