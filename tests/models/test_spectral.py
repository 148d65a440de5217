"""The low-pass filter agrees with a full decomposition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recsys.models.spectral import SpectralConfig, fit_spectral
from tests.oracles import Dense, low_pass

CONFIG = SpectralConfig(factors=4, degree_exponent=0.3, iterations=12)


@pytest.fixture(scope="module")
def x() -> Dense:
    """40 customers in two camps over 15 items, the last of which nobody touched."""
    rng = np.random.default_rng(5)
    x = (rng.random((40, 15)) < np.where((np.arange(15) % 2)[None] == (np.arange(40) % 2)[:, None], 0.6, 0.1)).astype(
        float
    )
    x[:, 14] = 0
    return x * rng.uniform(0.5, 1.0, x.shape)


def test_scores_are_those_of_the_filter(x: Dense) -> None:
    """A history's coordinates, scored, are strengths · D^−a V Vᵀ D^a; the squares are those of the outputs."""
    model = fit_spectral(sparse.csr_matrix(x, dtype=np.float32), CONFIG, seed=3)
    expected, factors = x @ low_pass(x, 4, 0.3), model.factors()
    for customer in range(5):
        items = np.flatnonzero(x[customer]).astype(np.int32)
        found = factors.coordinates(items, x[customer, items].astype(np.float32))
        np.testing.assert_allclose(factors.scores(found), expected[customer], atol=2e-4)
    outputs = factors.rows * factors.out[:, None].astype(float)
    np.testing.assert_allclose(outputs.T @ outputs, np.diag(factors.square), atol=1e-4)


def test_the_same_seed_gives_the_same_bytes(x: Dense) -> None:
    """Twice the same; an item nobody touched has no direction."""
    one, two = (fit_spectral(sparse.csr_matrix(x, dtype=np.float32), CONFIG, seed=3) for _ in range(2))
    assert one.directions.tobytes() == two.directions.tobytes()
    assert not one.directions[14].any()


def test_more_factors_than_the_shop_has_are_cut() -> None:
    """A shop of three items has at most two directions."""
    model = fit_spectral(sparse.csr_matrix(np.eye(5, 3, dtype=np.float32)), SpectralConfig(), seed=0)
    assert model.directions.shape == (3, 2)
