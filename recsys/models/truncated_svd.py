"""The largest singular directions of a sparse matrix, by randomised subspace iteration, on several threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse
from threadpoolctl import threadpool_limits

Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

OVERSAMPLES = 10
"""So many directions more than asked for are followed, and left out in the end."""

_NEGLIGIBLE = 1e-9
"""Squared singular values below this share of the largest are rounding, in single precision."""

_ROWS_AT_ONCE = 65_536


def steps(iterations: int) -> int:
    """How many steps `right_directions` tells of."""
    return 2 * iterations + 2


def right_directions(
    matrix: sparse.csr_matrix,
    count: int,
    iterations: int,
    seed: int,
    threads: int,
    progress: Callable[[int], None] | None = None,
) -> Singles:
    """The right singular vectors of the `count` largest singular values, largest first: float32, (columns, count).

    Halko, Martinsson, Tropp (2011), algorithms 4.4 and 5.1, on M (rows × columns, its taller orientation):

        Q ← random;  `iterations` times Q ← LU(Mᵀ LU(M Q));  A = M Q;  C = Mᵀ A

    The paper then takes an orthonormal basis of A by QR, and the SVD of what is left of M in it. Here both come from
    the small matrices AᵀA and CᵀC in double precision, which is the same basis and the same SVD without factorising
    anything that is as tall as there are customers: with AᵀA = E Λ Eᵀ and W = E Λ^−½, A W is orthonormal and
    B = (A W)ᵀ M = Wᵀ Cᵀ, whose BBᵀ = Wᵀ CᵀC W is small.

    Parameters
    ----------
    matrix : float32, finite.
    count : 1 or more. Where the matrix has fewer directions, the columns that are left are 0.
    seed : of the random start.
    threads : of the products; every row is summed in one order, so the result does not depend on it.
    progress : called after each of `steps(iterations)` products with the number done.

    A direction's sign is such that its largest entry is above 0.
    """
    told = progress or (lambda _: None)
    tall = matrix.shape[0] >= matrix.shape[1]
    turned = sparse.csr_matrix(matrix.T)
    down, across = (matrix, turned) if tall else (turned, matrix)
    with ThreadPoolExecutor(threads) as pool, threadpool_limits(1):
        start = np.random.RandomState(seed).normal(size=(down.shape[1], count + OVERSAMPLES))
        q = start.astype(np.float32)
        done = 0
        for _ in range(iterations):
            for side in (down, across):
                q = np.ascontiguousarray(_triangular(_product(side, q, pool)))
                done += 1
                told(done)
        a = _product(down, q, pool)
        told(done + 1)
        c = _product(across, a, pool)
        basis = _whitening(_gram(a))
        value, vector = np.linalg.eigh(basis.T @ _gram(c) @ basis)
        largest = np.argsort(-value, kind="stable")[:count]
        size = np.sqrt(np.maximum(value[largest], 0.0))
        real = size > np.sqrt(_NEGLIGIBLE) * size.max(initial=0.0)
        mix = basis @ vector[:, largest[real]]
        found = c @ (mix / size[real]).astype(np.float32) if tall else a @ mix.astype(np.float32)
    directions = np.zeros((matrix.shape[1], count), dtype=np.float32)
    signs = np.sign(found[np.argmax(np.abs(found), axis=0), np.arange(found.shape[1])])
    directions[:, : found.shape[1]] = found * signs
    told(done + 2)
    return directions


def _triangular(tall: Singles) -> Singles:
    """The lower factor of a row-exchanged LU: spans what the columns span, and is far from singular."""
    lower, _ = linalg.lu(tall, permute_l=True, check_finite=False, overwrite_a=True)
    return np.asarray(lower, dtype=np.float32)


def _product(matrix: sparse.csr_matrix, dense: Singles, pool: ThreadPoolExecutor) -> Singles:
    """matrix · dense, block by block of rows."""
    out = np.empty((matrix.shape[0], dense.shape[1]), dtype=np.float32)

    def rows(first: int) -> None:
        last = min(first + _ROWS_AT_ONCE, matrix.shape[0])
        out[first:last] = matrix[first:last] @ dense

    for _ in pool.map(rows, range(0, matrix.shape[0], _ROWS_AT_ONCE)):
        pass
    return out


def _gram(tall: Singles) -> Doubles:
    """tallᵀ · tall in double precision, added up in one order."""
    total = np.zeros((tall.shape[1], tall.shape[1]))
    for first in range(0, len(tall), _ROWS_AT_ONCE):
        part = tall[first : first + _ROWS_AT_ONCE].astype(np.float64)
        total += part.T @ part
    return total


def _whitening(gram: Doubles) -> Doubles:
    """E Λ^−½ of a Gram matrix E Λ Eᵀ, without what is only rounding."""
    value, vector = np.linalg.eigh(gram)
    kept = value > _NEGLIGIBLE * value.max(initial=0.0)
    return np.asarray(vector[:, kept] / np.sqrt(value[kept]), dtype=np.float64)
