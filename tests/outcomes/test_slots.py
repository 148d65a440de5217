"""What was seen slot by slot, against logs written by hand."""

from __future__ import annotations

from typing import NamedTuple

import orjson
import polars as pl
import pytest

from recsys.data.events import EventKind
from recsys.outcomes.exposure import DAY_MS, OUTCOME_SCHEMA
from recsys.outcomes.slots import SLOT_SCHEMA, Reward, SeenSlots, seen_slots

NOW = 100 * DAY_MS


class Token(NamedTuple):
    """What a token says."""

    bundle: str
    placement: str
    time: int


TOKENS = {"t1": Token("b", "home", 10), "t2": Token("b", "home", 20 * DAY_MS), "cart": Token("b", "cart", 10)}


def event(
    who: str, item: str, kind: EventKind, at: int, token: str | None = None, context: object = None, price: float = 5.0
) -> dict[str, object]:
    """A row in `OUTCOME_SCHEMA`."""
    said = None if context is None else orjson.dumps(context).decode()
    bought = kind is EventKind.PURCHASE
    row: dict[str, object] = {"customer_id": who, "item_id": item, "kind": str(kind), "timestamp": at, "quantity": 2.0}
    return row | {
        "price": price if bought else None,
        "currency": "EUR" if bought else None,
        "recommendation_id": token,
        "context": said,
    }


def seen(
    who: str, item: str, at: int, token: str | None, slot: int | None, propensity: float | None = None
) -> dict[str, object]:
    """An impression."""
    said: dict[str, object] = {} if slot is None else {"slot": slot}
    return event(
        who, item, EventKind.IMPRESSION, at, token, said | ({} if propensity is None else {"propensity": propensity})
    )


def slots(*events: dict[str, object], reward: Reward = Reward.CLICK, since: int = 0) -> SeenSlots:
    """What is counted of a log at `home`."""
    frame = pl.DataFrame(list(events), schema=OUTCOME_SCHEMA)
    return seen_slots(frame, TOKENS.get, "home", reward, since, NOW)


def test_a_click_belongs_to_the_impression_of_its_token() -> None:
    """Each item of each answer counts once, as it was first seen; a click of another answer is not its own."""
    found = slots(
        seen("ann", "x", 12, "t1", 2, 0.25),
        seen("ann", "x", 11, "t1", 2, 0.25),
        seen("ann", "y", 11, "t1", 1),
        event("ann", "x", EventKind.CLICK, 13, "t1"),
        event("ann", "x", EventKind.CLICK, 14, "t1"),
        event("ann", "y", EventKind.CLICK, 13, "t2"),
        event("bob", "y", EventKind.CLICK, 13, "t1"),
    ).rows
    assert dict(found.schema) == SLOT_SCHEMA
    assert found.select("item_id", "slot", "propensity", "seen", "reward", "answered").rows() == [
        ("y", 1, 1.0, 11, 0.0, 10),
        ("x", 2, 0.25, 11, 1.0, 10),
    ]


def test_what_cannot_be_told_is_left_out_and_counted() -> None:
    """Tokens that nobody signed, other placements, no slot, two items in one slot, and answers from before."""
    found = slots(
        seen("ann", "a", 11, None, 1),
        seen("ann", "b", 11, "forged", 1),
        seen("ann", "c", 11, "cart", 1),
        seen("ann", "d", 11, "t1", 1),
        seen("ann", "e", 21 * DAY_MS, "t2", None),
        seen("ann", "f", 21 * DAY_MS, "t2", 3),
        seen("ann", "g", 21 * DAY_MS, "t2", 3),
        seen("ann", "h", 21 * DAY_MS, "t2", 4),
        since=11,
    )
    assert found.rows["item_id"].to_list() == ["h"]
    assert found.left_out == {
        "no token of this shop": 2,
        "answered before the time that counts": 1,
        "no slot": 1,
        "two items in one slot": 2,
    }
    assert found.placements == {"cart": 1, "home": 5}


@pytest.mark.parametrize("slot", ["NaN", 1e300, 0, -3, 1.5, "first", 10_001])
@pytest.mark.parametrize("propensity", ["NaN", 0, -0.5, 1.5, "often"])
def test_what_an_imported_log_says_may_be_anything(slot: object, propensity: object) -> None:
    """What can be no slot, or no probability, is left out and counted; the rest of the log is read."""
    found = slots(
        event("ann", "a", EventKind.IMPRESSION, 11, "t1", {"slot": slot, "propensity": 0.5}),
        event("ann", "b", EventKind.IMPRESSION, 11, "t1", {"slot": 1, "propensity": propensity}),
        event("ann", "c", EventKind.IMPRESSION, 11, "t1", {"slot": 2.0, "propensity": 0.5}),
    )
    assert found.rows.select("item_id", "slot", "propensity").rows() == [("c", 2, 0.5)]
    assert found.left_out == {"no slot": 1, "no probability": 1}


@pytest.mark.parametrize(("reward", "worth"), [(Reward.PURCHASE, 1.0), (Reward.REVENUE, 16.0)])
def test_a_purchase_belongs_to_the_last_time_that_the_item_was_seen(reward: Reward, worth: float) -> None:
    """Within seven days, on whatever list; what was seen too lately to tell does not count."""
    last = 21 * DAY_MS
    found = slots(
        seen("ann", "x", 11, "t1", 1),
        seen("ann", "x", last, "t2", 1),
        seen("ann", "y", last, "t2", 2),
        seen("ann", "z", NOW - DAY_MS, "t2", 3),
        event("ann", "x", EventKind.PURCHASE, last + 1, price=5.0),
        event("ann", "x", EventKind.PURCHASE, last + 2, price=3.0),
        event("ann", "y", EventKind.PURCHASE, last + 8 * DAY_MS),
        event("bob", "y", EventKind.PURCHASE, last + 1),
        reward=reward,
    )
    assert found.rows.select("recommendation_id", "item_id", "reward").rows() == [
        ("t1", "x", 0.0), ("t2", "x", worth), ("t2", "y", 0.0),
    ]  # fmt: skip
    assert found.left_out == {"seen less than 7 days ago": 1}
