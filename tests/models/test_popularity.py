"""What is popular is what many customers want now."""

from __future__ import annotations

import pytest

from recsys.data.events import EventKind
from recsys.data.interactions import Interactions
from recsys.data.signals import EventWeights
from recsys.models.popularity import PopularityConfig, fit_popularity
from tests.worlds import event_frame, event_table


def scores(*rows: tuple[str, str, EventKind, int | None], half_life: float = 10.0) -> dict[str, float]:
    """Popularity by item id."""
    interactions = Interactions.from_events(event_table(event_frame(rows)))
    fitted = fit_popularity(interactions, EventWeights(), PopularityConfig(half_life))
    return {interactions.items[position]: float(score) for position, score in enumerate(fitted.score)}


def test_recent_customers_count_more() -> None:
    """A purchase one half-life before the newest event of the shop counts half, whoever made it."""
    found = scores(("u", "old", EventKind.PURCHASE, 0), ("v", "new", EventKind.PURCHASE, 10))
    assert found == pytest.approx({"old": 0.5, "new": 1.0})


def test_one_enthusiast_is_not_a_crowd() -> None:
    """Twenty purchases by one customer count as much as the cap; four customers beat them."""
    one = [("u", "hoard", EventKind.PURCHASE, 0)] * 20
    many = [(f"v{number}", "crowd", EventKind.PURCHASE, 0) for number in range(4)]
    assert scores(*one, *many) == pytest.approx({"hoard": EventWeights().cap, "crowd": 4.0})


def test_without_times_nothing_is_forgotten() -> None:
    """Events of unknown time all count in full."""
    assert scores(("u", "a", EventKind.PURCHASE, None), ("v", "a", EventKind.PURCHASE, None)) == {"a": 2.0}
