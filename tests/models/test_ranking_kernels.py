"""The compiled order of a blend is the plain one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.models.ranking_kernels import blended_rows
from tests.oracles import blended_order

ITEMS = 7
# Halves of a unit and of the digits after it, next to even and to odd ones; masked; nothing; spoken against.
PERSONAL = st.sampled_from([-np.inf, -0.5, 0.0, 0.25, 0.375, 0.5, 0.75, 1.25, 1.5, 2.5, 3.5])
COMMON = st.sampled_from([0.0, 0.25, 0.5, 1.0, 4.0])
WEIGHT = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.lists(PERSONAL, min_size=ITEMS, max_size=ITEMS), WEIGHT), min_size=1, max_size=4),
    st.lists(COMMON, min_size=ITEMS, max_size=ITEMS),
    st.lists(st.integers(0, 2), min_size=ITEMS, max_size=ITEMS),
    st.integers(0, 2),
    st.integers(1, ITEMS + 1),
)
def test_the_lists_of_a_blend_are_those_written_out(
    rows: list[tuple[list[float], float]], common: list[float], tie_break: list[int], digits: int, limit: int
) -> None:
    """Scores rounded as NumPy rounds, popularity only where the history speaks, ties by what breaks them and then by
    place, short rows filled up with -1."""
    personal, weight = np.array([row for row, _ in rows]), np.array([each for _, each in rows])
    found = blended_rows(personal, np.array(common), weight, 10.0**digits, np.array(tie_break, dtype=np.int64), limit)
    for (row, own), places in zip(rows, found.tolist(), strict=True):
        expected = blended_order(row, common, own, digits, tie_break, limit)
        assert places == expected + [-1] * (limit - len(expected))


def test_halves_are_rounded_to_even_before_and_after_popularity_is_added() -> None:
    """0.5 becomes 0 and is not listed however popular; 1.5 and 2.5 become 2, 2 + 0.5 stays 2 and 3 + 0.5 becomes 4."""
    personal, common = np.array([[0.5, 1.5, 2.5, 2.0, 3.0, 0.0]]), np.array([9.0, 0.0, 0.0, 0.5, 0.5, 9.0])
    found = blended_rows(personal, common, np.ones(1), 1.0, np.array([0, 1, 2, 3, 0, 0]), 6)
    assert found.tolist() == [[4, 3, 2, 1, -1, -1]]
