"""The newest events that none of the compared bundles has seen, and whom is asked about them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import polars as pl

from recsys.bundle.bundle import ModelBundle
from recsys.data.events import EventKind
from recsys.data.interactions import EventTable
from recsys.errors import InputError
from recsys.recommend.placement import DEFAULT_PLACEMENT
from recsys.stores.frames import behaviour
from training.evaluation.held_out import HeldOut, Repeats, Rules, hold_out
from training.evaluation.protocols import PAIR, Part, latest_part
from training.validation import part_of


def newest_of(bundle: ModelBundle) -> int | None:
    """The time of the newest event that a bundle was trained on, milliseconds UTC; None where it knows no times."""
    newest = bundle.manifest.data.get("newest")
    return newest if isinstance(newest, int) else None


def unseen_part(rows: pl.DataFrame, target: Collection[EventKind], newest: int | None) -> Part | str:
    """The newest tenth of what is to be predicted, as far as it happened after `newest` (milliseconds UTC; None is no
    bound); or why there is nothing of it."""
    latest = latest_part(rows, target)
    if latest is None or latest.until is None:
        return "not all events have times, or too many have the same"
    return part_since(rows, target, latest.until if newest is None else max(latest.until, newest + 1))


def part_since(rows: pl.DataFrame, target: Collection[EventKind], cut: int) -> Part | str:
    """What is to be predicted from `cut` (milliseconds UTC) on, and everything before it; or why there is nothing."""
    named = [str(kind) for kind in target]
    wanted = behaviour(rows).filter(pl.col("kind").is_in(named) & (pl.col("timestamp") >= cut))
    if wanted.is_empty():
        return "nothing that is to be predicted happened since the newest event that a bundle has learned from"
    earlier = rows.filter(pl.col("timestamp").is_null() | (pl.col("timestamp") < cut))
    return Part(earlier, wanted.select(PAIR).unique().sort(PAIR), cut)


def held_out_of(
    rows: pl.DataFrame, unseen: Part | str, target: frozenset[EventKind], seed: int, bundles: Sequence[ModelBundle]
) -> HeldOut | str:
    """Who is asked for lists, and what they turned out to want: on what is unseen, else on what tuning would take; or
    why there is nobody. Every item of the bundles is a candidate."""
    part = unseen if isinstance(unseen, Part) else part_of(rows, target, seed)[0]
    if part is None:
        return f"{unseen}, and no customer has enough items to ask for lists"
    mask = DEFAULT_PLACEMENT.mask_kinds | target
    rules = Rules(target=target, visible=None, repeats=Repeats.EXCLUDE, mask=mask)
    every = pl.concat([pl.Series("item_id", list(bundle.items)) for bundle in bundles]).unique()
    try:
        return hold_out(part, rules, every)
    except InputError as error:
        return error.found


def before(table: EventTable, until: int | None) -> EventTable:
    """What had happened by then."""
    earlier = pl.col("timestamp").is_null() | (pl.col("timestamp") < until)
    return replace(table, events=table.events.filter(earlier))
