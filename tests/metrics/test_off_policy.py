"""Off-policy estimates in worlds whose truth is known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import InputError
from recsys.metrics.off_policy import DOUBLY_ROBUST, IPS, LOGGED, SNIPS, Decisions, OffPolicy, evaluate_policy

Floats = npt.NDArray[np.float64]
CONTEXTS, ACTIONS = 5, 4


class World(NamedTuple):
    """Equally likely contexts; what each action brings there; what two policies do; the target's true value."""

    reward: Floats
    logging: Floats
    target: Floats

    @property
    def value(self) -> float:
        """Of the target policy."""
        return float((self.target * self.reward).sum(axis=1).mean())

    def logged(
        self, rng: np.random.Generator, decisions: int, model: Floats | None = None, spoil: float = 1.0
    ) -> Decisions:
        """What the logging policy shows and what follows; `spoil` is what propensities are wrong by."""
        context = rng.integers(CONTEXTS, size=decisions)
        action = (rng.random(decisions)[:, None] > np.cumsum(self.logging[context], axis=1)).sum(axis=1)
        seen = (rng.random(decisions) < self.reward[context, action]).astype(np.float64)
        q = np.zeros((CONTEXTS, ACTIONS)) if model is None else model
        return Decisions(
            seen,
            np.minimum(self.logging[context, action] * spoil, 1.0),
            self.target[context, action],
            q[context, action],
            (self.target * q).sum(axis=1)[context],
            np.arange(decisions) // 3,
        )


def world(seed: int) -> World:
    """Any, with every action possible."""
    rng = np.random.default_rng(seed)
    policies = rng.dirichlet(np.full(ACTIONS, 0.7), size=(2, CONTEXTS)) * 0.9 + 0.1 / ACTIONS
    return World(rng.random((CONTEXTS, ACTIONS)), policies[0], policies[1])


def covered(one: World, estimator: str, turns: int = 200, clip: float = np.inf) -> float:
    """How often an interval holds the truth."""
    rng = np.random.default_rng(1)
    found = (evaluate_policy(one.logged(rng, 600), clip, resamples=200).estimates[estimator] for _ in range(turns))
    return float(np.mean([each.low <= one.value <= each.high for each in found]))


@pytest.mark.parametrize("estimator", [IPS, SNIPS, DOUBLY_ROBUST])
def test_intervals_hold_the_true_value(estimator: str) -> None:
    """About as often as they say."""
    assert 0.9 <= covered(world(3), estimator) <= 0.99


def test_what_the_logging_policy_brought_is_something_else() -> None:
    """The worlds would notice an estimate that forgets the weights."""
    assert covered(world(3), LOGGED) < 0.2


def test_a_model_alone_makes_up_for_wrong_propensities() -> None:
    """Doubly robust: with the true model and propensities twice too large it is right where IPS is not."""
    one, rng = world(4), np.random.default_rng(2)
    found = evaluate_policy(one.logged(rng, 40_000, one.reward, spoil=2.0)).estimates
    assert found[DOUBLY_ROBUST].mean == pytest.approx(one.value, abs=0.01)
    assert abs(found[IPS].mean - one.value) > 0.05


def test_a_model_makes_it_surer() -> None:
    """With the true model doubly robust has the narrower interval, and a wrong model leaves it right."""
    one = world(5)
    right, none = (
        evaluate_policy(one.logged(np.random.default_rng(3), 8_000, model)).estimates[DOUBLY_ROBUST]
        for model in (one.reward, None)
    )
    wrong = evaluate_policy(one.logged(np.random.default_rng(3), 40_000, 1 - one.reward)).estimates[DOUBLY_ROBUST]
    assert right.high - right.low < none.high - none.low
    assert wrong.low <= one.value <= wrong.high


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 5.0))
def test_sizes_are_what_weights_say(seed: int, clip: float) -> None:
    """The effective size is at most the number of weighted decisions; what is clipped is counted."""
    logged = world(seed % 7).logged(np.random.default_rng(seed), 50)
    found: OffPolicy = evaluate_policy(logged, clip, resamples=20)
    weight = np.minimum(logged.target / logged.propensity, clip)
    assert found.weighted == np.count_nonzero(weight)
    assert found.effective == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    assert found.effective <= found.weighted + 1e-9
    assert found.clipped == pytest.approx(np.mean(logged.target / logged.propensity > clip))


def test_the_same_policy_is_worth_what_was_seen() -> None:
    """All weights are 1: every estimate is the mean reward, and every decision counts whole."""
    one = world(6)._replace(target=world(6).logging)
    logged = one.logged(np.random.default_rng(4), 900)
    found = evaluate_policy(logged)
    for each in (IPS, SNIPS, DOUBLY_ROBUST, LOGGED):
        assert found.estimates[each].mean == pytest.approx(logged.reward.mean())
    assert found.effective == pytest.approx(900)


def test_nothing_in_common_is_said() -> None:
    """A target policy that shows nothing of what was shown has no weighted decision, and SNIPS no value."""
    nothing = Decisions(np.ones(4), np.full(4, 0.5), np.zeros(4), np.zeros(4), np.zeros(4), np.arange(4))
    found = evaluate_policy(nothing)
    assert (found.effective, found.weighted, found.clipped) == (0.0, 0, 0.0)
    assert np.isnan(found.estimates[SNIPS].mean)
    assert found.estimates[IPS].mean == 0.0


@pytest.mark.parametrize("propensity", [0.0, 1.5, -0.1])
def test_propensities_are_probabilities(propensity: float) -> None:
    """Anything else is refused, with what was found."""
    with pytest.raises(InputError, match="propensities from"):
        Decisions(np.ones(2), np.array([0.5, propensity]), np.ones(2), np.zeros(2), np.zeros(2), np.arange(2))


def test_no_decisions_and_no_clip_are_refused() -> None:
    """There is nothing to estimate, or nothing would be left."""
    with pytest.raises(InputError, match="no decision"):
        Decisions(*[np.zeros(0)] * 5, np.zeros(0, dtype=np.int64))
    with pytest.raises(InputError, match="clipped at"):
        evaluate_policy(world(1).logged(np.random.default_rng(0), 5), 0.0)
