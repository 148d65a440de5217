"""A ranked list is arranged as the slow and obvious way arranges it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.history import History, StoredHistory
from recsys.data.item_table import ItemTable
from recsys.data.packed import HistoryRow
from recsys.data.shown import NOTHING_SHOWN, Shown
from recsys.data.vocabulary import Vocabulary
from recsys.errors import InputError
from recsys.recommend.arrangement import NOWHERE, Arranged, Layout, arrange
from recsys.recommend.layout import PlacementLayout, sinking
from recsys.recommend.placement import DEFAULT_PLACEMENT, Diversity, Pin, Placement, Rotation

DAY = 86_400_000


def obvious(
    everything: list[int], wanted: int, sinks: dict[int, int], pins: dict[int, int], rules: list[tuple[list[int], int]]
) -> list[int]:
    """The whole ranking, one thing after the other: `pins` by slot, `rules` with the code of every item."""
    turns = sorted(
        (2 * (place + sinks.get(item, 0)) + (sinks.get(item, 0) > 0), place, item)
        for place, item in enumerate(everything)
    )
    here = {slot: item for slot, item in pins.items() if slot < wanted}
    shown = list(here.values())
    free: list[int] = []
    for _, _, item in turns:
        if len(free) + len(here) == wanted:
            break
        fits = all(
            codes[item] < 0 or sum(codes[other] == codes[item] for other in shown) < most for codes, most in rules
        )
        if item not in here.values() and fits:
            free.append(item)
            shown.append(item)
    result: list[int] = []
    waiting = sorted(here.items())
    while free or waiting:
        if waiting and (waiting[0][0] <= len(result) or not free):
            result.append(waiting.pop(0)[1])
        else:
            result.append(free.pop(0))
    return result


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_the_order_is_the_obvious_one(data: st.DataObject) -> None:
    """Any ranking, sinks, pins on and off the list, and rules, over all that is ranked."""
    items = data.draw(st.integers(1, 30))
    everything = data.draw(st.permutations(range(items)))[: data.draw(st.integers(0, items))]
    wanted = data.draw(st.integers(1, 12))
    sinks = data.draw(st.dictionaries(st.integers(0, items - 1), st.integers(1, 20), max_size=6))
    slots = data.draw(st.lists(st.integers(0, 14), max_size=4, unique=True))
    pinned = data.draw(st.permutations(range(items)))
    pins = dict(zip(sorted(slots), pinned, strict=False))
    code = st.lists(st.integers(-1, 4), min_size=items, max_size=items)
    rules = data.draw(st.lists(st.tuples(code, st.integers(1, 3)), max_size=2))
    layout = layout_of(sinks, pins, rules)
    found = arrange(np.array(everything, dtype=np.int32), False, wanted, layout)
    assert found.item.tolist() == obvious(everything, wanted, sinks, pins, rules)
    assert found.blocked is None
    check_places(found, everything, pins, wanted)


def layout_of(sinks: dict[int, int], pins: dict[int, int], rules: list[tuple[list[int], int]]) -> Layout:
    """The same as arrays."""
    return Layout(
        np.array([pins[slot] for slot in sorted(pins)], dtype=np.int32),
        np.array(sorted(pins), dtype=np.int64),
        np.array(sorted(sinks), dtype=np.int32),
        np.array([sinks[item] for item in sorted(sinks)], dtype=np.int64),
        np.array([codes for codes, _ in rules], dtype=np.int32).reshape(len(rules), len(rules[0][0]) if rules else 0),
        np.array([most for _, most in rules], dtype=np.int64),
    )


def check_places(found: Arranged, ranked: list[int], pins: dict[int, int], wanted: int) -> None:
    """Places and pinned slots say what the items are."""
    for place, item in zip(found.place.tolist(), found.item.tolist(), strict=True):
        assert (place == NOWHERE) == (item not in ranked)
        assert place == NOWHERE or ranked[place] == item
    here = {item for slot, item in pins.items() if slot < wanted}
    assert [found.item[slot] for slot in found.pinned] == [item for item in found.item.tolist() if item in here]


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_the_beginning_of_a_ranking_is_enough(data: st.DataObject) -> None:
    """With `spare` more items than are wanted, what sinks and is pinned stands where it stands in the whole ranking."""
    items = data.draw(st.integers(10, 60))
    everything = list(range(items))
    wanted = data.draw(st.integers(1, 10))
    sinks = data.draw(st.dictionaries(st.integers(0, 25), st.integers(1, 30), max_size=6))
    pins = data.draw(st.dictionaries(st.integers(0, 12), st.integers(0, items - 1), max_size=3))
    pins = {slot: item for slot, item in pins.items() if list(pins.values()).count(item) == 1}
    layout = layout_of(sinks, pins, [])
    first = everything[: wanted + layout.spare]
    found = arrange(np.array(first, dtype=np.int32), len(first) < items, wanted, layout)
    assert found.item.tolist() == obvious(everything, wanted, sinks, pins, [])


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_list_that_did_not_run_short_is_that_of_the_whole_ranking(data: st.DataObject) -> None:
    """With items that sink and rules of diversity, from however much of the ranking."""
    items = data.draw(st.integers(8, 40))
    wanted = data.draw(st.integers(1, 6))
    sinks = data.draw(st.dictionaries(st.integers(0, 12), st.integers(1, 12), max_size=5))
    code = st.lists(st.integers(-1, 3), min_size=items, max_size=items)
    rules = [(data.draw(code), data.draw(st.integers(1, 2)))]
    layout = layout_of(sinks, {}, rules)
    first = np.arange(min(items, wanted + layout.spare), dtype=np.int32)
    found = arrange(first, len(first) < items, wanted, layout)
    if found.blocked is None:
        assert found.item.tolist() == obvious(list(range(items)), wanted, sinks, {}, rules)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_list_is_short_only_when_nothing_else_is_there(data: st.DataObject) -> None:
    """Ranked anew without what is blocked, again and again, diversity fills a list as long as any item fits."""
    items = data.draw(st.integers(1, 60))
    code = st.lists(st.integers(-1, 12), min_size=items, max_size=items)
    rules = data.draw(st.lists(st.tuples(code, st.integers(1, 2)), min_size=1, max_size=2))
    wanted = data.draw(st.integers(1, 8))
    layout = layout_of({}, {}, rules)
    allowed, rounds = np.ones(items, dtype=bool), 0
    while True:
        everything = np.flatnonzero(allowed).astype(np.int32)
        found = arrange(everything[: wanted + 2], len(everything) > wanted + 2, wanted, layout)
        if found.blocked is None:
            break
        assert not found.blocked[found.item].any()
        assert (allowed & found.blocked).any()
        allowed &= ~found.blocked
        rounds += 1
        assert rounds <= wanted + 1
    assert found.item.tolist() == obvious(list(range(items)), wanted, {}, {}, rules)


def test_what_was_shown_and_not_clicked_sinks() -> None:
    """Impressions within the days and since the customer last did anything with the item count, those beyond `after`
    `step` places each."""
    items = Vocabulary.from_ids(list("abcd"))
    now = 100 * DAY
    impressions = [("a", now - day * DAY) for day in range(5)] + [("b", now - 20 * DAY)] * 9
    impressions += [("c", now - day * DAY) for day in range(5)] + [("unknown", now)]
    rows = [HistoryRow("c", 3, now - 2 * DAY, None, 1.0, None), HistoryRow("d", 3, now, None, 1.0, None)]
    past = History.from_stored(StoredHistory.of(2, rows), items)
    shown = Shown.of(impressions, items)
    for history, expected in ((History.empty(), {"a": 6, "c": 6}), (past, {"a": 6})):
        item, steps = sinking(Rotation(after=3, step=3, days=14), shown, history, now)
        assert dict(zip((items[place] for place in item.tolist()), steps.tolist(), strict=True)) == expected
    item, steps = sinking(Rotation(after=0, step=1, days=1), shown, past, now)
    assert dict(zip((items[place] for place in item.tolist()), steps.tolist(), strict=True)) == {"a": 2, "c": 2}
    assert not len(sinking(Rotation(after=0, step=1, days=1), NOTHING_SHOWN, past, now)[0])


def test_pins_hold_from_their_beginning_until_their_end() -> None:
    """As long as the item may be shown to whoever asks; the second of two on one slot takes the next free one."""
    items = Vocabulary.from_ids(list("abcdef"))
    pins = (
        Pin(item_id="c", slot=2, starts=10, ends=20),
        Pin(item_id="e", slot=2),
        Pin(item_id="f", slot=1),
        Pin(item_id="unknown", slot=4),
    )
    placement = Placement("home", DEFAULT_PLACEMENT.mask_kinds, pins=pins)
    every, nobody = np.ones(6, dtype=bool), np.zeros(0, dtype=np.int32)

    def pinned(now: int, showable: np.ndarray = every, hidden: np.ndarray = nobody) -> dict[int, str]:
        found = PlacementLayout(placement, items).now(
            now, showable, lambda: hidden, None, NOTHING_SHOWN, History.empty()
        )
        return {slot: items[place] for slot, place in zip(found.slots.tolist(), found.pinned.tolist(), strict=True)}

    assert pinned(9) == pinned(20) == {0: "f", 1: "e"}
    assert pinned(10) == pinned(19) == {0: "f", 1: "c", 2: "e"}
    assert pinned(10, hidden=np.array([2], dtype=np.int32)) == {0: "f", 1: "e"}
    sold_out = every.copy()
    sold_out[5] = False
    assert pinned(10, sold_out) == {1: "c", 2: "e"}


def test_rules_need_the_attributes_they_are_about() -> None:
    """Codes are asked for by the names of the rules, in their order."""
    items = Vocabulary.from_ids(list("abc"))
    rules = (Diversity(by="author", at_most=1), Diversity(by="series", at_most=2))
    layout = PlacementLayout(Placement("home", frozenset(), diversity=rules), items)
    assert (layout.by, layout.arranges, layout.rotates) == (("author", "series"), True, False)
    rows = [{"item_id": "a", "author": "x"}, {"item_id": "b", "author": "x"}, {"item_id": "c", "author": "y"}]
    table = ItemTable.from_items(pl.DataFrame(rows, schema=ITEM_SCHEMA), items)
    nobody = np.zeros(0, dtype=np.int32)
    found = layout.now(0, np.ones(3, dtype=bool), lambda: nobody, table, NOTHING_SHOWN, History.empty())
    assert arrange(np.arange(3, dtype=np.int32), False, 3, found).item.tolist() == [0, 2]
    with pytest.raises(InputError, match="series"):
        layout.check(table)
    assert not PlacementLayout(DEFAULT_PLACEMENT, items).arranges
