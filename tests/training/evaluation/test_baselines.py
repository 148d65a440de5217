"""The simple models against the same done slowly, one customer at a time."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.data.signals import EventWeights
from recsys.metrics.ranking import NOTHING, Ranked
from tests.training.evaluation.divided_worlds import BUY, DAY, VIEW, Row, rules, timed
from training.evaluation import baselines
from training.evaluation.baselines import NotAllowed
from training.evaluation.held_out import HeldOut, Repeats, hold_out
from training.evaluation.protocols import Part

NO_ITEMS = pl.Series("item_id", [], dtype=pl.String)


def part(train: pl.DataFrame, customers: list[str], repeats: Repeats = Repeats.EXCLUDE) -> HeldOut:
    """A part in which these customers want something new."""
    wanted = pl.DataFrame({"customer_id": customers, "item_id": ["new"] * len(customers)})
    newest = train["timestamp"].max()
    until = newest + 1 if isinstance(newest, int) else None
    if repeats is Repeats.ONLY:
        raise ValueError("nobody has anything new")
    return hold_out(Part(train, wanted, until), rules(repeats=repeats), NO_ITEMS)


def lists(held_out: HeldOut, ranked: Ranked) -> dict[str, list[str]]:
    """Lists by names."""
    items = list(held_out.training.items)
    return {
        customer: [items[item] for item in row if item != NOTHING]
        for customer, row in zip(held_out.customer_ids, ranked, strict=True)
    }


def test_popular_counts_customers_not_events() -> None:
    """Two customers beat one who bought three times; of equals the item with more events of any kind is first, then
    the smaller id; who has an item does not get it."""
    train = timed(
        [("a", "thrice", BUY, 1)] * 3
        + [("a", "twin-2", BUY, 1), ("b", "twin-2", BUY, 2), ("a", "twin-1", BUY, 1), ("c", "twin-1", BUY, 2)]
        + [("c", "looked-at", BUY, 1)]
        + [("d", "looked-at", VIEW, 1)] * 4
        + [("d", "only-viewed", VIEW, 1)]
    )
    held_out = part(train, ["b", "nobody"])
    found = baselines.first_of_order(baselines.popular_order(held_out), held_out.masked, 4)
    assert lists(held_out, found) == {
        "b": ["twin-1", "looked-at", "thrice"],
        "nobody": ["twin-1", "twin-2", "looked-at", "thrice"],
    }


def test_popular_of_seven_days_forgets_the_rest() -> None:
    """Only target events of the last seven days before the end count; what was bought before does not appear."""
    train = timed([("a", "old", BUY, 1), ("b", "old", BUY, 1), ("a", "edge", BUY, 3), ("b", "late", BUY, 10)])
    held_out = part(train, ["c"])
    assert lists(held_out, baselines.first_of_order(baselines.recent_order(held_out), held_out.masked, 5)) == {
        "c": ["late"]
    }


def test_popular_of_seven_days_begins_a_week_before_the_end() -> None:
    """The window is closed at its beginning: 7 days before the end counts, a millisecond earlier does not."""
    train = timed([("a", "x", BUY, 0), ("b", "y", BUY, 0), ("c", "z", BUY, 0)]).with_columns(
        pl.Series("timestamp", [3 * DAY - 1, 3 * DAY, 10 * DAY - 1])
    )
    held_out = part(train, ["d"])
    assert lists(held_out, baselines.first_of_order(baselines.recent_order(held_out), held_out.masked, 5)) == {
        "d": ["y", "z"]
    }


def test_without_times_there_is_no_week() -> None:
    """One unknown time is enough to refuse, with the cause; so is a week in which nothing was bought."""
    with pytest.raises(NotAllowed, match="times are unknown"):
        baselines.recent_order(part(timed([("a", "x", BUY, 1), ("b", "x", BUY, None)]), ["c"]))
    with pytest.raises(NotAllowed, match="no event of the kinds to predict in the last 7 days"):
        baselines.recent_order(part(timed([("a", "x", BUY, 1), ("b", "x", VIEW, 20)]), ["c"]))


def test_what_a_customer_had_most_comes_first() -> None:
    """Own items by number of target events, views aside, then popular ones; strangers get popular ones."""
    train = timed(
        [("u", "twice", BUY, 1)] * 2
        + [("u", "once", BUY, 1)]
        + [("u", "viewed", VIEW, 1)] * 5
        + [(name, "hit", BUY, 1) for name in "abc"]
        + [("a", "once", BUY, 1)]
    )
    held_out = part(train, ["stranger", "u"], Repeats.ALLOW)
    found = baselines.personal_top(held_out, baselines.popular_order(held_out), 3)
    assert lists(held_out, found) == {"u": ["twice", "once", "hit"], "stranger": ["hit", "once", "twice"]}


def test_where_repeats_are_excluded_nothing_personal_is_left() -> None:
    """A customer's own items are masked, so the list is the popular one."""
    train = timed([("u", "own", BUY, 1), ("a", "hit", BUY, 1), ("b", "hit", BUY, 1)])
    held_out = part(train, ["u"])
    order = baselines.popular_order(held_out)
    assert lists(held_out, baselines.personal_top(held_out, order, 3)) == {"u": ["hit"]}


