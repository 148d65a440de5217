"""Exploration: what is believed of items, whom they suit, what is shown of them and what that may cost."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.catalog_index import CatalogIndex
from recsys.data.vocabulary import Vocabulary
from recsys.errors import InputError
from recsys.recommend.exploration import (
    MOST_CONSIDERED,
    MOST_EXPLORED,
    MOST_SUITED,
    SCENARIOS,
    Beliefs,
    Explored,
    ItemCounts,
    ItemGroups,
    Offer,
    Suited,
    choose,
    suited,
)
from recsys.recommend.exploration.groups import NO_GROUP
from recsys.recommend.exploration.prior import Prior, fit_prior
from recsys.recommend.placement import Exploration
from recsys.stores.protocols import RESPONSE_SCHEMA

NOTHING = np.zeros(0, dtype=np.int32)


def counts_of(*rows: tuple[int, int, int]) -> ItemCounts:
    """Impressions, clicks and purchases, item by item."""
    return ItemCounts(*(np.array(column, dtype=np.int64) for column in zip(*rows, strict=True)))


def groups_of(category: list[int], author: list[int] | None = None) -> ItemGroups:
    """Groups by their numbers."""
    return ItemGroups(
        np.array(category, dtype=np.int32), np.array(author or [NO_GROUP] * len(category), dtype=np.int32)
    )


def items_in_the_dark(
    listed: list[float], candidates: list[float], seed: int = 0
) -> tuple[Beliefs, npt.NDArray[np.int32], Suited]:
    """Established items of these means that are listed, and new ones of these means, whose draws spread around them."""
    rng = np.random.default_rng(seed)
    size, new = len(listed), len(candidates)
    explored = np.arange(size, size + new, dtype=np.int32)
    place = np.append(np.full(size, -1), np.arange(new)).astype(np.int32)
    draws = rng.gamma(1.0, np.array(candidates)[:, None], size=(new, SCENARIOS)).astype(np.float32)
    groups = ItemGroups.nothing(size + new)
    beliefs = Beliefs(
        np.array(listed + candidates), explored, place, draws, draws[:, 0], groups, groups, groups.at(explored)
    )
    fit = Suited(np.arange(new, dtype=np.int32), np.ones(new, dtype=np.float32))
    return beliefs, np.arange(size, dtype=np.int32), fit


def stretches_of(free: list[int], share: float) -> list[list[int]]:
    """The free slots, cut into as few stretches as hold the share; about equally long."""
    count = ceil(share * len(free) - 1e-9)
    return [[slot for at, slot in enumerate(free) if at * count // len(free) == own] for own in range(count)]


def told(
    beliefs: Beliefs, listed: npt.NDArray[np.int32], candidates: Suited, how: Exploration, fixed: set[int]
) -> tuple[dict[tuple[int, int], float], float]:
    """The oracle of `choose`: the probability of each item at each slot that it does not hold anyway, and the loss."""
    free = [slot for slot in range(len(listed)) if slot not in fixed]
    chance: dict[tuple[int, int], float] = {}
    for scenario in range(SCENARIOS):
        draws = beliefs.draws[candidates.place, scenario]
        ranked = sorted(range(len(draws)), key=lambda own: -float(draws[own] * candidates.fit[own]))
        value = draws * np.minimum(candidates.fit, 1)
        for own, slots in zip(ranked, stretches_of(free, how.share), strict=False):
            for slot in slots:
                if value[own] > beliefs.mean[listed[slot]]:
                    picked = min(how.share, 1 / len(slots))
                    chance[slot, own] = chance.get((slot, own), 0.0) + picked / SCENARIOS
    worth = beliefs.mean[beliefs.explored[candidates.place]] * np.minimum(candidates.fit, 1)
    losses = {(slot, own): max(0.0, beliefs.mean[listed[slot]] - worth[own]) for slot, own in chance}
    loss = sum(chance[pair] * losses[pair] for pair in chance)
    most = how.cost * beliefs.mean[listed].sum()
    throttle = min(1.0, most / loss) if loss > 0 else 1.0
    chance = {pair: own * (throttle if losses[pair] > 0 else 1.0) for pair, own in chance.items()}
    return chance, loss * throttle


hypothesis_lists = st.tuples(
    st.lists(st.floats(0.001, 0.2), min_size=1, max_size=12),
    st.lists(st.floats(0.0001, 0.2), max_size=6),
    st.floats(0.01, 0.5),
    st.floats(0.001, 1.0),
    st.sets(st.integers(0, 12), max_size=4),
    st.integers(0, 99),
)


@settings(max_examples=80, deadline=None)
@given(hypothesis_lists, st.text(max_size=5))
def test_a_list_keeps_to_its_rules(
    drawn: tuple[list[float], list[float], float, float, set[int], int], seed: str
) -> None:
    """The expected loss is within the bound and, like every probability, what a slow second opinion says; fixed slots
    stay, nothing is there twice, and no more slots are explored than the share asks for."""
    listed, candidates, share, cost, fixed, draws = drawn
    beliefs, item, fit = items_in_the_dark(listed, candidates, draws)
    fit = fit._replace(fit=np.linspace(1.6, 0.3, len(candidates), dtype=np.float32))
    how = Exploration(share=share, cost=cost)
    found = choose(seed, item, fit, beliefs, how, sorted(fixed))
    chance, loss = told(beliefs, item, fit, how, fixed)
    assert found.value == pytest.approx(sum(listed))
    assert found.loss <= cost * found.value * (1 + 1e-9)
    assert found.loss == pytest.approx(loss, rel=1e-6, abs=1e-12)
    explored = set(found.slots.tolist())
    assert not explored & fixed
    assert len(explored) <= ceil(share * len([slot for slot in range(len(listed)) if slot not in fixed]))
    assert len(set(found.item.tolist())) == len(listed)
    for slot in range(len(listed)):
        others = sum(own for (at, _), own in chance.items() if at == slot)
        own = chance[slot, int(found.item[slot]) - len(listed)] if slot in explored else 1 - others
        assert found.propensity[slot] == pytest.approx(own, abs=1e-6)
        assert (found.item[slot] == item[slot]) == (slot not in explored)


def test_what_is_shown_is_as_frequent_as_it_is_said_to_be() -> None:
    """Over many seeds every item stands at every slot as often as its propensity says, and as much is lost."""
    beliefs, item, fit = items_in_the_dark([0.05, 0.04, 0.03, 0.02, 0.02, 0.01], [0.02, 0.01, 0.001])
    how, seeds = Exploration(share=0.4, cost=0.01), 20_000
    shown, lost = np.zeros((6, 9)), 0.0
    for seed in range(seeds):
        found = choose(f"answer {seed}", item, fit, beliefs, how)
        shown[np.arange(6), found.item] += 1
        lost += np.maximum(0.0, beliefs.mean[item] - beliefs.mean[found.item]).sum()
    chance, loss = told(beliefs, item, fit, how, set())
    assert 0 < loss == pytest.approx(0.01 * 0.17)
    for slot in range(6):
        for own in range(3):
            expected = chance.get((slot, own), 0.0)
            spread = 4.5 * np.sqrt(seeds * expected * (1 - expected)) + 1e-9
            assert abs(shown[slot, 6 + own] - seeds * expected) <= spread
    assert lost / seeds == pytest.approx(loss, rel=0.05)


def test_an_answer_is_told_by_its_seed() -> None:
    """The same seed explores the same, and others something else."""
    beliefs, item, fit = items_in_the_dark([0.01] * 10, [0.01] * 5)
    how = Exploration(share=0.2, cost=1.0)

    def answer(seed: str) -> Explored:
        return choose(seed, item, fit, beliefs, how)

    assert [part.tolist() for part in answer("a")[:3]] == [part.tolist() for part in answer("a")[:3]]
    assert len({tuple(answer(str(seed)).item.tolist()) for seed in range(50)}) > 20


def test_what_is_sure_to_gain_is_let_in_whatever_the_cost() -> None:
    """The bound is on losses: what is believed to be better costs nothing."""
    beliefs, item, fit = items_in_the_dark([0.01] * 4, [0.5])
    beliefs = replace(beliefs, draws=np.full((1, SCENARIOS), 0.5, dtype=np.float32))
    how = Exploration(share=0.5, cost=1e-9)
    explored = [len(choose(str(seed), item, fit, beliefs, how).slots) for seed in range(50)]
    assert set(explored) == {1}


@pytest.mark.parametrize(("share", "cost"), [(0.0, 0.1), (0.6, 0.1), (0.1, 0.0), (0.1, 1.1), (float("nan"), 0.1)])
def test_a_share_or_cost_out_of_range_is_refused(share: float, cost: float) -> None:
    """Instead of a list that breaks its promise."""
    beliefs, item, fit = items_in_the_dark([0.1], [0.1])
    with pytest.raises(InputError, match="exploration of share"):
        choose("a", item, fit, beliefs, Exploration(share=share, cost=cost))


def test_draws_have_the_moments_of_the_posterior() -> None:
    """Mean and variance of the draws are those of a product of two Betas, by arithmetic."""
    counts = counts_of((40, 8, 2), (0, 0, 0), (400, 10, 9))
    turned, paid = Prior(np.full(3, 0.1), 20.0), Prior(np.full(3, 0.25), 8.0)
    draws = np.concatenate(
        [
            Beliefs.of(counts, ItemGroups.nothing(3), NOTHING.astype(np.int64), seed, priors=(turned, paid)).draws
            for seed in range(40)
        ],
        axis=1,
    )
    beliefs = Beliefs.of(counts, ItemGroups.nothing(3), NOTHING.astype(np.int64), 0, priors=(turned, paid))
    assert beliefs.explored.tolist() == [2, 1, 0]
    for place, item in enumerate(beliefs.explored.tolist()):
        n, c, b = (int(part[item]) for part in (counts.impressions, counts.clicks, counts.purchases))
        first, second = 1.0, 1.0
        for a, z in ((2.0 + c, 18.0 + n - c), (2.0 + b, 6.0 + c - b)):
            first *= a / (a + z)
            second *= a * (a + 1) / ((a + z) * (a + z + 1))
        spread = np.sqrt(second - first**2)
        assert beliefs.mean[item] == pytest.approx(first)
        assert draws[place].mean() == pytest.approx(first, abs=5 * spread / np.sqrt(draws.shape[1]))
        assert draws[place].std() == pytest.approx(spread, rel=0.1)


def test_beliefs_are_told_by_counts_and_seed() -> None:
    """Two workers that read the same believe the same."""
    counts, groups = counts_of((9, 2, 1), (5, 1, 0), (0, 0, 0)), groups_of([0, 0, 1])
    one, same, other = (Beliefs.of(counts, groups, np.array([4, 2]), seed).draws for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_newcomers_and_what_is_seldom_are_explored_the_newest_first() -> None:
    """Half of the impressions are of items with 50 events or more: who has as many is established."""
    counts = counts_of((10, 1, 0), (50, 4, 0), (50, 4, 0), (40, 0, 0), (3, 0, 0))
    events, came = np.array([9, 50, 80, 49]), np.array([5, 1, 1, 7, 6])
    beliefs = Beliefs.of(counts, ItemGroups.nothing(5), events, 0, came)
    assert beliefs.explored.tolist() == [3, 4, 0]
    assert beliefs.place.tolist() == [2, -1, -1, 0, 1]


def test_only_so_many_are_explored_at_a_time() -> None:
    """The newest, whatever the size of the catalogue."""
    size = MOST_EXPLORED + 10
    beliefs = Beliefs.of(ItemCounts.nothing(size), ItemGroups.nothing(size), NOTHING.astype(np.int64), 0)
    assert beliefs.explored.tolist() == list(range(size - 1, 9, -1))


def test_a_prior_is_found_where_it_is_known() -> None:
    """Of items drawn from a Beta distribution its mean and its strength come back, however unevenly items were seen."""
    rng = np.random.default_rng(5)
    trials = rng.poisson(rng.gamma(0.3, 200, 20_000))
    successes = rng.binomial(trials, rng.beta(2.0, 38.0, 20_000))
    prior = fit_prior(successes, trials, ItemGroups.nothing(20_000))
    assert prior.mean[0] == pytest.approx(0.05, rel=0.03)
    assert prior.strength == pytest.approx(40.0, rel=0.08)


def test_a_new_item_is_believed_to_be_like_its_kind() -> None:
    """By its category where that was seen much, drawn to all where it was not, and by its author before both."""
    rng = np.random.default_rng(6)
    category = np.repeat(np.arange(20), 100)
    rate = np.where(category % 2 == 0, 0.02, 0.2)
    author = np.repeat(np.arange(200), 10)
    rate[author == 7] = 0.5
    trials = np.full(2_000, 200)
    trials[1_990:] = trials[70] = 0
    trials[1_900:1_990] = 0
    trials[1_900] = 5
    groups = groups_of(category.tolist(), author.tolist())
    successes = rng.binomial(trials, rate)
    successes[1_900] = 2
    mean = fit_prior(successes, trials, groups).mean
    assert mean[250] == pytest.approx(0.02, abs=0.005)
    assert mean[150] == pytest.approx(0.2, abs=0.02)
    assert mean[70] == pytest.approx(0.5, abs=0.06)
    assert np.average(mean[:1_900]) < mean[1_999] < 0.4


@given(
    st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 4), st.booleans(), st.booleans()), min_size=8, max_size=100),
    st.lists(st.floats(0.1, 5.0), max_size=4),
    st.integers(0, 99),
)
def test_who_suits_is_whom_the_taste_names(
    rows: list[tuple[int, int, bool, bool]], strengths: list[float], seed: int
) -> None:
    """Of the newest that share a category or an author with the taste the most promising, each as far as it suits
    beside what is listed. A slow second opinion."""
    size, rng = len(rows), np.random.default_rng(seed)
    groups = groups_of([row[0] for row in rows], [row[1] for row in rows])
    counts = ItemCounts(*(np.zeros(size, np.int64) + rng.integers(0, 9, size) for _ in range(3)))
    beliefs = Beliefs.of(counts, groups, NOTHING.astype(np.int64), seed)
    items = rng.choice(size, len(strengths), replace=False).astype(np.int32)
    listed = rng.choice(size, 3, replace=False).astype(np.int32)
    showable = np.array([row[2] for row in rows])
    hidden = np.flatnonzero([row[3] for row in rows]).astype(np.int32)
    known = int(rng.integers(size))
    offer = Offer(showable[:known], showable[known:], hidden)
    found = suited(beliefs, items, np.array(strengths, dtype=np.float32), listed, offer)

    def fit_of(own: int) -> float:
        return sum(
            worth
            for item, worth in zip(items, strengths, strict=True)
            for code in (groups.category, groups.author)
            if code[own] >= 0 and code[own] == code[item]
        )

    usual = sum(fit_of(own) for own in listed) / 3
    fits = {
        place: fit_of(own) / usual if strengths and usual else 1.0
        for place, own in enumerate(beliefs.explored)
        if showable[own] and own not in hidden and own not in listed and (not strengths or fit_of(own) > 0)
    }
    hope = {place: float(beliefs.reach[place]) * fits[place] for place in list(fits)[:MOST_CONSIDERED]}
    best = sorted(hope.values(), reverse=True)[:MOST_SUITED]
    # Nearly equal hopes may change places between the two opinions.
    assert [hope[place] for place in found.place.tolist()] == pytest.approx(best, rel=1e-5)
    assert len(set(found.place.tolist())) == len(best)
    assert found.fit.tolist() == pytest.approx([fits[place] for place in found.place.tolist()], rel=1e-5)


@given(
    st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 2)), min_size=6, max_size=30),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_candidates_leave_a_list_as_diverse_as_its_rules_say(
    rows: list[tuple[int, int]], at_most: tuple[int, int], slots: int, seed: int
) -> None:
    """Whichever of them get into so many slots: beside the list and those that promise more no more agree than may, and
    none is left out for others that cannot be shown as well. Newcomers, of which that is not known, are in nobody's
    way."""
    size, rng = len(rows), np.random.default_rng(seed)
    counts = ItemCounts(*(np.zeros(size, np.int64) + rng.integers(0, 9, size) for _ in range(3)))
    beliefs = Beliefs.of(counts, ItemGroups.nothing(size), NOTHING.astype(np.int64), seed)
    listed = rng.choice(size - 2, 3, replace=False).astype(np.int32)
    codes = np.array(rows[:-2], dtype=np.int32).T.copy()
    most = np.array(at_most, dtype=np.int64)
    everything = np.ones(size, dtype=np.bool_)
    ruled = Offer(everything[:-2], everything[-2:], NOTHING, codes, most, slots)
    free = suited(beliefs, NOTHING, np.zeros(0, np.float32), listed, Offer(everything[:-2], everything[-2:])).place
    found = suited(beliefs, NOTHING, np.zeros(0, np.float32), listed, ruled).place.tolist()

    def full(own: int, others: list[int]) -> bool:
        """Whether more than may could agree with an item, beside the list and as many of these as are shown."""
        for rule, most in enumerate(at_most):
            theirs = [rows[each][rule] for each in others if each < size - 2]
            count = [rows[each][rule] for each in listed].count(rows[own][rule])
            if rows[own][rule] >= 0 and count + min(slots, theirs.count(rows[own][rule]) + 1) > most:
                return True
        return False

    expected: list[int] = []
    alone = [place for place in beliefs.explored.tolist() if place >= size - 2 or not full(place, [])]
    best = sorted((place for place in alone if place not in listed), key=lambda own: -beliefs.reach[beliefs.place[own]])
    for own in best[:MOST_SUITED]:
        if own >= size - 2 or not full(own, expected):
            expected.append(own)
    assert [int(beliefs.explored[place]) for place in found] == expected
    assert set(found) <= set(free.tolist()) or len(free) == MOST_SUITED


def test_counts_stand_where_the_items_do() -> None:
    """Known items by the vocabulary, newcomers behind them, items that nobody knows nowhere."""
    known = Vocabulary.from_ids(["a", "b"])
    index = CatalogIndex.from_items(pl.DataFrame([{"item_id": "new"}], schema=ITEM_SCHEMA), known)
    rows = [("b", 5, 2, 1), ("new", 7, 0, 9), ("gone", 4, 4, 4)]
    counts = ItemCounts.placed(pl.DataFrame(rows, schema=RESPONSE_SCHEMA, orient="row"), index)
    assert counts.impressions.tolist() == [0, 5, 7]
    assert counts.engaged.tolist() == [0, 2, 7]
    assert counts.bought.tolist() == [0, 1, 7]


def test_groups_stand_where_the_items_do() -> None:
    """Categories and authors by number, newcomers too; what is not said is no group."""
    known = Vocabulary.from_ids(["a", "b", "c"])
    rows = [
        {"item_id": "new", "category": "crime", "author": "x"},
        {"item_id": "a", "category": "crime"},
        {"item_id": "b", "category": "art", "author": "x"},
    ]
    frame = pl.DataFrame(rows, schema=ITEM_SCHEMA)
    groups = ItemGroups.of(frame, CatalogIndex.from_items(frame, known))
    assert groups.category[0] == groups.category[3] != groups.category[1]
    assert groups.author[1] == groups.author[3] >= 0
    assert (groups.category[2], groups.author[0], groups.author[2]) == (NO_GROUP,) * 3
