"""Weights by the length of the history."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.errors import InputError
from recsys.models.blend import BlendWeights

WEIGHTS = BlendWeights((2, 5), {"near": (1.0, 1.0, 0.5), "far": (0.0, 0.3, 0.6)})


@pytest.mark.parametrize(("items", "far"), [(0, None), (1, None), (2, 0.3), (4, 0.3), (5, 0.6), (500, 0.6)])
def test_the_class_is_chosen_by_the_number_of_items(items: int, far: float | None) -> None:
    """A source without weight in a class is not asked there."""
    assert WEIGHTS.of(items).get("far") == far


def test_weights_survive_the_manifest() -> None:
    """What is written as JSON reads back equal."""
    assert BlendWeights.from_json(WEIGHTS.to_json()) == WEIGHTS


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"a": (1.0,)}, "3 numbers of 0 or more"),
        ({"a": (1.0, -1.0, 1.0)}, "the weights of a"),
        ({"a": (1.0, 0.0, 1.0), "b": (1.0, 0.0, 0.0)}, "class 1"),
    ],
)
def test_impossible_weights_are_refused(weights: dict[str, tuple[float, ...]], says: str) -> None:
    """The wrong number of weights, a weight below 0, and a class in which nothing counts."""
    with pytest.raises(InputError, match=says):
        BlendWeights((2, 5), weights)


def test_the_weights_of_many_histories_are_those_of_each() -> None:
    """For every length, 0 included, and for a source that there is not."""
    lengths = np.arange(9)
    for source in ("near", "far", "nobody"):
        each = [WEIGHTS.of(int(length)).get(source, 0.0) if length else 0.0 for length in lengths]
        assert WEIGHTS.weight(source, lengths).tolist() == each
