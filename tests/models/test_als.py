"""The factorisation and its fold-in agree with the paper's equations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recsys.models.als import ALS, ALSConfig, fit_als
from tests.oracles import Dense, als_fold_in, als_objective

CONFIG = ALSConfig(factors=4, regularization=0.5, alpha=8.0, iterations=30)


@pytest.fixture(scope="module")
def strengths() -> sparse.csr_matrix:
    """60 customers in two camps over 20 items."""
    rng = np.random.default_rng(3)
    camp = np.arange(60) % 2
    wants = rng.random((60, 20)) < np.where((np.arange(20) % 2)[None, :] == camp[:, None], 0.5, 0.02)
    wants[:, 19] = False
    return sparse.csr_matrix(wants * rng.uniform(0.2, 2.0, wants.shape), dtype=np.float32)


def unwhitened(model: ALS, regularization: float) -> Dense:
    """y_i, turned."""
    return np.asarray(model.item_factors * np.sqrt(regularization / (1.0 - model.square)))


def test_a_history_is_scored_by_the_normal_equations(strengths: sparse.csr_matrix) -> None:
    """Scores are those of equation 4 written out over all items, whatever turns the factors before."""
    rng = np.random.default_rng(5)
    for width, regularization in ((6, 0.5), (3, 20.0), (40, 0.01)):
        y = rng.normal(0.0, 0.3, (20, width)).astype(np.float32)
        model = ALS.of_factors(y, regularization, 8.0)
        np.testing.assert_allclose(
            model.item_factors.T.astype(float) @ model.item_factors, np.diag(model.square), atol=1e-5
        )
        for customer in (0, 1, 7):
            row = strengths[[customer]]
            x = model.factors().coordinates(row.indices, row.data)
            expected = y @ als_fold_in(y.astype(float), row.toarray()[0].astype(float), regularization, 8.0)
            np.testing.assert_allclose(model.factors().scores(x), expected, atol=2e-4)


def test_the_fit_lowers_the_objective_as_far_as_exact_least_squares(strengths: sparse.csr_matrix) -> None:
    """Alternating exact solves from the fitted factors gain less than one per cent: the fit has converged."""
    model = fit_als(strengths, CONFIG, seed=1, threads=2)
    dense = strengths.toarray().astype(float)
    y = unwhitened(model, 0.5)
    x = np.array([als_fold_in(y, row, 0.5, 8.0) for row in dense])
    before = als_objective(x, y, dense, 0.5, 8.0)
    for _ in range(20):
        y = np.array([als_fold_in(x, column, 0.5, 8.0) for column in dense.T])
        x = np.array([als_fold_in(y, row, 0.5, 8.0) for row in dense])
    after = als_objective(x, y, dense, 0.5, 8.0)
    assert after <= before <= after * 1.01


def test_camps_are_found(strengths: sparse.csr_matrix) -> None:
    """Every customer's own camp scores above the other one on average."""
    factors = fit_als(strengths, CONFIG, seed=1, threads=1).factors()
    for customer in range(20):
        row = strengths[[customer]]
        scores = factors.scores(factors.coordinates(row.indices, row.data))
        own, other = scores[customer % 2 : 19 : 2], scores[1 - customer % 2 : 19 : 2]
        assert own.mean() > other.mean()


def test_an_item_nobody_touched_scores_zero(strengths: sparse.csr_matrix) -> None:
    """The random start of an item without events does not reach the lists."""
    model = fit_als(strengths, CONFIG, seed=1, threads=1)
    assert not model.item_factors[19].any()


def test_neither_threads_nor_repetition_change_the_factors(strengths: sparse.csr_matrix) -> None:
    """One thread, two threads and a second run give the same bytes; another seed does not."""
    one, two, again = (fit_als(strengths, CONFIG, seed=1, threads=threads) for threads in (1, 2, 1))
    assert one.item_factors.tobytes() == two.item_factors.tobytes() == again.item_factors.tobytes()
    other = fit_als(strengths, CONFIG, seed=2, threads=1)
    assert one.item_factors.tobytes() != other.item_factors.tobytes()


def test_progress_counts_every_iteration(strengths: sparse.csr_matrix) -> None:
    """The callback sees 1, 2, … up to the number of iterations."""
    seen: list[int] = []
    fit_als(strengths, CONFIG, seed=1, threads=1, progress=seen.append)
    assert seen == list(range(1, CONFIG.iterations + 1))


@pytest.mark.parametrize(
    ("shape", "tastes", "factors"),
    [((36, 13), 100, 3), ((3, 2), 5, 1), ((5000, 4000), 10_000_000, 256), ((5000, 4000), 10_000_001, 128)],
)
def test_factors_suit_the_history(shape: tuple[int, int], tastes: int, factors: int) -> None:
    """A quarter of the smaller side at most, and half as many in a large history; never more than asked for."""
    assert ALSConfig().fitting(shape, tastes) == factors
    assert ALSConfig(factors=2).fitting(shape, tastes) == min(2, factors)


def test_a_fit_has_as_many_factors_as_suit() -> None:
    """What is fitted keeps to `fitting`."""
    strengths = sparse.random_array((40, 24), density=0.3, rng=np.random.default_rng(0), dtype=np.float32, format="csr")
    fitted = fit_als(sparse.csr_matrix(strengths), ALSConfig(), 0, 1)
    assert fitted.item_factors.shape == (24, 6)
    assert fitted.square.shape == (6,)
