"""What customers will buy again and what they looked at: their own items, best or newest first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.bundle import ModelBundle
from recsys.data.catalog import ITEM_SCHEMA, Catalog
from recsys.data.events import EventKind
from recsys.data.history import History, StoredHistory
from recsys.data.packed import HistoryRow
from recsys.models.repeat import Repeat
from recsys.recommend.own_items import LEAST_PROBABILITY, LOOKED_AT, buy_again, recently_viewed
from recsys.recommend.types import Answer, Request
from tests.worlds import DAY, START, event_frame, no_catalogue, published

STAPLES = ["coffee", "milk", "bread"]
BOOKS = [f"book{n}" for n in range(8)]
NEWEST = 200
NOW = START + 9_000 * DAY


def weekly() -> list[tuple[str, str, EventKind, int | None]]:
    """Ten customers buy staples every week, each of them on a day of their own; books only once."""
    rows: list[tuple[str, str, EventKind, int | None]] = []
    for number in range(10):
        days = range(number % 7, NEWEST + 1, 7)
        rows += [(f"u{number}", staple, EventKind.PURCHASE, day) for day in days for staple in STAPLES]
        rows += [(f"u{number}", BOOKS[(number + n) % 8], EventKind.PURCHASE, 20 * n) for n in range(5)]
    return rows


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """A grocer that sells some books."""
    return published(tmp_path_factory.mktemp("grocer"), event_frame(weekly()))


def past(
    bundle: ModelBundle, *events: tuple[str, EventKind, float | None], earlier: Sequence[tuple[str, int]] = ()
) -> History:
    """A history of (item, kind, day after START or None)."""
    rows = [
        HistoryRow(item, kind.code, None if day is None else int(START + day * DAY), None, 1.0, None)
        for item, kind, day in events
    ]
    return History.from_stored(StoredHistory.of(1, rows, earlier), bundle.items)


def everything(bundle: ModelBundle) -> Catalog:
    """A catalogue under which everything may be shown."""
    return Catalog.from_items(no_catalogue(), bundle.items)


def ask(lister: object, bundle: ModelBundle, history: History, *exclude: str, limit: int = 20) -> Answer:
    """The answer under a catalogue without limits."""
    request = Request(limit=limit, now=NOW, exclude=frozenset(exclude))
    answer = lister(bundle, history, everything(bundle), request)  # type: ignore[operator]
    assert isinstance(answer, Answer)
    return answer


def ids(answer: Answer) -> list[str]:
    """Its items."""
    return [item.item_id for item in answer.items]


def shopping(weeks: int, *items: str) -> list[tuple[str, EventKind, float | None]]:
    """Purchases of these items once a week, the last one six days before the newest event."""
    return [(item, EventKind.PURCHASE, NEWEST - 6 - 7 * week) for week in reversed(range(weeks)) for item in items]


def test_staples_are_bought_again_and_books_are_not(bundle: ModelBundle) -> None:
    """What came every week is likely to come again; what nobody bought twice is not listed, however short the list."""
    history = past(bundle, ("book1", EventKind.PURCHASE, 150), *shopping(9, "coffee", "milk"))
    answer = ask(buy_again, bundle, history)
    assert set(ids(answer)) == {"coffee", "milk"}
    assert all(item.score > 0.9 for item in answer.items)
    assert answer.masked["unlikely"] == 1
    assert answer.short == (
        "items that may be shown and were bought before and are bought again with a probability of 1% or more: 2"
        " (left out: 1 unlikely)"
    )
    assert answer.sources == ("repeat",)


def test_the_score_is_the_probability_of_the_repeat_model_at_the_newest_event(bundle: ModelBundle) -> None:
    """An oracle without the code of lists, and the wall clock, years later, does not count."""
    history = past(bundle, ("bread", EventKind.PURCHASE, 60), *shopping(5, "coffee"))
    repeat: Repeat = bundle.repeat
    bought = repeat.bought(history, START + NEWEST * DAY)
    expected = dict(zip((bundle.items[item] for item in bought.item), repeat.score(bought, repeat.window), strict=True))
    answer = ask(buy_again, bundle, history)
    assert {item.item_id: item.score for item in answer.items} == pytest.approx(
        {item: score for item, score in expected.items() if score >= LEAST_PROBABILITY}, abs=1e-5
    )
    for item in answer.items:
        (part,) = item.reason.evidence
        assert (item.reason.code, part.item_id, part.kind) == ("bought_before", item.item_id, "purchase")
        assert part.share == item.score


def test_what_was_returned_refused_or_a_gift_is_not_bought_again(bundle: ModelBundle) -> None:
    """Each is counted under its rule, the first that fits."""
    history = past(
        bundle,
        *shopping(4, "coffee", "milk", "bread"),
        ("book1", EventKind.PURCHASE, NEWEST - 3),
        ("book1", EventKind.RETURN, NEWEST - 2),
        ("milk", EventKind.NOT_INTERESTED, NEWEST - 1),
        earlier=[("bread", EventKind.IGNORE_FOR_RECOMMENDATIONS.code)],
    )
    answer = ask(buy_again, bundle, history)
    assert ids(answer) == ["coffee"]
    assert answer.masked == {"unavailable": 0, "refused": 2, "returned": 1, "unlikely": 0, "excluded": 0}


def test_a_history_without_purchases_gives_no_list_and_says_why(bundle: ModelBundle) -> None:
    """Viewed, unknown, or nobody."""
    viewed = ask(buy_again, bundle, past(bundle, ("coffee", EventKind.VIEW, NEWEST)))
    assert (viewed.items, viewed.fallback) == ((), None)
    assert viewed.short == "the history has no purchase of an item that the models know"
    nobody = ask(buy_again, bundle, History.empty())
    assert (nobody.items, nobody.fallback) == ((), "unknown_customer")


def test_where_nobody_buys_twice_the_list_is_empty(tmp_path: Path) -> None:
    """A shop without repeats: no error, nothing filled in."""
    rows = [(f"u{n}", f"b{(n + k) % 12}", EventKind.PURCHASE, n + k) for n in range(40) for k in range(6)]
    bundle = published(tmp_path, event_frame(rows))
    answer = ask(buy_again, bundle, past(bundle, ("b1", EventKind.PURCHASE, 40), ("b2", EventKind.PURCHASE, 41)))
    assert answer.items == ()
    assert "left out: 2 unlikely" in str(answer.short)


def test_the_last_look_comes_first_and_each_item_once(bundle: ModelBundle) -> None:
    """Whatever kind of look it was; evidence is the item with its last kind, the score how many came later."""
    history = past(
        bundle,
        ("book1", EventKind.VIEW, 1),
        ("book2", EventKind.CLICK, 2),
        ("book1", EventKind.ADD_TO_CART, 3),
        ("book3", EventKind.SEARCH, 4),
        ("book4", EventKind.IMPRESSION, 4),
        ("book5", EventKind.VIEW, 5),
    )
    answer = ask(recently_viewed, bundle, history)
    told = [(item.item_id, item.score, item.reason.code, item.reason.evidence[0].kind) for item in answer.items]
    assert told == [
        ("book5", 1.0, "recently_viewed", "view"),
        ("book1", 0.5, "recently_viewed", "add_to_cart"),
        ("book2", 0.33333, "recently_viewed", "click"),
    ]
    assert answer.sources == ("history",)


def test_what_was_bought_since_is_not_shown_and_what_was_looked_at_again_is(bundle: ModelBundle) -> None:
    """A purchase at the same moment counts as since; refusals hold whenever they were."""
    history = past(
        bundle,
        ("book1", EventKind.VIEW, 1),
        ("book1", EventKind.PURCHASE, 2),
        ("book2", EventKind.PURCHASE, 2),
        ("book2", EventKind.VIEW, 3),
        ("book3", EventKind.VIEW, 4),
        ("book3", EventKind.OWN, 4),
        ("book4", EventKind.NOT_INTERESTED, 5),
        ("book4", EventKind.VIEW, 6),
        ("book5", EventKind.VIEW, 7),
    )
    answer = ask(recently_viewed, bundle, history, "book5")
    assert ids(answer) == ["book2"]
    assert answer.masked == {"unavailable": 0, "refused": 1, "bought": 2, "excluded": 1}
    assert answer.items[0].score == pytest.approx(1 / 4, abs=1e-5)


def test_a_history_without_looks_gives_no_list_and_says_why(bundle: ModelBundle) -> None:
    """Purchases are no looks."""
    bought = ask(recently_viewed, bundle, past(bundle, *shopping(3, "coffee")))
    assert (bought.items, bought.fallback) == ((), None)
    assert "that it was looked at" in str(bought.short)
    assert ask(recently_viewed, bundle, History.empty()).fallback == "unknown_customer"


def oracle(events: list[tuple[str, EventKind, float | None]], hidden: frozenset[str]) -> list[str]:
    """The items that were looked at, told off one by one from the end."""
    refused = {item for item, kind, _ in events if kind is EventKind.NOT_INTERESTED}
    seen: list[str] = []
    for item, kind, _ in reversed(events):
        if kind in LOOKED_AT and item not in seen:
            seen.append(item)
    shown = []
    for item in seen:
        last = max(day or 0 for name, kind, day in events if name == item and kind in LOOKED_AT)
        had = [day or 0 for name, kind, day in events if name == item and kind in (EventKind.PURCHASE, EventKind.OWN)]
        if item not in refused | hidden and not any(day >= last for day in had):
            shown.append(item)
    return shown


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([*STAPLES, *BOOKS, "not in the shop"]),
        st.sampled_from(
            [
                EventKind.VIEW,
                EventKind.CLICK,
                EventKind.PURCHASE,
                EventKind.RETURN,
                EventKind.OWN,
                EventKind.NOT_INTERESTED,
                EventKind.RATE,
            ]
        ),
        st.integers(0, 12),
    ),
    max_size=30,
).map(lambda events: sorted(events, key=lambda event: event[2]))


@given(
    events=EVENTS,
    hidden=st.frozensets(st.sampled_from([*STAPLES, *BOOKS]), max_size=5),
    exclude=st.frozensets(st.sampled_from([*STAPLES, "not in the shop"])),
    limit=st.integers(1, 6),
)
def test_what_holds_for_every_list(
    bundle: ModelBundle,
    events: list[tuple[str, EventKind, float | None]],
    hidden: frozenset[str],
    exclude: frozenset[str],
    limit: int,
) -> None:
    """No item twice, none that is masked or that the customer had nothing to do with, never more than asked, fewer only
    with a cause, scores descend and evidence sums to them; what was viewed is what an oracle says."""
    sold_out = pl.DataFrame([{"item_id": each, "available": False} for each in sorted(hidden)], schema=ITEM_SCHEMA)
    catalog = Catalog.from_items(sold_out, bundle.items)
    history = past(bundle, *events)
    request = Request(limit=limit, now=NOW, exclude=exclude)
    refused = {item for item, kind, _ in events if kind is EventKind.NOT_INTERESTED}
    for lister in (buy_again, recently_viewed):
        answer = lister(bundle, history, catalog, request)
        found = ids(answer)
        assert len(set(found)) == len(found) <= limit
        assert not (hidden | exclude | refused) & set(found)
        assert set(found) <= {item for item, _, _ in events}
        assert (answer.short is None) == (len(found) == limit)
        scores = [item.score for item in answer.items]
        assert scores == sorted(scores, reverse=True)
        assert all(sum(part.share for part in item.reason.evidence) == item.score for item in answer.items)
        assert answer == lister(bundle, history, catalog, request)
    known = [event for event in events if event[0] in bundle.items]
    assert ids(recently_viewed(bundle, history, catalog, request)) == oracle(known, hidden | exclude)[:limit]


def test_long_histories_are_no_trouble(bundle: ModelBundle) -> None:
    """Ten thousand looks at eight books are eight books."""
    rng = np.random.default_rng(0)
    looks = [(BOOKS[place], EventKind.VIEW, float(day)) for day, place in enumerate(rng.integers(0, 8, 10_000))]
    assert sorted(ids(ask(recently_viewed, bundle, past(bundle, *looks)))) == BOOKS
