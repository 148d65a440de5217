"""Coordinates of a history by conjugate gradients, against the system written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recsys.models.factors import Factors, folded


def some(items: int, width: int, confidence: float, seed: int) -> Factors:
    """Factors of no model."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(0.0, 0.3, (items, width)).astype(np.float32)
    into, out = (rng.uniform(0.5, 2.0, items).astype(np.float32) for _ in range(2))
    outputs = rows.astype(float) * out[:, None]
    return Factors(rows, into, out, np.sum(outputs**2, axis=0), confidence)


@given(st.integers(1, 40), st.integers(0, 30), st.sampled_from([0.0, 1.0, 24.0]), st.integers(0, 100))
def test_the_solve_is_that_of_the_system(width: int, length: int, confidence: float, seed: int) -> None:
    """Coordinates solve the system; the parts sum to them."""
    factors = some(30, width, confidence, seed)
    rng = np.random.default_rng(seed)
    items = np.sort(rng.choice(30, length, replace=False)).astype(np.int32)
    strengths = rng.uniform(0.01, 1.0, length).astype(np.float32)
    found, parts = folded(factors, items, strengths)
    rows, extra = factors.rows[items].astype(float), confidence * strengths.astype(float)
    pull = 1.0 + extra if confidence else strengths * factors.into[items].astype(float)
    expected = np.linalg.solve(np.eye(width) + (rows.T * extra) @ rows, pull @ rows)
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(found, expected, atol=2e-4 * scale)
    np.testing.assert_allclose(parts @ rows, found, atol=1e-3 * scale)


@pytest.mark.parametrize("confidence", [0.0, 24.0])
def test_units_of_spread_are_those_of_all_scores(confidence: float) -> None:
    """Of many histories, an empty one among them, and whatever the columns' lengths."""
    factors = some(50, 1, confidence, 3)
    strengths = sparse.random_array((9, 50), density=0.1, rng=np.random.default_rng(1), dtype=np.float32, format="csr")
    there = sparse.diags_array((np.arange(9) != 4).astype(np.float32))
    matrix = sparse.csr_matrix(there @ strengths)
    matrix.eliminate_zeros()
    scores = factors.scores(factors.in_units_of_spread(matrix))
    spread = np.sqrt(np.mean(scores.astype(float) ** 2, axis=1))
    np.testing.assert_allclose(spread, np.where(np.diff(matrix.indptr) > 0, 1.0, 0.0), atol=1e-4)
