"""Who is in which arm: the same for ever, in the right shares, and without a common luck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from recsys.experiments import Arm, Experiment, assign, experiment_on

CUSTOMERS = [f"customer-{number}" for number in range(40_000)]
THREE = (Arm(name="control", weight=1), Arm(name="b", weight=2), Arm(name="c", weight=5))
EXPERIMENT = Experiment(name="x", placement="home", arms=THREE, holdout=0.1, salt="x", starts=100, ends=200)


def arms_of(experiment: Experiment) -> list[str]:
    """The arm of each of many customers."""
    found = [assign(experiment, customer, 150) for customer in CUSTOMERS]
    return [arm.name for arm in found if arm is not None]


def test_arms_get_their_shares() -> None:
    """Chi-square of 40,000 customers against the shares, holdout included."""
    arms = arms_of(EXPERIMENT)
    shares = EXPERIMENT.shares
    assert (
        chisquare([arms.count(name) for name in shares], [len(arms) * share for share in shares.values()]).pvalue > 1e-3
    )


def test_experiments_share_no_luck() -> None:
    """What arm somebody is in says nothing of the arm of another experiment."""
    first, second = arms_of(EXPERIMENT), arms_of(replace(EXPERIMENT, salt="y"))
    names = list(EXPERIMENT.shares)
    table = np.zeros((4, 4))
    for one, other in zip(first, second, strict=True):
        table[names.index(one), names.index(other)] += 1
    assert chi2_contingency(table).pvalue > 1e-3


@given(customer=st.text(min_size=1, max_size=256), now=st.integers(100, 199), salt=st.text(min_size=1, max_size=9))
def test_the_arm_never_changes(customer: str, now: int, salt: str) -> None:
    """At any time, whatever the experiment is called and whoever else there is."""
    experiment = replace(EXPERIMENT, salt=salt)
    arm = assign(experiment, customer, 150)
    assert arm is not None
    assert assign(replace(experiment, name="renamed", placement="cart"), customer, now) == arm


def test_the_arm_of_some_customers() -> None:
    """A later release says what this one says: customers of a running experiment must not change sides."""
    expected = ["b", "holdout", "b", "b", "control", "c", "c", "b"]
    assert [assign(EXPERIMENT, f"c{number}", 150).name for number in range(8)] == expected  # type: ignore[union-attr]


def test_nobody_is_assigned_before_and_after() -> None:
    """From the start on, and not at the end any more."""
    found = [assign(EXPERIMENT, "ann", now) for now in (99, 100, 199, 200)]
    assert [arm is not None for arm in found] == [False, True, True, False]
    assert [experiment_on([EXPERIMENT], "home", now) for now in (99, 100, 200)] == [None, EXPERIMENT, None]
    assert experiment_on([EXPERIMENT], "cart", 150) is None


@pytest.mark.parametrize("holdout", [0.0, 0.02, 0.3])
def test_a_holdout_moves_nobody_between_arms(holdout: float) -> None:
    """It takes people out of arms, and a larger one takes those of the smaller one too."""
    before, after = arms_of(EXPERIMENT), arms_of(replace(EXPERIMENT, holdout=holdout))
    if holdout < 0.1:
        before, after = after, before
    assert all(now in (then, "holdout") for then, now in zip(before, after, strict=True))
    assert after.count("holdout") > before.count("holdout")
