"""Items that go with items: a small regression per item, on the items that its customers also wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.data.interactions import Tastes
from recsys.errors import InputError
from recsys.models.blocks import block_count, by_blocks
from recsys.models.pairs import newest_pairs

MOST_KEPT = 200
"""No list is longer: serving reads rows of bounded length."""

GAPS = 64
"""Pairs further apart than this many steps in a history count as this far apart."""

_SPEAKERS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class ItemItemConfig:
    """How the regressions are fitted.

    Attributes
    ----------
    neighbours : each item's regression is on so many of its nearest neighbours; up to `width`.
    width : so many co-occurrences are kept per item while fitting; more cost memory and change little.
    kept : in the end every item speaks for at most so many others, those of largest weight; up to 200.
    customer_exponent : γ, each customer counts by (number of their items)^−γ: somebody who buys everything says little
        about what goes together.
    penalty : λ of the ridge.
    dropout : p; as if each item of a history had been hidden with this probability (Steck 2020, ridge p/(1−p)·G_ii).
    item_exponent : δ, in the end the weights about an item of n customers are multiplied by n^−δ, and scaled so that
        those about the median item stay: above 0 marks down popular items.
    after : with every step further apart a pair counts by this factor less; 1 is no difference.
    before : what came after an item says this much about it, compared with what came before; 1 is no direction.
    history_cap : of a longer history only this many items, the newest, are counted; bounds the number of pairs.
    """

    neighbours: int = 100
    width: int = 256
    kept: int = 200
    customer_exponent: float = 0.3
    penalty: float = 40.0
    dropout: float = 0.5
    item_exponent: float = 0.0
    after: float = 0.9
    before: float = 0.5
    history_cap: int = 500

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 1 if field.type == "int" else 0
            if not (np.isfinite(value) and value >= least):
                raise _refused(field.name, value, f"{least} or more")
        if self.neighbours > self.width:
            raise _refused("neighbours", self.neighbours, f"at most width, which is {self.width}")
        if self.kept > MOST_KEPT:
            raise _refused("kept", self.kept, f"at most {MOST_KEPT}")
        if self.dropout >= 1:
            raise _refused("dropout", self.dropout, "0 or more and below 1")
        if self.after > 1:
            raise _refused("after", self.after, "0 to 1")

    def varied(self, name: str, value: float) -> Self:
        """The same settings with another value of one that is a number with a fraction."""
        return replace(self, **{name: value})  # type: ignore[arg-type]


def _refused(name: str, value: float, expected: str) -> InputError:
    return InputError(f"{name} of the item-item model is {value}", expected=expected)


@dataclass(frozen=True, slots=True)
class ItemItem:
    """Weights in CSR form: what item `i` says about others are the rows `indptr[i]:indptr[i + 1]`, largest first.

    Attributes
    ----------
    indptr : int64, shape (items + 1,).
    neighbour : int32, shape (kept pairs,); never the item itself.
    weight : float32, shape (kept pairs,): how much a taste of strength 1 for the row's item says about the neighbour;
        below 0 where it speaks against it.
    """

    indptr: npt.NDArray[np.int64]
    neighbour: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]

    @classmethod
    def nothing(cls, items: int) -> Self:
        """Lists in which no item speaks about any other."""
        return cls(np.zeros(items + 1, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))

    def arrays(self, name: str = "item_item") -> dict[str, npt.NDArray[np.generic]]:
        """What a bundle stores, under the name of these lists."""
        return {f"{name}.indptr": self.indptr, f"{name}.neighbour": self.neighbour, f"{name}.weight": self.weight}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[np.generic]], name: str = "item_item") -> Self:
        """What `arrays` gave."""
        return cls(
            arrays[f"{name}.indptr"].view(np.int64),
            arrays[f"{name}.neighbour"].view(np.int32),
            arrays[f"{name}.weight"].view(np.float32),
        )

    def row(self, item: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """What one item speaks about and how strongly, largest weight first."""
        own = slice(self.indptr[item], self.indptr[item + 1])
        return self.neighbour[own], self.weight[own]

    def matrix(self) -> sparse.csr_matrix:
        """The weights as a matrix: float32, shape (items, items); strengths · matrix are the scores."""
        size = len(self.indptr) - 1
        return sparse.csr_matrix((self.weight, self.neighbour, self.indptr), shape=(size, size))


def fit_item_item(
    tastes: Tastes,
    targets: npt.NDArray[np.float32],
    config: ItemItemConfig,
    threads: int,
    progress: Callable[[int], None] | None = None,
) -> ItemItem:
    """A directed neighbourhood ridge.

    For each item j, with x the strengths of tastes, t the targets, s_u = n_u^−γ the weight of a customer with n_u items
    and N(j) the nearest neighbours of j,

        w = (G_NN + diag(λ + p/(1−p)·G_ii))⁻¹ c_N,
        G_ab = Σ_u s_u x_ua x_ub,   c_i = Σ_u s_u t_uj x_ui d(clock_uj − clock_ui).

    d(g) is 1 within a basket, after^(g−1) where j came g steps after i, before · after^(g−1) where it came earlier:
    what people went on to is predicted, not only what they also had. This is EASE (Steck 2019) restricted to each
    item's neighbourhood, with edge dropout (Steck 2020) and the customer weights of DAN. Where no order is known,
    d is 1.

    Parameters
    ----------
    tastes : what all customers think of what, before fading by steps.
    targets : float32, shape (pairs of tastes,); how much each pair is what is to be predicted.
    threads : 1 or more; does not change the result.
    progress : called now and then with the number of steps done, of `item_item_steps(tastes.items)`.
    """
    told = progress or (lambda _: None)
    x, t, clock = newest_pairs(tastes, targets, config.history_cap)
    scale = np.power(np.maximum(np.diff(x.indptr), 1).astype(np.float64), -config.customer_exponent)
    diagonal = np.asarray((sparse.diags_array(scale) @ x.multiply(x)).sum(axis=0), dtype=np.float64).ravel()
    # Items that hardly anybody touched must not look nearest to everything.
    least = 1e-3 * np.median(diagonal[diagonal > 0]) if diagonal.any() else 1.0
    norm = 1.0 / np.sqrt(np.maximum(diagonal, least))
    rows = _gram(x, t, clock, scale, norm, config, threads, told)
    penalty = config.penalty + config.dropout / (1.0 - config.dropout) * diagonal
    halfway = item_item_steps(tastes.items) // 2
    speaker, weight = _ridge(
        rows, diagonal, norm, penalty, config.neighbours, threads, lambda done: told(halfway + done)
    )
    weight *= _item_factors(x, config.item_exponent)[:, None]
    return _rows_by_speaker(speaker, weight, config.kept)


def _item_factors(x: sparse.csr_matrix, exponent: float) -> npt.NDArray[np.float32]:
    """What the weights about each item are multiplied by, shape (items,); 1 for the median of the items that have more
    than one customer."""
    count = np.maximum(np.bincount(x.indices, minlength=x.shape[1]), 1).astype(np.float64)
    middle = float(np.median(count[count > 1])) if np.any(count > 1) else 1.0
    return np.power(count / middle, -exponent).astype(np.float32)


def item_item_steps(items: int) -> int:
    """How many steps `fit_item_item` tells of, for so many items."""
    return 2 * block_count(items)


_GramRows = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int32]]
_Weights = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]


def _gram(
    x: sparse.csr_matrix,
    t: sparse.csr_matrix,
    clock: sparse.csr_matrix,
    scale: npt.NDArray[np.float64],
    norm: npt.NDArray[np.float64],
    config: ItemItemConfig,
    threads: int,
    told: Callable[[int], None],
) -> _GramRows:
    """Both products of `fit_item_item`, the largest entries of each row; see `kernels.gram_rows`."""
    from recsys.models.kernels import gram_rows

    steps = np.arange(GAPS)
    decay = np.where(steps > 0, np.power(config.after, np.maximum(steps - 1, 0)), 1.0)
    after = decay.astype(np.float32)
    before = np.where(steps > 0, config.before * decay, 1.0).astype(np.float32)
    xi, ti, ci = (sparse.csr_matrix(each.T) for each in (x, t, clock))
    customer_start, item_start = x.indptr.astype(np.int64), xi.indptr.astype(np.int64)

    shape = x.shape[1], config.width
    rows = (
        np.empty(shape, np.int32),
        np.empty(shape, np.float32),
        np.empty(shape, np.float32),
        np.empty(shape[0], np.int32),
    )

    def block(first: int, last: int) -> None:
        by_item = (item_start, xi.indices, xi.data, ti.data, ci.data)
        by_customer = (customer_start, x.indices, x.data, clock.data)
        found = gram_rows(first, last, *by_item, *by_customer, scale, norm, after, before, config.width)
        for whole, part in zip(rows, found, strict=True):
            whole[first:last] = part

    by_blocks(block, x.shape[1], threads, told)
    return rows


def _ridge(
    rows: _GramRows,
    diagonal: npt.NDArray[np.float64],
    norm: npt.NDArray[np.float64],
    penalty: npt.NDArray[np.float64],
    neighbours: int,
    threads: int,
    told: Callable[[int], None],
) -> _Weights:
    """The regressions of `fit_item_item`; see `kernels.ridge_rows`."""
    from recsys.models.kernels import ridge_rows

    def block(first: int, last: int) -> _Weights:
        weights: _Weights = ridge_rows(first, last, *rows, diagonal, norm, penalty, neighbours)
        return weights

    speaker, weight = zip(*by_blocks(block, len(diagonal), threads, told), strict=True)
    return np.concatenate(speaker), np.concatenate(weight)


def _rows_by_speaker(speaker: npt.NDArray[np.int32], weight: npt.NDArray[np.float32], kept: int) -> ItemItem:
    """From the weights per item spoken about, shape (items, neighbours), to rows per item that speaks."""
    n_items = len(speaker)
    target = np.repeat(np.arange(n_items, dtype=np.int32), speaker.shape[1])
    real = (speaker.ravel() >= 0) & (weight.ravel() != 0)
    entries = (weight.ravel()[real], (target[real], speaker.ravel()[real]))
    # Turning rows into columns is a sort by counting; within a speaker the targets ascend.
    spoken = sparse.csc_array(sparse.coo_array(entries, shape=(n_items, n_items)))
    start, own = spoken.indptr.astype(np.int64), np.minimum(np.diff(spoken.indptr), kept)
    indptr = np.zeros(n_items + 1, dtype=np.int64)
    np.cumsum(own, out=indptr[1:])
    neighbour, largest = np.empty(indptr[-1], dtype=np.int32), np.empty(indptr[-1], dtype=np.float32)
    for first in range(0, n_items, _SPEAKERS_AT_ONCE):
        last = min(first + _SPEAKERS_AT_ONCE, n_items)
        part, out = slice(start[first], start[last]), slice(indptr[first], indptr[last])
        counts = np.diff(start[first : last + 1])
        row, w = np.repeat(np.arange(last - first, dtype=np.int32), counts), spoken.data[part]
        by_size = np.lexsort((-np.abs(w), row))
        rank = np.arange(len(w)) - np.repeat(np.cumsum(counts) - counts, counts)
        chosen = np.sort(by_size[rank < kept])
        chosen = chosen[np.lexsort((-w[chosen], row[chosen]))]
        neighbour[out], largest[out] = spoken.indices[part][chosen], w[chosen]
    return ItemItem(indptr, neighbour, largest)
