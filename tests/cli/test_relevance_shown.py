"""What a person is told of relevance."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from recsys.cli.answering import print_answer
from recsys.cli.train import _relevance_line
from recsys.data.events import EventKind
from recsys.models.relevance import Relevance
from recsys.recommend.types import Answer, Evidence, Reason, Recommendation

NONE = (np.zeros(0), np.zeros(0))
RELEVANCE = Relevance.of_curves((EventKind.ADD_TO_CART, EventKind.PURCHASE), 28, (), (NONE, NONE, NONE))


def shown(*relevance: float | None) -> str:
    """A list with these probabilities, as it is printed."""
    items = [
        Recommendation(f"i{place}", 1.0, each, Reason("history", (Evidence("x", "view", 1.0),)))
        for place, each in enumerate(relevance)
    ]
    out = io.StringIO()
    print_answer(Console(file=out, width=120), Answer(tuple(items), ("item_item",)), {}, "for ada", RELEVANCE)
    return out.getvalue()


def test_a_list_shows_it_and_says_what_it_is() -> None:
    """In a column of its own, empty where it is not known, with the kinds of events and the days below."""
    text = shown(0.0321, None)
    assert "relevance" in text
    assert "3.21%" in text
    assert "how likely the customer does this with the item within 28 days: add to cart or purchase" in text


def test_a_list_without_any_says_nothing_of_it() -> None:
    """No column and no line."""
    assert "relevance" not in shown(None, None)


@pytest.mark.parametrize(
    ("report", "line"),
    [
        ({"cause": "no tuning was asked for"}, "no relevance: no tuning was asked for"),
        (
            {
                "kinds": ["purchase"],
                "days": 28,
                "calibration": {
                    "personal": {"items": 5000, "base_rate": 0.0123, "expected_calibration_error": 0.00071}
                },
            },
            "relevance: purchase within 28 days; of 5,000 listed items 1.23% were bought, calibration error 0.0007",
        ),
        (
            {"kinds": ["like"], "days": 2, "calibration": {"personal": {"items": 0}}},
            "relevance: like within 2 days; bought items are too few to tell how well it is calibrated",
        ),
    ],
)
def test_training_says_what_it_learned(report: dict[str, object], line: str) -> None:
    """Or why it learned nothing."""
    assert _relevance_line(report) == line
