"""Tastes as matrices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.data.interactions import Tastes
from recsys.data.signals import EventWeights


@pytest.mark.parametrize("half_life_steps", [None, 3.0])
def test_making_matrices_leaves_tastes_as_they_are(half_life_steps: float | None) -> None:
    """A pair without taste (a return) is not stored in a matrix, and stays among the tastes."""
    tastes = Tastes(
        indptr=np.array([0, 2, 4], dtype=np.int64),
        item=np.array([0, 1, 0, 1], dtype=np.int32),
        strength=np.array([0, 1, 0.5, 1], dtype=np.float32),
        clock=np.array([0, 1, 0, 1], dtype=np.int32),
        items=2,
    )
    before = [array.tobytes() for array in (tastes.indptr, tastes.item, tastes.strength, tastes.clock)]
    weights = replace(EventWeights(), half_life_steps=half_life_steps)
    assert tastes.matrix().toarray().tolist() == [[0, 1], [0.5, 1]]
    faded = tastes.faded(weights)
    assert faded.nnz == 3
    for _ in range(2):
        assert (tastes.faded(weights) != faded).nnz == 0
    assert [array.tobytes() for array in (tastes.indptr, tastes.item, tastes.strength, tastes.clock)] == before
