"""Replays against simulated shops whose truth is known, and a log without chance is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.replay import SLOTS, World, replay_of, study
from recsys.errors import InputError
from recsys.metrics.off_policy import DOUBLY_ROBUST, IPS, LOGGED, SNIPS
from recsys.outcomes.slots import SLOT_SCHEMA, SeenSlots
from recsys.recommend.placement import DEFAULT_PLACEMENT, Exploration, Placement
from training.evaluation.replay.lists import NO_ITEM
from training.evaluation.replay.policy import PolicyNamed
from training.evaluation.replay.replaying import decisions_of, replayed, require_chance
from training.evaluation.replay.reward_model import RewardModel, cross_fitted

PLACEMENTS = {
    "home": Placement(name="home", mask_kinds=frozenset(), exploration=Exploration(share=0.3, cost=0.1)),
    "cart": DEFAULT_PLACEMENT,
}


@pytest.mark.parametrize(("tried", "customers"), [(None, 100), (1, 200)])
def test_intervals_hold_the_policy_s_true_value(tried: int | None, customers: int) -> None:
    """About as often as they say, and estimates are right on average, which what was logged is not."""
    found = study(30, customers, tried, seed=7)
    for name in (IPS, SNIPS, DOUBLY_ROBUST):
        assert found.coverage[name] >= 0.83
        assert abs(found.bias[name]) <= 3 * found.error[name]
    if tried is None:
        assert found.bias[LOGGED] < -2 * found.error[LOGGED]


def test_lists_that_could_not_have_been_shown_are_not_judged() -> None:
    """The log says nothing of items that never stand in a slot: support says how much, and nothing is concluded."""
    world, rng = World.drawn(3), np.random.default_rng(0)
    other = np.roll(world.lists, 1, axis=1)
    half = np.where(np.arange(SLOTS) < SLOTS // 2, world.lists, other)
    found = replay_of(world, half, rng, 400)
    assert found.verdict is None
    assert found.lift is None
    assert found.found.support.high < 0.95
    assert "of the places of these lists alone" in str(found.cause)
    own = replay_of(world, world.lists, rng, 400)
    assert own.cause is None
    assert own.found.support.low < 1 < own.found.support.high


def test_a_log_without_chance_is_refused() -> None:
    """The message says what to switch on; with chance in one slot there is something to score."""
    world = World.drawn(1)
    certain, _ = world.logged(np.random.default_rng(0), 20, chance=False)
    with pytest.raises(InputError, match=r"held what it held for certain.*explore = \{ share = 0.3") as refused:
        require_chance(certain, "home")
    assert "[placements.home]" in str(refused.value)
    require_chance(world.logged(np.random.default_rng(0), 20)[0], "home")


def test_a_placement_that_nobody_saw_is_refused() -> None:
    """With what was left out and which placements were seen."""
    nothing = SeenSlots(pl.DataFrame(schema=SLOT_SCHEMA), {"no slot": 3}, {"cart": 12})
    with pytest.raises(InputError, match=r"no slot of the placement home.*no slot: 3.*cart 12"):
        require_chance(nothing, "home")


def test_an_empty_slot_of_the_target_brings_nothing() -> None:
    """A list that is too short is worth nothing where it ends, by every estimate."""
    world = World.drawn(2)
    seen, _ = world.logged(np.random.default_rng(0), 60)
    rows = seen.rows
    decisions = decisions_of(rows, pl.Series([NO_ITEM] * rows.height), 0)
    assert not decisions.target.any()
    assert not decisions.expected_of_target.any()
    found = replayed(seen, lambda answers, width: np.full((answers.height, width), NO_ITEM, dtype=object), 0)
    assert found.found.estimates[IPS].mean == 0.0
    assert "as much as 0 decisions" in str(found.cause)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_the_model_is_drawn_to_the_slots_where_little_was_seen(seed: int) -> None:
    """An item never seen is expected to do as its slot does, one seen often as it did; nothing is negative."""
    rng = np.random.default_rng(seed)
    slot, item = rng.integers(3, size=400), rng.integers(4, size=400)
    reward = (rng.random(400) < 0.1 + 0.2 * (item == 0)).astype(np.float64)
    model = RewardModel.fitted(slot, item, reward, 3, 6)
    assert model.item[5] == pytest.approx(1.0)
    assert (model.of(slot, item) >= 0).all()
    assert model.of(np.array([0]), np.array([-1])).tolist() == [0.0]
    seen = np.bincount(item, weights=reward, minlength=4) / np.bincount(item, weights=model.slot[slot], minlength=4)
    assert (np.sign(model.item[:4] - 1) * np.sign(seen - 1) >= 0).all()


def test_the_model_has_not_seen_the_customer_it_speaks_of() -> None:
    """A customer's own clicks change what is expected of everybody else, not of them."""
    rng = np.random.default_rng(1)
    slot, item, customer = rng.integers(2, size=300), rng.integers(5, size=300), np.arange(300) // 6
    reward = (rng.random(300) < 0.3).astype(np.float64)
    changed = np.where(customer == 7, 1.0, reward)
    before, _ = cross_fitted(slot, item, item, reward, customer, (2, 5), 0)
    after, _ = cross_fitted(slot, item, item, changed, customer, (2, 5), 0)
    own = customer == 7
    assert np.array_equal(before[own], after[own])
    assert not np.array_equal(before[~own], after[~own])


@pytest.mark.parametrize("text", ["", "home", "bundle:", "placement:a,placement:b", "model:popular,who:x", "arm:b"])
def test_a_policy_is_named_in_one_way(text: str) -> None:
    """What is none is refused with what would be one."""
    with pytest.raises(InputError, match="bundle:ID, placement:NAME, model:NAME"):
        PolicyNamed.parse(text)


def test_a_policy_is_a_bundle_rules_and_a_model() -> None:
    """Rules are the logged placement's unless named, without what they explore; an unknown name is refused."""
    named = PolicyNamed.parse("bundle:ab12, model:als")
    assert (named.bundle, named.placement, named.model) == ("ab12", None, "als")
    rules = named.rules(PLACEMENTS, "home")
    assert (rules.name, rules.sources, rules.exploration) == ("home", frozenset({"als"}), None)
    assert PolicyNamed.parse("placement:cart").rules(PLACEMENTS, "home") == DEFAULT_PLACEMENT
    with pytest.raises(InputError, match="there is no placement 'shelf'"):
        PolicyNamed.parse("placement:shelf").rules(PLACEMENTS, "home")
    with pytest.raises(InputError, match="names the model 'bm25'"):
        PolicyNamed.parse("model:bm25")
