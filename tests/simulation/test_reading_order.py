"""The closed form for reading a series in order, against a loop that says the same plainly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.simulation.blocks import Simulation
from recsys.simulation.decisions import _next_volumes
from recsys.simulation.spec import ShopSpec

SIMULATION = Simulation(ShopSpec(books=200, customers=30, events=6_000, series_share=1.0, release_share=0.8))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1.0))
def test_the_next_volume_is_the_one_after_the_last_that_was_taken(seed: int, share: float) -> None:
    """Each look at a series turns to the lowest volume not yet taken, among those that are out; presents stay."""
    books, block = SIMULATION.books, SIMULATION.block(0)
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.choice(len(block.looks.book), size=1_500, replace=False))
    looks = replace(
        block.looks,
        **{name: getattr(block.looks, name)[sample] for name in ("customer", "visit", "when", "book", "gift")},
    )
    looks = replace(looks, customer=looks.customer % 4)
    order = np.argsort(looks.customer, kind="stable")
    looks = replace(
        looks, **{name: getattr(looks, name)[order] for name in ("customer", "visit", "when", "book", "gift")}
    )
    taken = rng.random(len(order)) < share
    book, read = _next_volumes(looks, taken, books)

    at_volume: dict[tuple[int, int], int] = {}
    for place, (customer, looked_at, when, gift) in enumerate(
        zip(looks.customer, looks.book, looks.when, looks.gift, strict=True)
    ):
        series = int(books.series[looked_at])
        if series < 0 or gift:
            assert (book[place], read[place]) == (looked_at, False)
            continue
        first = books.series_first[series]
        out = int((books.published[first : first + books.series_volumes[series]] <= when).sum())
        before = at_volume.get((int(customer), series), 0)
        assert read[place] == (before >= out)
        assert book[place] == first + min(before, out - 1)
        at_volume[int(customer), series] = min(before + int(taken[place]), out)
