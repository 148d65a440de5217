"""Low rank at answer time: a history's coordinates by one small solve, whatever the model that the factors come from.

Items have rows f_i. A history of items j with confidences d_j and pulls r_j lies where

    (I + Σ_j d_j f_j f_jᵀ) x = Σ_j r_j f_j,

and item i scores out_i · f_i · x. Implicit ALS is of this form once its factors are whitened (`ALS`), with
d = α · strength and r = 1 + d; the spectral filter is with d = 0 and r = strength · into. The system is the identity
and one small term per item of the history, so conjugate gradients (Hestenes and Stiefel 1952) solve it in a few steps
of m products each, without a matrix.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import sparse

from recsys.models.kernels import Items, Places, Singles

TOLERANCE = 1e-6
"""Where the solve ends: this share of the right-hand side is left."""

MOST_STEPS = 100

SUMS = {"reassoc", "contract", "nsz"}
"""Sums of products may be taken in any order, so that they fill the processor's registers; the order is fixed when the
code is compiled."""


class Factors(NamedTuple):
    """A low-rank model as the kernels take it.

    Attributes
    ----------
    rows : float32, shape (items, factors), in rows; f_i.
    into, out : float32, shape (items,).
    square : float64, shape (factors,); Σ_i (out_i f_ik)². The columns of out · f are orthogonal, so that the scores of
        coordinates x have the mean square Σ_k x_k² square_k / items.
    confidence : α; 0 for a model without confidences.
    """

    rows: npt.NDArray[np.float32]
    into: npt.NDArray[np.float32]
    out: npt.NDArray[np.float32]
    square: npt.NDArray[np.float64]
    confidence: float

    def coordinates(self, items: npt.NDArray[np.int32], strengths: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """x of a history, whose items and strengths have shape (m,): float32, shape (factors,)."""
        found: npt.NDArray[np.float32] = folded(self, items, strengths)[0]
        return found

    def scores(self, coordinates: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Of all items; coordinates of shape (factors,) or (n, factors): float32, shape (items,) or (n, items)."""
        return np.asarray((coordinates @ self.rows.T) * self.out, dtype=np.float32)

    def in_units_of_spread(self, strengths: sparse.csr_matrix) -> npt.NDArray[np.float32]:
        """The coordinates of many histories, shape (n, items), such that the root mean square of the scores of all
        items is 1: float32, shape (n, factors); zeros where all scores are 0."""
        folded_ = folded_rows(self, strengths.indptr.astype(np.int64), strengths.indices, strengths.data)
        scale = np.sqrt((folded_.astype(np.float64) ** 2) @ self.square / max(1, len(self.rows)))[:, None]
        return np.divide(folded_, scale, out=np.zeros_like(folded_), where=scale > 0, casting="unsafe")


@njit(nogil=True, cache=True, error_model="numpy", fastmath=SUMS)
def dot(one: Singles, other: Singles) -> np.float32:  # pragma: no cover - compiled
    """The sum of products."""
    total = np.float32(0.0)
    for k in range(len(one)):
        total += one[k] * other[k]
    return total


@njit(nogil=True, cache=True, error_model="numpy", fastmath=SUMS)
def dots(
    rows: Singles, which: Items, other: Singles
) -> tuple[np.float32, np.float32, np.float32, np.float32]:  # pragma: no cover - compiled
    """The sums of products of four rows with something else, which is read once for all four."""
    first, second, third, fourth = which[0], which[1], which[2], which[3]
    one, two, three, four = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for k in range(len(other)):
        own = other[k]
        one += rows[first, k] * own
        two += rows[second, k] * own
        three += rows[third, k] * own
        four += rows[fourth, k] * own
    return one, two, three, four


@njit(nogil=True, cache=True, error_model="numpy", fastmath=SUMS)
def add_rows(rows: Singles, which: Items, weight: Singles, total: Singles) -> None:  # pragma: no cover - compiled
    """Adds four rows, each as often as its weight says."""
    first, second, third, fourth = which[0], which[1], which[2], which[3]
    one, two, three, four = weight[0], weight[1], weight[2], weight[3]
    for k in range(len(total)):
        total[k] += one * rows[first, k] + two * rows[second, k] + three * rows[third, k] + four * rows[fourth, k]


@njit(nogil=True, cache=True, error_model="numpy", fastmath=SUMS)
def folded(
    factors: Factors, items: Items, strengths: Singles
) -> tuple[Singles, Singles]:  # pragma: no cover - compiled
    """Where a history lies, and whose word that is.

    `items` and `strengths` have shape (m,). Returns x, shape (factors,), and b_j = r_j − d_j f_j·x, shape (m,), with
    x = Σ_j b_j f_j.
    """
    # Fields of tuples are counted references: taken out of the loops they cost nothing.
    rows, into, alpha = factors.rows, factors.into, np.float32(factors.confidence)
    many, width = len(items), rows.shape[1]
    # Four rows are multiplied at once: items with which nobody is confident fill up the last four.
    padded = (many + 3) // 4 * 4
    who = np.zeros(padded, np.int32)
    pull = np.zeros(padded, np.float32)
    confidence = np.zeros(padded, np.float32)
    for place in range(many):
        who[place] = items[place]
        if alpha > 0.0:
            confidence[place] = alpha * strengths[place]
            pull[place] = np.float32(1.0) + confidence[place]
        else:
            pull[place] = strengths[place] * into[items[place]]
    left = np.zeros(width, np.float32)
    for at in range(0, padded, 4):
        add_rows(rows, who[at : at + 4], pull[at : at + 4], left)
    if alpha == 0.0:
        return left, pull[:many]
    found = np.zeros(width, np.float32)
    direction, moved = np.empty(width, np.float32), np.empty(width, np.float32)
    weight = np.empty(4, np.float32)
    for k in range(width):
        direction[k] = left[k]
    size = dot(left, left)
    least = np.float32(TOLERANCE) * np.float32(TOLERANCE) * size
    steps = 0
    while size > least and steps < MOST_STEPS:
        for k in range(width):
            moved[k] = direction[k]
        for at in range(0, padded, 4):
            four = who[at : at + 4]
            along = dots(rows, four, direction)
            for which in range(4):
                weight[which] = along[which] * confidence[at + which]
            add_rows(rows, four, weight, moved)
        step = size / dot(direction, moved)
        for k in range(width):
            found[k] += step * direction[k]
            left[k] -= step * moved[k]
        before, size = size, dot(left, left)
        for k in range(width):
            direction[k] = left[k] + size / before * direction[k]
        steps += 1
    for at in range(0, padded, 4):
        products = dots(rows, who[at : at + 4], found)
        for which in range(4):
            pull[at + which] -= confidence[at + which] * products[which]
    return found, pull[:many]


@njit(nogil=True, cache=True)
def folded_rows(
    factors: Factors, indptr: Places, items: Items, strengths: Singles
) -> Singles:  # pragma: no cover - compiled
    """x of each row of a matrix of strengths in CSR form: shape (rows, factors)."""
    found = np.empty((len(indptr) - 1, factors.rows.shape[1]), np.float32)
    for row in range(len(found)):
        own = slice(indptr[row], indptr[row + 1])
        coordinates = folded(factors, items[own], strengths[own])[0]
        # Element by element: putting a whole row takes two seconds more to compile.
        for k in range(len(coordinates)):
            found[row, k] = coordinates[k]
    return found
