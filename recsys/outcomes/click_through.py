"""Clicks on what was seen: which click belongs to which impression is said by the answer's token."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from recsys.data.events import EventKind

SEEN_KINDS = (EventKind.IMPRESSION, EventKind.CLICK)
"""The kinds of events that this is counted from."""


def click_through(
    events: pl.DataFrame, people: pl.DataFrame, belongs: Callable[[str], str | None], as_of: int
) -> pl.DataFrame:
    """How many items each person was shown by the answers of their arm, and how many of these they clicked.

    Returns customer_id, arm, shown, clicked; a row for everybody who was shown any.

    An item counts once for each answer, however often it came into view or was clicked, and a click counts only with
    the impression that carries the same token.

    Parameters
    ----------
    events : in `OUTCOME_SCHEMA`.
    people : customer_id and arm.
    belongs : the arm that a token's answer was of; None for one that is of no arm here or that nobody signed.
    as_of : nothing later counts, milliseconds UTC.
    """
    key = ["customer_id", "recommendation_id", "item_id"]
    met = (
        events.filter(pl.col("recommendation_id").is_not_null() & (pl.col("timestamp") <= as_of))
        .select(*key, "kind")
        .join(people.select("customer_id", "arm"), on="customer_id", how="semi")
    )
    seen = met.filter(pl.col("kind") == str(EventKind.IMPRESSION)).select(key).unique()
    tokens = seen["recommendation_id"].unique()
    arms = pl.DataFrame(
        {"recommendation_id": tokens, "arm": pl.Series([belongs(token) for token in tokens], dtype=pl.String)}
    )
    clicks = met.filter(pl.col("kind") == str(EventKind.CLICK)).select(key).unique().with_columns(clicked=pl.lit(1))
    return (
        seen.join(arms, on="recommendation_id")
        .join(people.select("customer_id", "arm"), on=["customer_id", "arm"])
        .join(clicks, on=key, how="left")
        .group_by("customer_id", "arm")
        .agg(shown=pl.len(), clicked=pl.col("clicked").fill_null(0).sum())
        .sort("customer_id")
    )
