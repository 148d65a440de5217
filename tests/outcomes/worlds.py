"""Customers whose outcomes are drawn, for tests of what is counted from them."""

from __future__ import annotations

import numpy as np
import polars as pl

from recsys.outcomes.exposure import DAY_MS, EXPOSURE_SCHEMA, OUTCOME_SCHEMA

FIRST = 20_000 * DAY_MS
"""The first day of every experiment here."""

KINDS = ("click", "purchase", "purchase", "purchase", "return", "unsubscribe", "view", "impression")


def drawn_exposures(rng: np.random.Generator, customers: int, arms: tuple[str, ...]) -> pl.DataFrame:
    """Everybody comes in on one of ten days; some are served another arm later, under another id of theirs."""
    rows = []
    for number in range(customers):
        first = FIRST + int(rng.integers(0, 10 * DAY_MS))
        rows.append((f"c{number}", str(rng.choice(arms)), first, first + int(rng.integers(0, DAY_MS)), 2))
        if rng.random() < 0.2:
            other = FIRST + int(rng.integers(0, 10 * DAY_MS))
            rows.append((f"c{number}", str(rng.choice(arms)), other, other, 1))
    return pl.DataFrame(rows, schema=EXPOSURE_SCHEMA, orient="row")


def drawn_events(rng: np.random.Generator, customers: int, count: int) -> pl.DataFrame:
    """Events before, at and after the first exposures, of a few people who were never exposed too."""
    rows = []
    for _ in range(count):
        kind = str(rng.choice(KINDS))
        priced = kind in ("purchase", "return") and rng.random() < 0.9
        rows.append(
            (
                f"c{rng.integers(0, customers + 3)}",
                None if kind == "unsubscribe" else f"i{rng.integers(0, 4)}",
                kind,
                FIRST + int(rng.integers(-100 * DAY_MS, 120 * DAY_MS)),
                float(rng.integers(1, 4)),
                float(rng.integers(1, 30)) if priced else None,
                str(rng.choice(["EUR", "EUR", "EUR", "USD"])) if priced else None,
                None,
                None,
            )
        )
    return pl.DataFrame(rows, schema=OUTCOME_SCHEMA, orient="row")
