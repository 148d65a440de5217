"""Whether a customer may be written to at all, and from when on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import polars as pl

from recsys.data.signals import MS_PER_DAY
from serving.email.addresses import ADDRESS, MOST_CHARACTERS
from serving.email.campaign import Campaign, QuietHours, Restraint
from serving.email.planned import Cause

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def first_causes(
    people: pl.DataFrame,
    permissions: pl.DataFrame,
    forgotten: Collection[str],
    unreachable: Collection[str],
    mailed: pl.DataFrame,
    restraint: Restraint,
    now: int,
) -> pl.DataFrame:
    """The people with `cause`: the first one, in the order of `Cause`, for which they are not written to; null where
    there is none yet.

    Parameters
    ----------
    people : the audience, with `customer_id`, `account_id`, `email` and, where it is known, `recency_days`.
    permissions : for the campaign's purpose, in `PERMISSION_SCHEMA`.
    forgotten : ids of customers.
    unreachable : addresses in lower case.
    mailed : the mails of the purpose that went out or may have, with `customer_id` and `at` (milliseconds UTC).
    """
    said = people.join(permissions, on="customer_id", how="left", maintain_order="left")
    address = pl.col("email")
    cause = _first(
        {
            Cause.FORGOTTEN: pl.col("customer_id").is_in(list(forgotten)),
            Cause.NO_CONSENT: ~pl.col("granted").fill_null(False),
            Cause.RECOMMENDATIONS_OFF: ~pl.col("recommendations").fill_null(True),
            Cause.NO_ADDRESS: address.is_null(),
            Cause.INVALID_ADDRESS: ~address.str.contains(ADDRESS) | (address.str.len_chars() > MOST_CHARACTERS),
            Cause.UNREACHABLE: address.str.to_lowercase().is_in(list(unreachable)),
            Cause.FREQUENCY_CAP: pl.col("customer_id").is_in(list(capped(mailed, restraint, now))),
        }
    )
    judged = said.with_columns(cause=cause).drop("granted", "recommendations")
    if restraint.one_per_account:
        judged = _one_of_each(judged, pl.col("account_id"), Cause.SAME_ACCOUNT)
    return _one_of_each(judged, address.str.to_lowercase(), Cause.SAME_ADDRESS)


def capped(mailed: pl.DataFrame, restraint: Restraint, now: int) -> set[str]:
    """The customers who got as many mails as a cap allows."""
    found: set[str] = set()
    for cap in restraint.caps:
        lately = mailed.filter(pl.col("at") > now - cap.days * MS_PER_DAY)
        often = lately.group_by("customer_id").len().filter(pl.col("len") >= cap.mails)
        found.update(often["customer_id"].to_list())
    return found


def _first(causes: Mapping[Cause, pl.Expr]) -> pl.Expr:
    return pl.coalesce(pl.when(holds).then(pl.lit(str(cause))) for cause, holds in causes.items())


def _one_of_each(people: pl.DataFrame, group: pl.Expr, cause: Cause) -> pl.DataFrame:
    """Of those who share something the one who bought last gets the mail, else the first by id."""
    by = [name for name in ("recency_days", "customer_id") if name in people.columns]
    free = people.with_row_index("place").filter(pl.col("cause").is_null() & group.is_not_null())
    order = free.sort(by, nulls_last=True)
    further = order.filter(~order.select(group.is_first_distinct()).to_series())["place"]
    place = pl.int_range(pl.len(), dtype=pl.UInt32)
    return people.with_columns(
        cause=pl.when(place.is_in(further.implode())).then(pl.lit(str(cause))).otherwise(pl.col("cause"))
    )


def where_and_how(people: pl.DataFrame, campaign: Campaign) -> tuple[pl.DataFrame, dict[str, int]]:
    """The people with the `language` and the `time_zone` of their mails, the shop's where theirs is not known, and how
    many got the shop's: `shops_language` and `shops_time_zone`."""
    from serving.email.reading import is_language, is_zone

    shop, counted = campaign.shop, {}
    for name, default, fits in (
        ("language", shop.language, is_language),
        ("time_zone", shop.time_zone, is_zone),
    ):
        unfit = [each for each in people[name].unique().drop_nulls().to_list() if not fits(each)]
        known = people[name].is_not_null() & ~people[name].is_in(unfit)
        counted[f"shops_{name}"] = int((~known & people["cause"].is_null()).sum())
        people = people.with_columns(pl.when(known).then(pl.col(name)).otherwise(pl.lit(default)).alias(name))
    return people, counted


def not_before(quiet: QuietHours | None, time_zone: str, now: int) -> int:
    """The first moment from `now` on (both milliseconds UTC) that is not in the quiet hours of a time zone."""
    return now if quiet is None else _ends_of(quiet.starts, quiet.ends, time_zone, now)


@lru_cache(maxsize=10_000)
def _ends_of(starts: time, ends: time, time_zone: str, now: int) -> int:
    zone = ZoneInfo(time_zone)
    local = (_EPOCH + timedelta(milliseconds=now)).astimezone(zone)
    clock = local.time()
    over_midnight = starts > ends
    inside = (clock >= starts or clock < ends) if over_midnight else starts <= clock < ends
    if not inside:
        return now
    tomorrow = over_midnight and clock >= starts
    day = local.date() + timedelta(days=1 if tomorrow else 0)
    # When clocks are set back an hour comes twice: the end that is meant is that of the hour in which it is now.
    opens = datetime.combine(day, ends.replace(fold=local.fold), tzinfo=zone).astimezone(UTC)
    return max(now, (opens - _EPOCH) // timedelta(milliseconds=1))
