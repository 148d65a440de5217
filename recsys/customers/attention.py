"""Which customers to look after: new ones, the best who slip away, those nobody serves, and those who speak for us."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import polars as pl

from recsys.customers.fact_table import CustomerFacts
from recsys.customers.months import months_after
from recsys.customers.rules import CustomerRules
from recsys.customers.segments import Segment, best


class Care(StrEnum):
    """Why somebody is to be looked after; one may be so for several reasons."""

    NEW = "new"
    BEST_SLIPPING_AWAY = "best_slipping_away"
    UNSERVED = "unserved"
    ADVOCATES = "advocates"


def to_look_after(facts: CustomerFacts, rules: CustomerRules) -> Mapping[Care, pl.DataFrame]:
    """The rows of the facts by reason, those who spent most first; equal ones by id.

    Unserved is whoever nobody has served for `rules.unserved_months`, or ever: nothing bought, no list shown, no mail.
    """
    segment, months = pl.col("segment"), rules.unserved_months
    longest = (facts.today - months_after(facts.today, -months)).days
    wanted = {
        Care.NEW: segment == str(Segment.NEW),
        Care.BEST_SLIPPING_AWAY: (segment == str(Segment.SLIPPING_AWAY)) & best(with_amounts=facts.with_amounts),
        Care.UNSERVED: pl.col("unserved_days").is_null() | (pl.col("unserved_days") > longest),
        Care.ADVOCATES: pl.col("advocate"),
    }
    ordered = facts.table.sort(["monetary", "customer_id"], descending=[True, False], nulls_last=True)
    return {reason: ordered.filter(condition) for reason, condition in wanted.items()}