EVENTS = st.lists(
    st.tuples(st.sampled_from("uvwxyz"), st.sampled_from("abcdefg"), st.sampled_from([BUY, VIEW]), st.just(1)),
    min_size=1,
    max_size=50,
)


@settings(max_examples=100, deadline=None)
@given(EVENTS, st.integers(1, 9), st.sampled_from([Repeats.EXCLUDE, Repeats.ALLOW]))
def test_lists_are_those_made_one_by_one(rows: list[Row], k: int, repeats: Repeats) -> None:
    """Popular and personal lists of any history are what counting and sorting gives for each customer alone."""
    bought = [(customer, item) for customer, item, kind, _ in rows if kind is BUY]
    if not bought:
        return
    held_out = part(timed(rows), ["s", "u", "v", "w"], repeats)
    events, buyers = Counter(item for _, item, _, _ in rows), Counter(item for _, item in set(bought))
    popular = sorted(buyers, key=lambda item: (-buyers[item], -events[item], item))
    order = baselines.popular_order(held_out)
    plain = lists(held_out, baselines.first_of_order(order, held_out.masked, k))
    personal = lists(held_out, baselines.personal_top(held_out, order, k))
    for customer in ("s", "u", "v", "w"):
        own = Counter(item for name, item in bought if name == customer)
        masked = set(own) if repeats is Repeats.EXCLUDE else set()
        assert plain[customer] == [item for item in popular if item not in masked][:k]
        first = sorted(own, key=lambda item: (-own[item], -events[item], item))
        expected = [item for item in first + [each for each in popular if each not in own] if item not in masked]
        assert personal[customer] == expected[:k]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(-2, 3), min_size=6, max_size=6), min_size=1, max_size=5), st.integers(1, 8))
def test_the_best_scores_are_found_and_ties_decided(rows: list[list[int]], k: int) -> None:
    """Scores of 0 and less are not listed; equal ones go by count, then by position."""
    count = np.array([3, 1, 3, 2, 2, 0])
    found = baselines.best_of_scores(sparse.csr_matrix(np.array(rows, dtype=np.float64)), count, k)
    for row, listed in zip(rows, found, strict=True):
        expected = sorted((i for i in range(6) if row[i] > 0), key=lambda i: (-row[i], -count[i], i))[:k]
        assert listed.tolist() == expected + [NOTHING] * (k - len(expected))


def test_bm25_is_its_formula() -> None:
    """Scores are the history times the products of BM25 weights, written out; strangers get popular items."""
    rng = np.random.default_rng(0)
    rows = [(f"u{u}", f"i{i}", BUY, 1) for u in range(12) for i in range(8) if rng.random() < 0.4]
    held_out = part(timed(rows), ["stranger", "u1", "u2", "u3"])
    training = held_out.training
    x = training.strengths(EventWeights()).toarray().astype(np.float64)
    length = x.sum(axis=0)
    weight = np.zeros_like(x)
    for u in range(x.shape[0]):
        idf = math.log(x.shape[1]) - math.log1p(np.count_nonzero(x[u]))
        for i in range(x.shape[1]):
            norm = 0.25 + 0.75 * length[i] / length.mean()
            weight[u, i] = x[u, i] * 2.2 / (1.2 * norm + x[u, i]) * idf
    scores = x @ (weight.T @ weight)
    order = baselines.popular_order(held_out)
    strengths = held_out.training.strengths(EventWeights())
    found = baselines.bm25(held_out, strengths, baselines.bm25_neighbours(strengths, threads=1), order, 3)
    for place, name in enumerate(held_out.customer_ids):
        row = training.customers.position(name)
        if name == "stranger":
            assert found[place].tolist() == order[:3].tolist()
            continue
        free = [i for i in range(x.shape[1]) if not x[row, i] and scores[row, i] > 1e-12]
        best = sorted(free, key=lambda i: -scores[row, i])[:3]
        assert found[place][: len(best)].tolist() == best
