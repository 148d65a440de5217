"""Who is in a campaign's audience."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.recommend.crowd import Crowd, own
from recsys.recommend.crowd.new import would_want
from recsys.recommend.filters import NOBODY, Filter
from recsys.recommend.placements.faults import Faults
from serving.email.campaign import Audience, Campaign
from serving.email.people import customer_table
from serving.email.reading import CampaignFileError

Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


def audience_of(
    campaign: Campaign, people: pl.DataFrame, now: int, crowds: Callable[[pl.DataFrame], Iterator[tuple[int, Crowd]]]
) -> pl.DataFrame:
    """Those of the people whom everything is true of that the campaign says of its audience.

    Parameters
    ----------
    people : as `people_of` gives them.
    now : milliseconds UTC.
    crowds : what customers did, some at a time: where the first of them stands, and they.

    Raises CampaignFileError for an audience with nobody in it.
    """
    wanted = campaign.audience
    found = people.filter(_named(wanted))
    if wanted.where is not None and len(found):
        found = found.filter(pl.Series(Filter(wanted.where).mask(customer_table(found), NOBODY, now)))
    if _asks_what_they_did(wanted) and len(found):
        found = found[_behaving(wanted, len(found), crowds(found))]
    if not len(found):
        faults = Faults()
        faults.add(
            ("audience",),
            f"nobody is in the audience of {campaign.name}",
            "at least one customer of whom everything is true that is said here; `bookmatch customers segments` shows "
            "how many are in which segment",
        )
        faults.raise_any(campaign.source, campaign.text, CampaignFileError)
    return found


def _named(wanted: Audience) -> list[pl.Expr]:
    """What the columns of the people say of it."""
    named = (("segment", wanted.segments), ("tier", wanted.tiers), ("customer_id", wanted.customers))
    return [pl.lit(True), *(pl.col(name).is_in(list(names)) for name, names in named if names)]


def _asks_what_they_did(wanted: Audience) -> bool:
    return (
        wanted.viewed is not None
        or wanted.in_cart_days is not None
        or wanted.series_continues
        or wanted.runs_out is not None
        or wanted.wanted is not None
    )


def _behaving(wanted: Audience, size: int, crowds: Iterator[tuple[int, Crowd]]) -> npt.NDArray[np.int64]:
    """Where those are who did what is asked for, ascending."""
    fits, score = np.ones(size, dtype=np.bool_), np.zeros(size)
    for first, crowd in crowds:
        mine = fits[first : first + len(crowd)]
        for rows in _of(wanted, crowd):
            inside = np.zeros(len(crowd), dtype=np.bool_)
            inside[rows] = True
            mine &= inside
        if wanted.wanted is not None:
            rows, scores = would_want(crowd, wanted.wanted.item_id)
            inside = np.zeros(len(crowd), dtype=np.bool_)
            inside[rows] = True
            mine &= inside
            score[first + rows] = scores
    found = np.flatnonzero(fits)
    if wanted.wanted is not None and len(found) > wanted.wanted.most:
        # Of equal scores the first by id.
        found = np.sort(found[np.lexsort((found, -score[found]))[: wanted.wanted.most]])
    return found


def _of(wanted: Audience, crowd: Crowd) -> Iterator[Rows]:
    """The customers of each thing that is asked for."""
    if wanted.viewed is not None:
        yield own.looked_at(crowd, wanted.viewed.times, wanted.viewed.days).row
    if wanted.in_cart_days is not None:
        yield own.left_in_cart(crowd, wanted.in_cart_days).row
    if wanted.series_continues:
        yield own.next_in_series(crowd).row
    if wanted.runs_out is not None:
        yield own.buy_again(crowd, wanted.runs_out).row
