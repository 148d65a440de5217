"""Implicit-feedback matrix factorisation by alternating least squares, with fold-in from a history.

Hu, Koren, Volinsky: Collaborative Filtering for Implicit Feedback Datasets (2008). Letters as there: confidence
c_ui = 1 + α r_ui, preference p_ui = 1 where r_ui > 0, customer factors x_u, item factors y_i.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys.models.factors import Factors

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
    """The item side, whitened; no customer factors are kept, every customer folds in.

    With YᵀY = Q Λ Qᵀ the rows are z_i = (Λ + λI)^−½ Qᵀ y_i. Then equation 4 of the paper,
    x_u = (YᵀY + λI + Yᵀ(Cᵘ − I)Y)⁻¹ Yᵀ Cᵘ p(u), reads (I + Zᵀ(Cᵘ − I)Z) x = Zᵀ Cᵘ p(u): the system of `factors`, whose
    matrix all customers share is the identity. Scores z_i · x are those of y_i · x_u.

    Attributes
    ----------
    item_factors : float32, shape (items, factors); z_i.
    square : float64, shape (factors,); ZᵀZ = Λ (Λ + λI)⁻¹, which is diagonal.
    alpha : α of the fit, which the fold-in must use too.
    """

    item_factors: npt.NDArray[np.float32]
    square: npt.NDArray[np.float64]
    alpha: float

    @classmethod
    def of_factors(cls, item_factors: npt.NDArray[np.float32], regularization: float, alpha: float) -> Self:
        """From y_i, float32, shape (items, factors)."""
        wide = item_factors.astype(np.float64)
        eigenvalues, directions = np.linalg.eigh(wide.T @ wide)
        eigenvalues = np.maximum(eigenvalues, 0.0)
        whitened = wide @ (directions / np.sqrt(eigenvalues + regularization))
        return cls(
            np.ascontiguousarray(whitened, dtype=np.float32), eigenvalues / (eigenvalues + regularization), alpha
        )

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What a bundle stores."""
        return {"als.item_factors": self.item_factors, "als.square": self.square}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[np.generic]], alpha: float) -> Self:
        """What `arrays` gave."""
        return cls(arrays["als.item_factors"].view(np.float32), arrays["als.square"].view(np.float64), alpha)

    def factors(self) -> Factors:
        """As the kernels take it."""
        even = np.ones(len(self.item_factors), dtype=np.float32)
        return Factors(np.asarray(self.item_factors), even, even, np.asarray(self.square), self.alpha)


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
        return ALS.of_factors(item_factors, config.regularization, config.alpha)
