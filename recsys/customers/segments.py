"""Scores, segments and tiers of customers, from what they bought and when."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import polars as pl

from recsys.customers.rules import SegmentRules, Tier

BEST_SUM: Final = 9
"""Of two scores: whoever has 5 in one and at least 4 in the other is among the best."""

_FIFTHS: Final = 5


class Segment(StrEnum):
    """Who somebody is to the shop. Everybody is in exactly one; `SEGMENT_TABLE` says in which."""

    PROSPECT = "prospect"
    NEW = "new"
    ONE_TIME = "one_time"
    CHAMPION = "champion"
    LOYAL = "loyal"
    PROMISING = "promising"
    SLIPPING_AWAY = "slipping_away"
    LOST = "lost"


def fifth(value: pl.Expr, *, least_is_best: bool = False) -> pl.Expr:
    """The fifth that a value is in, from 1 to 5, 5 for the best; null for null. Equal values are in the same fifth: the
    one in which the middle of their places lies. Only the order counts, so any unit gives the same."""
    place = value.rank("average", descending=least_is_best)
    return (((place - 0.5) * _FIFTHS / value.count()).floor().cast(pl.Int8) + 1).clip(1, _FIFTHS)


def segment(rules: SegmentRules, *, with_amounts: bool) -> pl.Expr:
    """The segment of each row, from `frequency`, `first_days` and `recency_days` (days since the first and the last
    purchase), `f` and `m`. Without amounts there is no `m`, and `f` alone says who is among the best."""
    return pl.coalesce(
        pl.when(condition).then(pl.lit(str(name))) for name, condition in conditions(rules, with_amounts=with_amounts)
    )


def conditions(rules: SegmentRules, *, with_amounts: bool) -> list[tuple[Segment, pl.Expr]]:
    """What holds for each segment, and for no other: the table in docs/customers.md."""
    bought = pl.col("frequency")
    new = (bought >= 1) & (pl.col("first_days") <= rules.new_days)
    again = (bought >= 2) & ~(pl.col("first_days") <= rules.new_days)
    active = again & (pl.col("recency_days") <= rules.active_days)
    frequent = active & (bought >= rules.loyal_purchases)
    return [
        (Segment.PROSPECT, bought == 0),
        (Segment.NEW, new),
        (Segment.ONE_TIME, (bought == 1) & (pl.col("first_days") > rules.new_days)),
        (Segment.CHAMPION, frequent & best(with_amounts=with_amounts)),
        (Segment.LOYAL, frequent & ~best(with_amounts=with_amounts)),
        (Segment.PROMISING, active & (bought < rules.loyal_purchases)),
        (
            Segment.SLIPPING_AWAY,
            again & (pl.col("recency_days") > rules.active_days) & (pl.col("recency_days") <= rules.lost_days),
        ),
        (Segment.LOST, again & (pl.col("recency_days") > rules.lost_days)),
    ]


def best(*, with_amounts: bool) -> pl.Expr:
    """Whether somebody is among those who buy most often and for most; without amounts, who buy most often."""
    often = pl.col("f").fill_null(0)
    return often + pl.col("m").fill_null(0) >= BEST_SUM if with_amounts else often == _FIFTHS


def tier(tiers: tuple[Tier, ...]) -> pl.Expr:
    """The first tier that a row fits, from `tier_spent` and `tier_purchases`; null for none."""
    fitting = [
        pl.when(
            (pl.col("tier_spent").fill_null(0.0) >= each.spent) & (pl.col("tier_purchases") >= each.purchases)
        ).then(pl.lit(each.name))
        for each in tiers
    ]
    return pl.coalesce(fitting) if fitting else pl.lit(None, pl.String)
