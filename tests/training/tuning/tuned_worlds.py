"""Shops to tune on: customers who keep to a shelf, with some chance in what they take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from recsys.data.events import EventKind
from recsys.data.interactions import Interactions
from recsys.recommend.placement import DEFAULT_PLACEMENT
from tests.worlds import event_frame, event_table
from training.evaluation.held_out import HeldOut, Repeats, Rules, hold_out
from training.evaluation.protocols import drawn_part
from training.fitting import TrainingConfig
from training.tuning import Validation
from training.tuning.plan import plan_for
from training.tuning.space import fadings, shape_of
from training.validation import validation_of

BUY, VIEW = EventKind.PURCHASE, EventKind.VIEW
TARGET = frozenset({BUY})


def shelves(customers: int = 60, items: int = 32, seed: int = 0, *, views: bool = True) -> pl.DataFrame:
    """Each customer takes 8 to 12 items, mostly of one shelf of four; some are bought twice, some only looked at."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[str, str, EventKind, int | None]] = []
    for customer in range(customers):
        day = int(rng.integers(0, 200))
        shelf = np.arange(customer % 4, items, 4)
        for _ in range(int(rng.integers(8, 13))):
            item = int(rng.choice(shelf)) if rng.random() < 0.85 else int(rng.integers(items))
            day += int(rng.integers(0, 8))
            looked, bought = rng.random(2)
            if views and looked < 0.7:
                rows.append((f"u{customer:03}", f"i{item:02}", VIEW, day))
            if bought < 0.75 or not views:
                rows.append((f"u{customer:03}", f"i{item:02}", BUY, day))
            if bought < 0.1:
                rows.append((f"u{customer:03}", f"i{item:02}", BUY, day + 20))
    return event_frame(rows)


def interactions(frame: pl.DataFrame) -> Interactions:
    """The compiled frame."""
    return Interactions.from_events(event_table(frame))


def held_out(frame: pl.DataFrame, repeats: Repeats = Repeats.EXCLUDE, seed: int = 0) -> HeldOut:
    """A tenth of each customer's purchases, held out."""
    part = drawn_part(frame, TARGET, seed)
    assert part is not None
    mask = DEFAULT_PLACEMENT.mask_kinds if repeats is Repeats.EXCLUDE else frozenset[EventKind]()
    rules = Rules(target=TARGET, visible=None, repeats=repeats, mask=mask)
    return hold_out(part, rules, pl.Series("item_id", [], dtype=pl.String))


def validation(frame: pl.DataFrame, seed: int = 0) -> Validation:
    """The validation that training draws."""
    drawn = validation_of(event_table(frame), TARGET, seed)
    assert not isinstance(drawn, str), drawn
    return drawn


def budget_for(trials: int, part: HeldOut, config: TrainingConfig | None = None) -> float:
    """The smallest budget in tenths of a second that is good for so many trials."""
    config = replace(config or TrainingConfig(), target_kinds=part.rules.target)
    looks = len(fadings(shape_of(part.training, config)))
    for tenths in range(1, 1000):
        plan = plan_for(tenths / 10, part.training, len(part.relevant), looks, config)
        if plan.trials >= trials:
            return tenths / 10
    raise AssertionError(f"no budget gives {trials} trials")
