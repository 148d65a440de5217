"""Which events undos take back, apart from any database."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.stores.undo import Undo, undo_target, undone
from tests.contracts.plain_store import PlainStore, undo


@pytest.mark.parametrize(
    ("context", "target"),
    [
        ('{"undoes": "e1"}', "e1"),
        ('{"undoes": "e1", "why": "mistake"}', "e1"),
        ('{"undoes": ""}', None),
        ('{"undoes": 1}', None),
        ('{"undo": "e1"}', None),
        ('"e1"', None),
        ("[]", None),
        ("{", None),
        ("", None),
        (None, None),
    ],
)
def test_the_target_is_the_text_under_undoes(context: str | None, target: str | None) -> None:
    """Only a JSON object with a text under `undoes` names an event."""
    assert undo_target(context) == target


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), unique_by=lambda pair: pair[0], max_size=9))
def test_undone_agrees_with_deciding_one_at_a_time(pairs: list[tuple[int, int]]) -> None:
    """Chains, forks and circles of undos in any order of arrival are decided as the oracle decides them."""
    plain = PlainStore()
    plain.append([undo(str(event_id), str(target)) for event_id, target in pairs])
    assert undone([Undo(str(event_id), str(target)) for event_id, target in pairs]) == plain.undone("ann")


@given(st.permutations([Undo("u", "a"), Undo("v", "u"), Undo("w", "v"), Undo("x", "a"), Undo("y", "x")]))
def test_the_order_of_arrival_does_not_matter_without_circles(undos: list[Undo]) -> None:
    """u takes back a because w saves it from v; x would too, but y took it back."""
    assert undone(undos) == {"a", "v", "x"}


def test_of_a_circle_the_newest_counts() -> None:
    """Two undos that name each other: the one that arrived last takes back the other, and only it."""
    assert undone([Undo("u", "v"), Undo("v", "u")]) == {"u"}
    assert undone([Undo("v", "u"), Undo("u", "v")]) == {"v"}
    assert undone([Undo("u", "u")]) == {"u"}
    assert json.loads(undo("u", "é\u2028").context or "") == {"undoes": "é\u2028"}
