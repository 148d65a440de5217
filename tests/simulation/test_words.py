"""Invented names and titles."""

from __future__ import annotations

import numpy as np
import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.simulation.words import distinct, json_text, person_names, series_names, titles


@given(st.integers(10, 5_000), st.integers(0, 2**32 - 1))
def test_scattered_numbers_do_not_repeat(size: int, seed: int) -> None:
    """All numbers below the size come once before any comes twice."""
    numbers = distinct(np.random.default_rng(seed), size, size)
    assert sorted(numbers) == list(range(size))


@pytest.mark.parametrize(("make", "n"), [(person_names, 50_000), (titles, 50_000), (series_names, 5_000)])
def test_names_are_distinct_and_read_like_names(make: object, n: int) -> None:
    """Names differ, begin with a capital, and hold letters, spaces and commas only."""
    names = make(np.random.default_rng(4), n)  # type: ignore[operator]
    assert names.n_unique() == n
    assert names.str.contains(r"^[A-Z][A-Za-z, ]+ [A-Z][a-z]+$").all()


def test_rows_become_json_objects() -> None:
    """Text is quoted, numbers are not, and what is missing is left out."""
    frame = pl.DataFrame({"name": ["Ada", None], "year": [1999, 2001], "volume": [None, 2]})
    assert [orjson.loads(text) for text in json_text(frame)] == [
        {"name": "Ada", "year": 1999},
        {"year": 2001, "volume": 2},
    ]
