"""The best few are the same as sorting everything would give."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recsys.models.top_k import best, strongest_per_row

SCORES = st.lists(st.sampled_from([-np.inf, 0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=30)


@given(SCORES, st.integers(0, 35))
def test_best_is_the_head_of_a_full_sort(scores: list[float], count: int) -> None:
    """Descending score, then descending tie-break, then ascending place; -inf is never there."""
    tie_break = [place % 3 for place in range(len(scores))]
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], -tie_break[place], place))
    expected = [place for place in order if scores[place] > -np.inf][:count]
    assert best(np.array(scores), count, np.array(tie_break)).tolist() == expected


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
