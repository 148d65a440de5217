"""What compiled code reads from one history against what `recsys.data.signals` says of it."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.events import EventKind
from recsys.data.history import History, ages
from recsys.data.signals import (
    MS_PER_DAY,
    UNKNOWN_TIME,
    EventWeights,
    KindWeight,
    event_strengths,
    fade_by_steps,
    item_clocks,
    item_strengths,
)

Row = tuple[int, EventKind, int, int, float, float]

DAYS = 50 * int(MS_PER_DAY)
TIMES = st.one_of(st.just(UNKNOWN_TIME), st.integers(-(2**62), 2**62), st.integers(-DAYS, -1), st.integers(0, DAYS))
EVENT = st.tuples(
    st.integers(0, 3),
    st.sampled_from(list(EventKind)),
    TIMES,
    st.one_of(st.just(UNKNOWN_TIME), st.integers(0, 5)),
    st.one_of(st.sampled_from([1.0, 2.0]), st.floats(0.125, 1_000, width=32)),
    st.one_of(st.just(float("nan")), st.floats(-2.0, 7.0, width=32)),
)
WEIGHT = st.builds(
    KindWeight, st.sampled_from([0.0, 0.5, 1.0]), st.one_of(st.none(), st.sampled_from([1e9]), st.floats(0.01, 1_000))
)
KINDS = st.fixed_dictionaries(dict.fromkeys(EventKind, WEIGHT))
WEIGHTS = st.builds(
    EventWeights,
    kinds=KINDS,
    half_life_steps=st.one_of(st.none(), st.floats(0.1, 50.0)),
    cap=st.sampled_from([0.7, 1.0, 3.0]),
    rating_scale=st.sampled_from([(1.0, 5.0), (0.5, 5.0), (0.0, 1.0), (3.0, 3.0)]),
)


def history_of(rows: list[Row]) -> History:
    """A history of these events."""
    rows = sorted(rows, key=lambda row: row[2:4])
    item, kind, timestamp, position, quantity, rating = zip(*rows, strict=True) if rows else [()] * 6
    return History(
        item=np.array(item, dtype=np.int32),
        kind=np.array([each.code for each in kind], dtype=np.int8),
        timestamp=np.array(timestamp, dtype=np.int64),
        position=np.array(position, dtype=np.int64),
        quantity=np.array(quantity, dtype=np.float32),
        rating=np.array(rating, dtype=np.float32),
    )


def said_by_arrays(
    history: History, weights: EventWeights
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], list[int]]:
    """The same, from what training uses."""
    row, item = np.zeros(len(history), dtype=np.int64), history.item.astype(np.int64)
    age = ages(history.timestamp, row, 1, MS_PER_DAY)
    columns = (item, history.kind, age, history.quantity, history.rating, weights)
    items, strength = item_strengths(*columns)
    clock = item_clocks(item, row, history.timestamp, history.position)
    strength = fade_by_steps(strength, clock, clock.max(initial=0), weights)
    items, strength = items[strength > 0], strength[strength > 0]
    each = event_strengths(*columns).strength
    speak: dict[int, list[tuple[float, int]]] = {one: [] for one in items.tolist()}
    for one, code, says in zip(item.tolist(), history.kind.tolist(), each.tolist(), strict=True):
        if says > 0 and one in speak:
            speak[one].append((weights.base[code], code))
    return items, strength, [max(kinds)[1] for kinds in speak.values()]


@settings(max_examples=400)
@given(st.lists(EVENT, max_size=40), WEIGHTS)
def test_one_history_says_what_the_arrays_say(rows: list[Row], weights: EventWeights) -> None:
    """To the last bit, whatever happened in whatever order of arrival."""
    check_equal(history_of(rows), weights)


@pytest.mark.parametrize("scale", [(1.0, 5.0), (3.0, 3.0)])
def test_what_is_taken_back_and_rated_counts_as_the_arrays_say(scale: tuple[float, float]) -> None:
    """Where nothing fades, so that every event shows: pieces that go back or not, ratings on the scale and off it."""
    chance = random.Random(8)
    kinds = [EventKind.PURCHASE, EventKind.RETURN, EventKind.ADD_TO_CART, EventKind.REMOVE_FROM_CART]
    kinds += [EventKind.RATE, EventKind.REVIEW]
    worth = {kind: KindWeight(0.1 * kind.code, None) for kind in kinds}
    weights = EventWeights(kinds=worth, half_life_steps=None, cap=20.0, rating_scale=scale)
    for _ in range(300):
        events = [
            (1, chance.choice(kinds), place, 0, chance.choice([0.0, 1.0, 2.0]), chance.choice([float("nan"), -1, 2, 7]))
            for place in range(chance.randint(1, 5))
        ]
        check_equal(history_of(events), weights)


def check_equal(history: History, weights: EventWeights) -> None:
    """Raises AssertionError unless compiled code and arrays say the same."""
    items, strengths, kinds = said_by_arrays(history, weights)
    found = history.speakers(weights)
    assert found.items.tolist() == items.tolist()
    assert found.strengths.tobytes() == strengths.tobytes()
    assert found.kinds.tolist() == kinds
    assert [each.dtype for each in found] == [np.dtype(of) for of in (np.int32, np.float32, np.int8)]


@given(st.lists(EVENT, max_size=12), st.lists(EVENT, max_size=12), st.sets(st.sampled_from(list(EventKind))))
def test_items_with_an_event_of_some_kinds(rows: list[Row], earlier: list[Row], kinds: set[EventKind]) -> None:
    """Each once, ascending, whether the event is a new one or an earlier one."""
    before = history_of(earlier)
    history = replace(history_of(rows), earlier_item=before.item, earlier_kind=before.kind)
    found = history.items_of(kinds)
    assert found.tolist() == sorted({row[0] for row in (*rows, *earlier) if row[1] in kinds})
    assert found.dtype == np.int32
