"""What the settings of a shop's own models are chosen on: a slice of its history that models do not see meanwhile."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from recsys.data.events import KIND_BY_CODE, EventKind
from recsys.data.interactions import EventTable, Interactions
from recsys.errors import InputError
from recsys.recommend.placement import DEFAULT_PLACEMENT
from recsys.stores.frames import event_rows
from training.evaluation.held_out import HeldOut, Repeats, Rules, hold_out
from training.evaluation.protocols import Part, drawn_part, latest_part
from training.evaluation.soon import Soon
from training.tuning import Validation

MOST_EVENTS = 2_000_000
"""Of a longer history some customers are drawn: settings change little with more, and the drawn have all theirs."""

LEAST_CUSTOMERS = 200
"""With fewer customers in the newest part of the history, validation is drawn from all of it."""

LEAST_EVENTS = 100
PREDICTED = (
    EventKind.PURCHASE,
    EventKind.RATE,
    EventKind.REVIEW,
    EventKind.OWN,
    EventKind.LIKE,
    EventKind.ADD_TO_LIST,
    EventKind.ADD_TO_CART,
    EventKind.CLICK,
    EventKind.VIEW,
)
"""What lists are there to predict: the first of these of which there are `LEAST_EVENTS`."""


def predicted_kinds(interactions: Interactions) -> frozenset[EventKind]:
    """What a shop's lists predict unless it says so itself: purchases, or what comes nearest to them in its history."""
    counts = np.bincount(interactions.kind, minlength=max(KIND_BY_CODE) + 1)
    enough = [kind for kind in PREDICTED if counts[kind.code] >= LEAST_EVENTS]
    return frozenset({enough[0] if enough else PREDICTED[int(np.argmax(counts[[kind.code for kind in PREDICTED]]))]})


def validation_of(
    table: EventTable, target: Collection[EventKind], seed: int, most_events: int = MOST_EVENTS
) -> Validation | str:
    """The validation of a shop's history, or why there is none.

    Where all events have times it is the newest tenth of what is to be predicted, as long as that concerns
    `LEAST_CUSTOMERS` customers; else a tenth of each customer's items, as `protocols.split` draws it. What customers
    have is masked as in the default placement; a second copy, in which nothing is, is for repeats.
    """
    rows, share = sampled(table, seed, most_events)
    part, drawn, soon = part_of(rows, target, seed)
    if part is None:
        return "no customer has enough items for validation"
    mask = DEFAULT_PLACEMENT.mask_kinds | frozenset(target)
    rules = Rules(target=frozenset(target), visible=None, repeats=Repeats.EXCLUDE, mask=mask)
    nothing = pl.Series("item_id", [], dtype=pl.String)
    try:
        lists = hold_out(part, rules, nothing)
    except InputError as error:
        return error.found
    described: dict[str, Any] = {"drawn": drawn, "customers": len(lists.relevant), "share_of_customers": share}
    return Validation(lists, lists, _with_repeats(part, rules, nothing), soon, part.of_long_histories, True, described)


def part_of(rows: pl.DataFrame, target: Collection[EventKind], seed: int) -> tuple[Part | None, str, Soon | str]:
    """What is held out, how it was drawn, and what all customers did soon after it or why nobody can tell."""
    part = latest_part(rows, target)
    known = 0 if part is None else _known(part)
    if part is not None and known >= LEAST_CUSTOMERS:
        return part, "the newest tenth", part.soon or "the newest tenth of the history is less than a day"
    cause = "not all events have times, or too many have the same"
    if part is not None:
        cause = f"{known} customers with a history are in its newest tenth: {LEAST_CUSTOMERS} are needed"
    return drawn_part(rows, target, seed), "a tenth of each customer's items", cause


def _known(part: Part) -> int:
    """How many customers with something to foresee have a history to foresee it from."""
    return part.wanted.join(part.rows, on="customer_id", how="semi")["customer_id"].n_unique()


def _with_repeats(part: Part, rules: Rules, nothing: pl.Series) -> HeldOut | None:
    """The part where nothing is masked; None where nobody bought anything again."""
    again = Rules(target=rules.target, visible=None, repeats=Repeats.ONLY, mask=frozenset())
    try:
        hold_out(part, again, nothing)
    except InputError:
        return None
    return hold_out(part, Rules(target=rules.target, visible=None, repeats=Repeats.ALLOW, mask=frozenset()), nothing)


def sampled(table: EventTable, seed: int, most_events: int) -> tuple[pl.DataFrame, float]:
    """The events of all customers, or of as many, drawn by the seed, as have `most_events`; as the protocols take
    them; and the share of the customers."""
    events, customers = table.events, len(table.customer_ids)
    share = 1.0
    if events.height > most_events:
        share = most_events / events.height
        # By id, not by row: a store may number its customers in any order.
        place = np.empty(customers, dtype=np.int64)
        place[table.customer_ids.arg_sort().to_numpy()] = np.arange(customers)
        kept = np.random.default_rng(seed).random(customers)[place] < share
        events = events.filter(pl.Series(kept).gather(events["customer"]))
    return event_rows(replace(table, events=events)), share
