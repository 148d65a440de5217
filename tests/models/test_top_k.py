"""The strongest of each row are the same as sorting everything would give."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recsys.models.top_k import strongest_per_row


@given(
    st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=6, max_size=6), min_size=1, max_size=6),
    st.integers(1, 7),
)
def test_strongest_per_row_keeps_the_largest(rows: list[list[float]], count: int) -> None:
    """Row by row, the kept values are the largest, smaller columns first among equals."""
    kept = strongest_per_row(sparse.csr_matrix(np.array(rows)), count).toarray()
    for row, result in zip(rows, kept, strict=True):
        chosen = sorted((column for column in range(6) if row[column]), key=lambda column: (-row[column], column))
        expected = [row[column] if column in chosen[:count] else 0.0 for column in range(6)]
        assert result.tolist() == expected
