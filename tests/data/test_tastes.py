"""Tastes as matrices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.data.events import EventKind
from recsys.data.interactions import Interactions, Tastes
from recsys.data.signals import EventWeights
from tests.worlds import event_frame, event_table


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


def test_the_newest_events_of_each_customer_are_what_a_store_hands_out() -> None:
    """Cut to two events each, every history is its newest two; a limit that nobody reaches changes nothing."""
    rows = [(f"u{user}", f"i{(user + place) % 5}", EventKind.VIEW, place) for user in range(4) for place in range(user)]
    everything = Interactions.from_events(event_table(event_frame(rows)))
    newest = everything.newest(2)
    for customer in range(len(everything.customers)):
        whole, cut = everything.history(customer), newest.history(customer)
        assert cut.item.tolist() == whole.item[-2:].tolist()
        assert cut.timestamp.tolist() == whole.timestamp[-2:].tolist()
    assert everything.newest(3) is everything
