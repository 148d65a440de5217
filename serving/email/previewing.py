"""A campaign for a few customers, without a trace."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from recsys.errors import UnknownCustomerError
from serving.email.campaign import Campaign
from serving.email.plan import Planning, Shop, write_plan
from serving.email.planned import Plan, PlanHeader, PlannedMail


@dataclass(frozen=True, slots=True)
class Preview:
    """What some customers would get.

    Attributes
    ----------
    audience : how many customers are in it.
    mails : those that would be planned.
    suppressed : the others' ids and causes.
    outside : ids of customers who were asked for and are not in the audience.
    """

    header: PlanHeader
    audience: int
    mails: tuple[PlannedMail, ...]
    suppressed: tuple[tuple[str, str], ...]
    outside: tuple[str, ...]


def previewed(
    campaign: Campaign, shop: Shop, now: int, customers: Sequence[str], sample: int, seed: int, threads: int
) -> Preview:
    """The mails of these customers, or of `sample` of the audience for whom nothing is against a mail before lists are
    made, drawn by `seed`. Raises UnknownCustomerError, and what `make_plan` raises."""
    known = set(shop.people["customer_id"].to_list()) if customers else set()
    for customer in customers:
        if customer not in known:
            raise UnknownCustomerError(customer)
    planning = Planning(campaign, shop, now, threads)
    audience = planning.audience(lambda _done, _all: None)
    if customers:
        few = audience.filter(pl.col("customer_id").is_in(list(customers)))
    else:
        free = audience.filter(pl.col("cause").is_null())
        place = np.random.default_rng(seed).permutation(len(free))[:sample]
        few = free[np.sort(place)] if len(free) else audience.head(sample)
    with tempfile.TemporaryDirectory() as folder:
        write_plan(planning, few, Path(folder) / "plan", campaign, shop)
        plan = Plan(Path(folder) / "plan")
        mails, suppressed = tuple(plan.mails()), tuple(plan.suppressed().iter_rows())
    outside = tuple(each for each in customers if each not in set(few["customer_id"].to_list()))
    header = replace(plan.header, audience=len(audience))
    return Preview(header, len(audience), mails, suppressed, outside)
