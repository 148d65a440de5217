"""The few directions in which customers differ most: a low-pass filter over the whole shop.

Shen et al.: How Powerful is Graph Convolution for Recommendation? (GF-CF, 2021), the linear-autoencoder part: the
degree-normalised matrix R = D_U^−½ X D_I^−½ is approximated by its largest singular vectors V; a history r is scored by
r D_I^−a V Vᵀ D_I^a.
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
from recsys.models.truncated_svd import right_directions, steps


@dataclass(frozen=True, slots=True)
class SpectralConfig:
    """How the directions are found.

    Attributes
    ----------
    factors : how many directions; at most the smaller side of the matrix less one.
    degree_exponent : a above: how far an item's popularity is taken out of the history and put back into the scores.
    iterations : power iterations of the randomised decomposition (Halko, Martinsson, Tropp 2011).
    """

    factors: int = 128
    degree_exponent: float = 0.3
    iterations: int = 3


@dataclass(frozen=True, slots=True)
class Spectral:
    """The item side of the decomposition.

    Attributes
    ----------
    directions : float32, shape (items, factors); V W, where W is the rotation that makes the columns of D_I^a V W
        orthogonal. It changes no score.
    scale : float32, shape (items,); the items' degrees to the power a; 1 where nobody touched the item.
    square : float64, shape (factors,); the squared lengths of those columns.
    """

    directions: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    square: npt.NDArray[np.float64]

    @classmethod
    def nothing(cls, items: int) -> Self:
        """No direction: every score is 0."""
        return cls(np.zeros((items, 0), dtype=np.float32), np.ones(items, dtype=np.float32), np.zeros(0))

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What a bundle stores."""
        return {"spectral.directions": self.directions, "spectral.scale": self.scale, "spectral.square": self.square}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[np.generic]]) -> Self:
        """What `arrays` gave."""
        return cls(
            arrays["spectral.directions"].view(np.float32),
            arrays["spectral.scale"].view(np.float32),
            arrays["spectral.square"].view(np.float64),
        )

    def factors(self) -> Factors:
        """As the kernels take it."""
        scale = np.asarray(self.scale)
        return Factors(np.asarray(self.directions), 1.0 / scale, scale, np.asarray(self.square), 0.0)


def fit_spectral(
    strengths: sparse.csr_matrix,
    config: SpectralConfig,
    seed: int,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Spectral:
    """Decomposes by a randomised SVD; the same seed gives the same factors.

    Parameters
    ----------
    strengths : float32, shape (customers, items), above 0 where stored.
    seed : of the random start.
    threads : 1 or more; does not change the result.
    progress : called now and then with the number of steps done, of `spectral_steps(config)`.
    """
    degree = np.bincount(strengths.indices, minlength=strengths.shape[1]).astype(np.float64)
    customer = np.maximum(np.diff(strengths.indptr), 1).astype(np.float64)
    scaled = sparse.diags_array(customer**-0.5) @ strengths @ sparse.diags_array(np.maximum(degree, 1.0) ** -0.5)
    factors = max(1, min(config.factors, min(strengths.shape) - 1))
    v = right_directions(
        sparse.csr_matrix(scaled, dtype=np.float32), factors, config.iterations, seed, threads, progress
    )
    v[degree == 0] = 0.0
    scale = np.power(np.maximum(degree, 1.0), config.degree_exponent).astype(np.float32)
    outputs = v.astype(np.float64) * scale[:, None]
    with threadpool_limits(1, "blas"):
        square, rotation = np.linalg.eigh(outputs.T @ outputs)
        directions = np.ascontiguousarray(v @ rotation, dtype=np.float32)
    return Spectral(directions, scale, np.maximum(square, 0.0))


def spectral_steps(config: SpectralConfig) -> int:
    """How many steps `fit_spectral` tells of."""
    return steps(config.iterations)
