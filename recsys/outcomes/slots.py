"""What was seen slot by slot, how likely it was to stand there, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import polars as pl

from recsys.data.events import EventKind
from recsys.outcomes.exposure import DAY_MS

FOLLOWS_DAYS: Final = 7
"""A purchase so long after the item was seen still counts as following from it."""

LAST_SLOT: Final = 10_000
"""No list has more."""

SLOT_KINDS: Final = (EventKind.IMPRESSION, EventKind.CLICK, EventKind.PURCHASE)
"""The kinds of events that this is counted from."""

SLOT_SCHEMA: Final[dict[str, pl.DataType]] = {
    "customer_id": pl.String(),
    "recommendation_id": pl.String(),
    "answered": pl.Int64(),
    "item_id": pl.String(),
    "slot": pl.Int64(),
    "propensity": pl.Float64(),
    "seen": pl.Int64(),
    "reward": pl.Float64(),
}
"""One row per slot of an answer that was seen: the answer's time and the first time that it came into view
(milliseconds UTC), the item, the slot (1 is the first), the propensity, and what followed."""

_KEY: Final = ["customer_id", "recommendation_id", "item_id"]


class Reward(StrEnum):
    """What is counted of what followed."""

    CLICK = "click"
    PURCHASE = "purchase"
    REVENUE = "revenue"


class Answered(Protocol):
    """What a token says of its answer."""

    @property
    def bundle(self) -> str:
        """The id of the bundle that answered."""
        ...

    @property
    def placement(self) -> str:
        """Whose rules made the list."""
        ...

    @property
    def time(self) -> int:
        """Milliseconds UTC."""
        ...


@dataclass(frozen=True, slots=True)
class SeenSlots:
    """What was seen of the lists of one placement.

    Attributes
    ----------
    rows : in `SLOT_SCHEMA`.
    left_out : cause → how many slots were not counted for it.
    placements : name → how many slots were seen of its lists, this one's too.
    """

    rows: pl.DataFrame
    left_out: dict[str, int]
    placements: dict[str, int]


def seen_slots(
    events: pl.DataFrame,
    told: Callable[[str], Answered | None],
    placement: str,
    reward: Reward,
    since: int,
    as_of: int,
) -> SeenSlots:
    """Every slot of a placement's answers that somebody saw, once, with what followed.

    A click belongs to the impression that carries the same token and item. A purchase belongs to the last time that the
    person saw the item before it, at most `FOLLOWS_DAYS` earlier, whatever list that was on; revenue is its amount.

    Parameters
    ----------
    events : in `OUTCOME_SCHEMA`.
    told : what a token says; None for one that nobody signed.
    since, as_of : milliseconds UTC; answers from `since` on count. Where purchases count, an impression has to be old
        enough for what follows from it to have happened.
    """
    seen = _impressions(events, as_of)
    tokens = seen["recommendation_id"].unique().drop_nulls()
    answers = [told(token) for token in tokens]
    known = pl.DataFrame(
        {
            "recommendation_id": tokens,
            "placement": [None if each is None else each.placement for each in answers],
            "answered": [None if each is None else each.time for each in answers],
        },
        schema={"recommendation_id": pl.String, "placement": pl.String, "answered": pl.Int64},
    )
    seen = seen.join(known, on="recommendation_id", how="left")
    there = seen["placement"].drop_nulls().value_counts().sort("placement")
    left_out = {"no token of this shop": seen["placement"].null_count()}
    seen = seen.filter(pl.col("placement") == placement)
    for cause, kept in _kept(reward, since, as_of):
        left_out[cause] = seen.height - seen.filter(kept).height
        seen = seen.filter(kept)
    follows = _clicks(events, as_of) if reward is Reward.CLICK else _purchases(events, reward, as_of)
    rows = seen.join(follows, on=_KEY, how="left").with_columns(pl.col("reward").fill_null(0.0))
    rows = rows.select(list(SLOT_SCHEMA)).sort("answered", "recommendation_id", "slot")
    return SeenSlots(rows, {cause: count for cause, count in left_out.items() if count}, dict(there.iter_rows()))


def _impressions(events: pl.DataFrame, as_of: int) -> pl.DataFrame:
    """Each item of each answer once, as it was first seen. Imported logs may say anything: a slot or a propensity that
    cannot be one is null; without a word on its propensity an item was there for certain."""
    slot, propensity = (pl.col("context").str.json_path_match(f"$.{name}") for name in ("slot", "propensity"))
    number, chance = slot.cast(pl.Float64, strict=False), propensity.cast(pl.Float64, strict=False)
    is_slot = number.is_between(1, LAST_SLOT) & (number == number.floor())
    context = pl.struct(
        slot=pl.when(is_slot).then(number).cast(pl.Int64),
        propensity=pl.when(propensity.is_null()).then(1.0).when((chance > 0) & (chance <= 1)).then(chance),
    )
    return (
        events.filter((pl.col("kind") == str(EventKind.IMPRESSION)) & (pl.col("timestamp") <= as_of))
        .select(*_KEY, seen="timestamp", said=context)
        .unnest("said")
        .sort("seen", "slot", nulls_last=True)
        .unique(_KEY, keep="first", maintain_order=True)
    )


def _kept(reward: Reward, since: int, as_of: int) -> list[tuple[str, pl.Expr]]:
    """What is counted, and the cause for what is not, in this order."""
    alone = pl.len().over("customer_id", "recommendation_id", "slot") == 1
    ripe = pl.lit(value=True) if reward is Reward.CLICK else pl.col("seen") <= as_of - FOLLOWS_DAYS * DAY_MS
    return [
        ("answered before the time that counts", pl.col("answered") >= since),
        ("no slot", pl.col("slot").is_not_null()),
        ("no probability", pl.col("propensity").is_not_null()),
        ("two items in one slot", alone),
        (f"seen less than {FOLLOWS_DAYS} days ago", ripe),
    ]


def _clicks(events: pl.DataFrame, as_of: int) -> pl.DataFrame:
    clicks = events.filter((pl.col("kind") == str(EventKind.CLICK)) & (pl.col("timestamp") <= as_of))
    return clicks.filter(pl.col("recommendation_id").is_not_null()).select(_KEY).unique().with_columns(reward=1.0)


def _purchases(events: pl.DataFrame, reward: Reward, as_of: int) -> pl.DataFrame:
    """The reward of each impression that a purchase belongs to. Amounts count in the currency of most purchases."""
    person = ["customer_id", "item_id"]
    bought = events.filter((pl.col("kind") == str(EventKind.PURCHASE)) & (pl.col("timestamp") <= as_of))
    currency = bought["currency"].drop_nulls().value_counts().sort(["count", "currency"], descending=[True, False])
    ours = pl.col("currency").eq_missing(pl.lit(currency["currency"][0] if len(currency) else None, dtype=pl.String))
    amount = pl.when(ours).then(pl.col("quantity") * pl.col("price")).fill_null(0.0)
    shown = _impressions(events, as_of).select(*_KEY, "seen", at="seen").sort("at")
    followed = (
        bought.select(*person, at="timestamp", amount=amount)
        .sort("at")
        .join_asof(shown, on="at", by=person, strategy="backward", check_sortedness=False)
        .filter(pl.col("seen") >= pl.col("at") - FOLLOWS_DAYS * DAY_MS)
    )
    worth = pl.lit(1.0) if reward is Reward.PURCHASE else pl.col("amount").sum()
    return followed.group_by(_KEY).agg(reward=worth)
