"""The truncated decomposition agrees with the whole one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recsys.models import truncated_svd
from recsys.models.truncated_svd import right_directions, steps


def with_values(values: list[float], shape: tuple[int, int]) -> sparse.csr_matrix:
    """A matrix with these singular values."""
    rng = np.random.default_rng(2)
    left, right = (np.linalg.qr(rng.normal(size=(side, len(values))))[0] for side in shape)
    return sparse.csr_matrix((left * np.array(values)) @ right.T, dtype=np.float32)


@pytest.mark.parametrize("shape", [(90, 30), (30, 90), (40, 40)])
def test_directions_are_those_of_the_whole_decomposition(shape: tuple[int, int]) -> None:
    """Tall, wide or square: largest first, of length 1, each but for its sign a right singular vector."""
    matrix = with_values([9.0, 7.0, 5.0, 3.0, 1.0, 0.5], shape)
    expected = np.linalg.svd(matrix.toarray().astype(np.float64))[2][:4].T
    found = right_directions(matrix, 4, 4, seed=1, threads=1)
    np.testing.assert_allclose(np.abs((found * expected).sum(axis=0)), 1.0, atol=1e-5)
    np.testing.assert_allclose(found.T @ found, np.eye(4), atol=1e-5)
    assert (found[np.argmax(np.abs(found), axis=0), np.arange(4)] > 0).all()


@pytest.mark.parametrize("shape", [(60, 20), (20, 60)])
def test_directions_that_are_not_there_are_zero(shape: tuple[int, int]) -> None:
    """A matrix of rank 2 has two directions; nothing is made up for the others."""
    found = right_directions(with_values([3.0, 2.0], shape), 5, 3, seed=0, threads=1)
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), [1, 1, 0, 0, 0], atol=1e-5)
    assert not right_directions(sparse.csr_matrix(shape, dtype=np.float32), 3, 3, seed=0, threads=1).any()


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small blocks on several threads give the bytes of one thread."""
    monkeypatch.setattr(truncated_svd, "_ROWS_AT_ONCE", 7)
    matrix = sparse.random(200, 50, 0.2, format="csr", dtype=np.float32, rng=np.random.default_rng(4))
    one, four = (right_directions(matrix, 6, 3, seed=3, threads=threads) for threads in (1, 4))
    assert one.tobytes() == four.tobytes()
    assert one.tobytes() != right_directions(matrix, 6, 3, seed=4, threads=1).tobytes()


def test_every_step_is_told() -> None:
    """Progress goes up by one and ends where it was said to end."""
    told: list[int] = []
    right_directions(with_values([2.0, 1.0], (20, 10)), 1, 3, seed=0, threads=2, progress=told.append)
    assert told == list(range(1, steps(3) + 1))
