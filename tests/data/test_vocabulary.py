"""Ids and positions meet without loss."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.vocabulary import UNKNOWN, Vocabulary

IDS = st.lists(st.text(min_size=1, max_size=12), max_size=30)


@given(IDS)
def test_every_id_comes_back(ids: list[str]) -> None:
    """The position of an id leads back to the same id, whatever its characters, leading zeros included."""
    vocabulary = Vocabulary.from_ids([*ids, "007", "7", "a/b"])
    assert all(vocabulary[vocabulary.position(identifier)] == identifier for identifier in [*ids, "007", "7", "a/b"])
    assert len(vocabulary) == len({*ids, "007", "7", "a/b"})


@given(IDS, st.text(max_size=12))
def test_an_id_that_is_not_there_is_unknown(ids: list[str], other: str) -> None:
    """Membership agrees with a set of strings."""
    vocabulary = Vocabulary.from_ids(ids)
    assert (vocabulary.position(other) != UNKNOWN) == (other in set(ids)) == (other in vocabulary)


@given(IDS)
def test_positions_do_not_depend_on_the_order_of_arrival(ids: list[str]) -> None:
    """Ids given in another order and repeatedly make the same vocabulary."""
    forward, backward = Vocabulary.from_ids(ids), Vocabulary.from_ids([*reversed(ids), *ids])
    assert list(forward) == list(backward) == sorted(set(ids), key=str.encode)


def test_a_position_outside_is_an_error() -> None:
    """Negative positions do not count from the end: -1 is `UNKNOWN`, not the last id."""
    vocabulary = Vocabulary.from_ids(["a", "b"])
    for position in (-1, 2):
        with pytest.raises(IndexError, match="outside a vocabulary of 2"):
            vocabulary[position]


def test_a_long_column_is_found_as_its_ids_are_one_by_one() -> None:
    """Whatever the order, with ids that are not there, twice, empty or of several bytes a letter."""
    vocabulary = Vocabulary.from_ids([f"é{number}" for number in range(0, 3_000, 3)] + ["", "z"])
    ids = [f"é{number * 7 % 3_001}" for number in range(1_500)] + ["", "z", "z", "zz", "\U0001f600"]
    expected = [vocabulary.position(identifier) for identifier in ids]
    assert UNKNOWN in expected
    assert vocabulary.positions(pl.Series("item_id", ids)).tolist() == expected
