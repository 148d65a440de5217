"""Items that go with items: which other things the people who wanted this one wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.models.top_k import strongest_per_row


@dataclass(frozen=True, slots=True)
class ItemItemConfig:
    """How neighbours are found.

    Attributes
    ----------
    neighbours : how many are kept per item, those of largest weight.
    customer_exponent : each customer's contribution is divided by (number of their items) to this power: somebody who
        buys everything says little about what goes together.
    item_exponent : each weight is divided by both items' total strengths to this power; 0.5 is the cosine.
    history_cap : of a longer history only this many items, the strongest, are counted; bounds the number of pairs.
    """

    neighbours: int = 100
    customer_exponent: float = 1.0
    item_exponent: float = 0.4
    history_cap: int = 500


@dataclass(frozen=True, slots=True)
class ItemItem:
    """Neighbour lists in CSR form: the neighbours of item `i` are the rows `indptr[i]:indptr[i + 1]`, best first.

    Attributes
    ----------
    indptr : int64, shape (items + 1,).
    neighbour : int32, shape (kept pairs,); never the item itself.
    weight : float32, shape (kept pairs,), above 0: how much a taste of strength 1 for the row's item says about the
        neighbour.
    """

    indptr: npt.NDArray[np.int64]
    neighbour: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What a bundle stores."""
        return {
            "item_item.indptr": self.indptr,
            "item_item.neighbour": self.neighbour,
            "item_item.weight": self.weight,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[np.generic]]) -> Self:
        """What `arrays` gave."""
        return cls(
            arrays["item_item.indptr"].view(np.int64),
            arrays["item_item.neighbour"].view(np.int32),
            arrays["item_item.weight"].view(np.float32),
        )

    def row(self, item: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """One item's neighbours and their weights, best first."""
        own = slice(self.indptr[item], self.indptr[item + 1])
        return self.neighbour[own], self.weight[own]

    def contributions(
        self, items: npt.NDArray[np.int32], strengths: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """What each item of a history says about its neighbours.

        Parameters
        ----------
        items, strengths : shape (m,); a history's items and how strong the taste for each is.

        Returns
        -------
        Three arrays of one length: the place in `items` that speaks, the item it speaks about, and strength × weight.
        The score of an item is the sum of the last over its rows.
        """
        starts, stops = self.indptr[items], self.indptr[items.astype(np.int64) + 1]
        counts = stops - starts
        speaker = np.repeat(np.arange(len(items)), counts)
        first = np.cumsum(counts) - counts
        entry = np.arange(len(speaker)) - first[speaker] + starts[speaker]
        value = self.weight[entry].astype(np.float64) * strengths[speaker]
        return speaker, self.neighbour[entry], value


def fit_item_item(strengths: sparse.csr_matrix, config: ItemItemConfig, threads: int) -> ItemItem:
    """Neighbours by degree-normalised co-occurrence.

    With x the strengths, n_u the number of customer u's items and d_i = Σ_u x_ui² / n_u^γ,

        w_ij = Σ_u x_ui x_uj / n_u^γ  /  (d_i d_j)^β,

    γ the customer exponent and β the item exponent. Only the `neighbours` largest per item are kept and no dense
    items × items array is made (product of sparse rows by `implicit`).

    Parameters
    ----------
    strengths : float32, shape (customers, items), above 0 where stored.
    threads : 1 or more; does not change the result.
    """
    from implicit.nearest_neighbours import all_pairs_knn

    capped = strongest_per_row(strengths, config.history_cap)
    n_items = capped.shape[1]
    degree = np.diff(capped.indptr)
    customer_scale = np.power(np.maximum(degree, 1), -config.customer_exponent / 2)
    weighted = sparse.diags_array(customer_scale) @ capped.astype(np.float64)
    norm = np.asarray(weighted.multiply(weighted).sum(axis=0)).ravel()
    item_scale = np.where(norm > 0, np.power(np.maximum(norm, np.finfo(np.float64).tiny), -config.item_exponent), 0.0)
    scaled = sparse.csr_matrix(weighted @ sparse.diags_array(item_scale))
    # One more than wanted: an item is its own nearest neighbour and is left out below.
    pairs = all_pairs_knn(scaled, config.neighbours + 1, num_threads=threads, show_progress=False).tocoo()
    keep = (pairs.row != pairs.col) & (pairs.data > 0)
    row, column, weight = pairs.row[keep], pairs.col[keep], pairs.data[keep].astype(np.float32)
    order = np.lexsort((column, -weight, row))
    row, column, weight = row[order], column[order], weight[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row, side="left")
    inside = rank < config.neighbours
    row, column, weight = row[inside], column[inside], weight[inside]
    indptr = np.zeros(n_items + 1, dtype=np.int64)
    np.cumsum(np.bincount(row, minlength=n_items), out=indptr[1:])
    return ItemItem(indptr, column.astype(np.int32), weight)
