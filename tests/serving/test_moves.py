"""Copies of histories that follow from one bundle to the next without the store."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.bundle import ModelBundle
from recsys.data.events import EventKind
from recsys.data.history import History, StoredHistory
from recsys.data.packed import HistoryRow
from recsys.data.vocabulary import Vocabulary
from serving.http.moves import moves_among

IDS = st.sampled_from([f"{letter}{number}" for letter in "aäz" for number in range(3)])
VOCABULARY = st.sets(IDS).map(Vocabulary.from_ids)
ROW = st.builds(
    HistoryRow,
    IDS,
    st.sampled_from([kind.code for kind in EventKind]),
    st.integers(0, 99),
    st.none(),
    st.just(1.0),
    st.one_of(st.none(), st.just(4.0)),
)
EARLIER = st.sets(st.tuples(IDS, st.just(EventKind.VIEW.code)), max_size=3)


def bundle(bundle_id: str, items: Vocabulary) -> ModelBundle:
    """What matters of one here."""
    return cast("ModelBundle", SimpleNamespace(bundle_id=bundle_id, items=items))


@given(st.tuples(VOCABULARY, VOCABULARY, VOCABULARY), st.lists(ROW, max_size=6), EARLIER)
def test_a_history_that_moved_is_the_one_that_the_store_would_give(
    of: tuple[Vocabulary, ...], rows: list[HistoryRow], earlier: set[tuple[str, int]]
) -> None:
    """From any bundle to any other, unless something of it is on an item that the first did not know."""
    bundles = [bundle(str(number), items) for number, items in enumerate(of)]
    moves = moves_among(bundles, {})
    assert moves.keys() == {(str(one), str(other)) for one in range(3) for other in range(3) if one != other}
    stored = StoredHistory.of(7, rows, earlier)
    for (first, second), places in moves.items():
        before, after = (History.from_stored(stored, of[int(each)]) for each in (first, second))
        moved = before.moved(places)
        if any(each not in of[int(first)] for each in stored.columns.ids()):
            assert moved is None
            continue
        assert moved is not None
        for name in History.__dataclass_fields__:
            if not name.startswith("_"):
                np.testing.assert_array_equal(getattr(moved, name), getattr(after, name), err_msg=name)


@given(st.tuples(VOCABULARY, VOCABULARY, VOCABULARY))
def test_what_is_known_is_not_made_again_and_what_is_gone_is_not_kept(of: tuple[Vocabulary, ...]) -> None:
    """A third bundle beside two, and then without the first."""
    first, second, third = (bundle(str(number), items) for number, items in enumerate(of))
    two = moves_among([first, second], {})
    three = moves_among([first, second, third], two)
    assert all(three[pair] is two[pair] for pair in two)
    left = moves_among([second, third], three)
    assert left.keys() == {("1", "2"), ("2", "1")}
    assert all(left[pair] is three[pair] for pair in left)
