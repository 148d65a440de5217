"""Drawing from shelves, against an exhaustive oracle."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.simulation.shelves import Shelves


@st.composite
def shelves(draw: st.DrawFn) -> tuple[list[int], list[int], list[float]]:
    """Groups, publication times and appeals of a few books."""
    n = draw(st.integers(1, 12))
    group = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    published = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    appeal = draw(st.lists(st.floats(0.01, 100.0), min_size=n, max_size=n))
    return group, published, appeal


@given(shelves(), st.integers(0, 4), st.integers(0, 12), st.one_of(st.none(), st.integers(-2, 12)))
def test_a_book_is_drawn_in_proportion_to_its_appeal(
    books: tuple[list[int], list[int], list[float]], group: int, when: int, since: int | None
) -> None:
    """Over evenly spread chances each published book of the group comes as often as its appeal says, others never."""
    groups, published, appeal = (np.array(values) for values in books)
    inside = (groups == group) & (published <= when) & (published >= (0 if since is None else since))
    chances = (np.arange(2_000) + 0.5) / 2_000
    n = len(chances)
    asked = np.full(n, since) if since is not None else None
    drawn = Shelves.of(groups, published, appeal).draw(np.full(n, group), np.full(n, when), chances, asked)
    if not inside.any():
        assert (drawn == -1).all()
        return
    expected = np.where(inside, appeal, 0.0) / appeal[inside].sum()
    np.testing.assert_allclose(np.bincount(drawn, minlength=len(groups)) / n, expected, atol=1.5 / n)


@given(st.lists(st.sampled_from([1e-9, 1.0, 1e17]), min_size=4, max_size=20), st.sampled_from([0.0, 0.5, 1 - 2**-53]))
def test_rounding_never_leads_to_a_neighbouring_shelf(appeal: list[float], chance: float) -> None:
    """However unequal the appeals are, the book that is drawn stands in the group that was asked for."""
    n = len(appeal)
    group = np.arange(n) % 4
    drawn = Shelves.of(group, np.zeros(n, dtype=np.int64), np.array(appeal)).draw(
        np.arange(4), np.zeros(4, dtype=np.int64), np.full(4, chance)
    )
    assert (group[drawn] == np.arange(4)).all()
