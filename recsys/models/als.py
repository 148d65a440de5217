"""Implicit-feedback matrix factorisation by alternating least squares, with fold-in from a history.

Hu, Koren, Volinsky: Collaborative Filtering for Implicit Feedback Datasets (2008). Letters as there: confidence
c_ui = 1 + α r_ui, preference p_ui = 1 where r_ui > 0, customer factors x_u, item factors y_i.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

SIDE_PER_FACTOR = 4
"""Customers and items that there must be for each factor."""

LARGE = 10_000_000
LARGE_FACTORS = 128
"""The most factors where there are more than `LARGE` tastes."""


@dataclass(frozen=True, slots=True)
class ALSConfig:
    """How the factorisation is done.

    Attributes
    ----------
    factors : the most that a factor vector has; `ALSConfig.fitting` says how many it has in a small history.
    regularization : λ, added to the diagonal of every solve.
    alpha : α, how much confidence a strength of 1 adds.
    iterations : how often both sides are solved.
    """

    factors: int = 256
    regularization: float = 1.0
    alpha: float = 24.0
    iterations: int = 10

    def fitting(self, shape: tuple[int, int], tastes: int) -> int:
        """How many factors suit so many customers and items, and tastes of theirs: a quarter of the smaller side at
        most, and `LARGE_FACTORS` where there are more than `LARGE` tastes.

        With as many factors as customers the factorisation learns every history by heart, and lists nothing else. In a
        large history the second half of the factors costs as much as all else to add what neighbours already say.
        """
        most = self.factors if tastes <= LARGE else min(self.factors, LARGE_FACTORS)
        return max(1, min(most, min(shape) // SIDE_PER_FACTOR))


@dataclass(frozen=True, slots=True)
class ALS:
    """The item side; no customer factors are kept, every customer folds in.

    Attributes
    ----------
    item_factors : float32, shape (items, factors); y_i.
    gram : float64, shape (factors, factors); YᵀY + λI.
    alpha : α of the fit, which the fold-in must use too.
    inverse : float64, shape (factors, factors); that of `gram`.
    """

    item_factors: npt.NDArray[np.float32]
    gram: npt.NDArray[np.float64]
    alpha: float
    inverse: npt.NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inverse", np.linalg.inv(self.gram))

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What a bundle stores."""
        return {"als.item_factors": self.item_factors, "als.gram": self.gram}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[np.generic]], alpha: float) -> Self:
        """What `arrays` gave."""
        return cls(arrays["als.item_factors"].view(np.float32), arrays["als.gram"].view(np.float64), alpha)

    def fold_in(self, items: npt.NDArray[np.int32], strengths: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """What each item of a history adds to the customer's factors: float64, shape (m, factors).

        The sum over the rows is x_u = (YᵀY + λI + Yᵀ(Cᵘ − I)Y)⁻¹ Yᵀ Cᵘ p(u), equation 4 of the paper: the solve is
        linear in its right-hand side, which is a sum over the history. With G = YᵀY + λI, which all customers share,
        D = Cᵘ − I, H = Y_u G⁻¹ and K = H Y_uᵀ, the matrix inversion lemma gives the rows as (I + D)(I + K D)⁻¹ H: a
        system of the history's size. It is used where that is smaller than the number of factors.
        """
        y, extra = self._weighed(items, strengths)
        if len(items) > len(self.gram):
            return np.asarray(np.linalg.solve(self._system(y, extra), (y * (1.0 + extra)[:, None]).T).T)
        near = y @ self.inverse
        system = np.eye(len(items)) + (near @ y.T) * extra
        return np.asarray((1.0 + extra)[:, None] * np.linalg.solve(system, near), dtype=np.float64)

    def coordinates(self, items: npt.NDArray[np.int32], strengths: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """The customer's factors x_u, without the parts: float64, shape (factors,)."""
        y, extra = self._weighed(items, strengths)
        if len(items) > len(self.gram):
            return np.asarray(np.linalg.solve(self._system(y, extra), (1.0 + extra) @ y))
        near = y @ self.inverse
        system = np.eye(len(items)) + extra[:, None] * (near @ y.T)
        return np.asarray(np.linalg.solve(system, 1.0 + extra) @ near, dtype=np.float64)

    def _weighed(
        self, items: npt.NDArray[np.int32], strengths: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Y_u, shape (m, factors), and the diagonal of D, shape (m,)."""
        return self.item_factors[items].astype(np.float64), self.alpha * strengths.astype(np.float64)

    def _system(self, y: npt.NDArray[np.float64], extra: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The matrix of equation 4, shape (factors, factors)."""
        return np.asarray(self.gram + (y * extra[:, None]).T @ y)

    def scores(self, factors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """x_u · y_i for all items; factors of shape (f,) or (f, n): float64, shape (items,) or (items, n)."""
        return np.asarray(self.item_factors @ factors.astype(np.float32), dtype=np.float64)

    def outputs(self, items: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """y_i of these items: float64, shape (k, factors)."""
        return self.item_factors[items].astype(np.float64)


def fit_als(
    strengths: sparse.csr_matrix,
    config: ALSConfig,
    seed: int,
    threads: int,
    progress: Callable[[int], None] | None = None,
) -> ALS:
    """Factorises with `implicit`.

    Parameters
    ----------
    strengths : float32, shape (customers, items); r_ui, above 0 where stored.
    seed : of the random start.
    threads : 1 or more; does not change the result, for every row is solved by itself and BLAS runs on one thread.
    progress : called after each iteration with the number done.
    """
    from implicit.cpu.als import AlternatingLeastSquares

    factors = config.fitting(strengths.shape, strengths.nnz)
    confidence = strengths.copy()
    confidence.data = (1.0 + config.alpha * confidence.data).astype(np.float32)
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=factors,
            regularization=config.regularization,
            alpha=1.0,
            iterations=config.iterations,
            num_threads=threads,
            random_state=seed,
        )
        model.fit(
            confidence,
            show_progress=False,
            callback=(lambda iteration, _seconds, _loss: progress(iteration + 1)) if progress else None,
        )
        item_factors = model.item_factors.astype(np.float32)
        # An item nobody touched keeps its random start; it must not be found by accident.
        item_factors[np.bincount(strengths.indices, minlength=strengths.shape[1]) == 0] = 0.0
        wide = item_factors.astype(np.float64)
        gram = wide.T @ wide + config.regularization * np.eye(factors)
    return ALS(item_factors, gram, config.alpha)
