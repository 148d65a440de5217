"""How long a call takes, as a ratio that noise does not tilt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.gate.judging import FAST_ENOUGH, MOST_LATENCY, of_latency
from training.gate.latency import LEAST_ROUNDS, MOST_ROUNDS, Latency, timed


def noisy(seconds: float, rng: np.random.Generator, order: list[str], name: str) -> object:
    """A call that takes so long at best, a little more for some customers, and now and then ten times as much."""

    def call(number: int) -> float:
        order.append(name)
        return seconds * (1 + number % 5) * (10.0 if rng.random() < 0.2 else 1.0 + 0.05 * rng.random())

    return call


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.3])
def test_the_ratio_is_found_whatever_else_goes_on(ratio: float) -> None:
    """The fastest of each customer's calls is what counts; both are asked in turns."""
    rng, order = np.random.default_rng(0), []
    found = timed(noisy(ratio, rng, order, "c"), noisy(1.0, rng, order, "f"), 60, 0.5, 0)  # type: ignore[arg-type]
    assert found.ratio == pytest.approx(ratio, rel=0.03)
    assert found.low <= found.ratio <= found.high
    assert LEAST_ROUNDS <= found.rounds <= MOST_ROUNDS
    pairs = list(zip(order[::2], order[1::2], strict=True))
    assert {*pairs} == {("c", "f"), ("f", "c")}
    assert abs(pairs.count(("c", "f")) - pairs.count(("f", "c"))) <= found.rounds


def test_seconds_end_the_rounds() -> None:
    """With none, each is asked the least number of times."""
    rng = np.random.default_rng(0)
    found = timed(noisy(1.0, rng, [], "c"), noisy(1.0, rng, [], "f"), 10, 0.0, 0)  # type: ignore[arg-type]
    assert found.rounds == LEAST_ROUNDS


SLOW = Latency(candidate=0.002, in_force=0.001, ratio=2.0, low=1.9, high=2.1, customers=100, rounds=5)


@pytest.mark.parametrize(
    ("found", "refused"),
    [
        (SLOW, True),
        (replace(SLOW, low=MOST_LATENCY - 0.01), False),
        (replace(SLOW, candidate=FAST_ENOUGH, in_force=FAST_ENOUGH / 2), False),
        (replace(SLOW, ratio=0.5, low=0.4, high=0.6), False),
    ],
)
def test_what_is_surely_slower_is_refused(found: Latency, *, refused: bool) -> None:
    """Unless it might be chance, or nobody would notice."""
    reasons, judged = of_latency(found)
    assert bool(reasons) is refused
    assert judged["latency"]["ratio"] == found.ratio
    if refused:
        assert "2.00 times as long (1.90 to 2.10)" in reasons[0]
