"""A shop in which customers buy a book of their own shelf every tenth day."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from recsys.data.events import EventKind
from recsys.models.blend import BlendWeights
from tests.worlds import event_frame
from training.fitting import SHIPPED_BLEND, TrainingConfig
from training.tuning import Tuned, shipped

CUSTOMERS, SHELVES, BOOKS = 300, 6, 12
LEARNED_UNTIL = 60
TARGET = frozenset({EventKind.PURCHASE})
CONFIG = TrainingConfig(target_kinds=TARGET)
POPULAR_BLEND = {name: 1.0 if name == "popular" else 0.0 for name in SHIPPED_BLEND}
ONLY_POPULAR = replace(CONFIG, blend=BlendWeights.constant(POPULAR_BLEND))


def shelves(days: int) -> pl.DataFrame:
    """What happened in the first so many days."""
    return event_frame(
        [
            (f"u{user:03}", f"s{user % SHELVES}b{(user // SHELVES * 5 + step * 7) % BOOKS:02}", EventKind.PURCHASE, day)
            for user in range(CUSTOMERS)
            for step, day in enumerate(range(user % 10, days, 10))
        ]
    )


def tuned(config: TrainingConfig) -> Tuned:
    """As tuning would hand it over."""
    return shipped(config, "a test")
