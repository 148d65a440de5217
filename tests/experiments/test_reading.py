"""What the file of placements may say about experiments, and what it is told when it says something else."""

from __future__ import annotations

import tomllib

import pytest

from recsys.errors import InputError
from recsys.experiments import Arm, Experiment, experiments_from
from recsys.outcomes.metric import Metric

PLACEMENTS = ("default", "home", "home-bold")
ARMS = 'arms = { control = { placement = "home" }, bolder = { placement = "home-bold" } }'
HOME = f'[experiments.winter]\nplacement = "home"\n{ARMS}\n'


def read(text: str, bundles: list[str] | None = None) -> tuple[Experiment, ...]:
    """The experiments of a file that says nothing else."""
    return experiments_from(tomllib.loads(text)["experiments"], PLACEMENTS, bundles)


def test_all_that_may_be_said() -> None:
    """Every key, and times with and without a zone."""
    text = """
    [experiments.winter]
    placement = "home"
    control = "old"
    holdout = 0.05
    starts = 2026-12-01
    ends = 2026-12-31T08:00:00+01:00
    salt = "s"
    primary = "revenue"
    smallest_lift = 0.02
    window_days = 14
    [experiments.winter.arms]
    old = { placement = "home", weight = 3 }
    new = { bundle = "b1" }
    """
    assert read(text, ["b1"]) == (
        Experiment(
            name="winter",
            placement="home",
            arms=(Arm(name="old", placement="home", weight=3.0), Arm(name="new", bundle="b1")),
            control="old",
            holdout=0.05,
            starts=1_796_083_200_000,
            ends=1_798_700_400_000,
            salt="s",
            primary=Metric.REVENUE,
            smallest_lift=0.02,
            window_days=14,
        ),
    )


def test_what_is_not_said() -> None:
    """The salt is the name, weights are equal, and it runs always."""
    (experiment,) = read(HOME)
    assert (experiment.salt, experiment.holdout, experiment.primary) == ("winter", 0.0, Metric.PURCHASES)
    assert experiment.shares == {"control": 0.5, "bolder": 0.5}
    assert experiment.runs(0)
    assert experiment.runs(2**50)


def test_shares_sum_to_one() -> None:
    """The holdout is taken from everybody, the arms share the rest."""
    (experiment,) = read(HOME.replace('"home-bold" }', '"home-bold", weight = 3 }') + "holdout = 0.2")
    assert experiment.shares == pytest.approx({"control": 0.2, "bolder": 0.6, "holdout": 0.2})


def test_one_arm_beside_a_holdout_is_a_comparison() -> None:
    """What recommendations bring at all is asked this way."""
    (experiment,) = read(
        '[experiments.x]\nplacement = "home"\nholdout = 0.1\narms = { control = { placement = "home" } }'
    )
    assert list(experiment.shares) == ["control", "holdout"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("unknown = 1", r"experiments\.winter\.unknown: an unknown key.*placement, arms"),
        ("holdout = 1", r"experiments\.winter\.holdout: 1"),
        ("holdout = nan", r"experiments\.winter\.holdout: nan.*a number"),
        ("holdout = true", r"experiments\.winter\.holdout: True"),
        ('starts = "tomorrow"', r"experiments\.winter\.starts: 'tomorrow'.*2026-12-01"),
        ("starts = 2026-12-02\nends = 2026-12-02", r"experiments\.winter\.ends: an end at or before"),
        ('control = "none"', r"experiments\.winter\.control: the arm 'none'.*control, bolder"),
        ('salt = ""', r"experiments\.winter\.salt: 0 characters"),
        ('primary = "luck"', r"experiments\.winter\.primary: the metric 'luck'.*revenue"),
        ("smallest_lift = 0", r"experiments\.winter\.smallest_lift: 0"),
        ("window_days = 0", r"experiments\.winter\.window_days: 0"),
        ("window_days = 1.5", r"experiments\.winter\.window_days: 1\.5"),
    ],
)
def test_a_key_that_does_not_fit(line: str, told: str) -> None:
    """Each is refused with its key and what is expected."""
    with pytest.raises(InputError, match=told):
        read(f"{HOME}{line}\n")


@pytest.mark.parametrize(
    ("arms", "told"),
    [
        ("", r"arms: nothing.*a table"),
        ("arms = {}", r"arms: 0 arms"),
        ('arms = { control = { placement = "home" } }', r"arms: 1 arm and no holdout"),
        ('arms = { control = { placement = "gone" }, b = { placement = "home" } }', r"arms\.control\.placement: "),
        ('arms = { control = { placement = "home" }, b = {} }', r"arms\.b: an arm that names neither"),
        ('arms = { control = { placement = "home" }, b = { bundle = "no" } }', r"arms\.b\.bundle: the bundle 'no'"),
        ('arms = { control = { placement = "home", weight = 0 }, b = { placement = "home" } }', r"arms\.control\."),
        ('arms = { control = { placement = "home" }, holdout = { placement = "home" } }', r"arms\.holdout: an arm"),
        ('arms = { control = { placement = "home" }, B = { placement = "home" } }', r"arms\.B: the name 'B'"),
        ('arms = { control = { placement = "home" }, b = { place = "home" } }', r"arms\.b\.place: an unknown key"),
    ],
)  # fmt: skip
def test_arms_that_do_not_fit(arms: str, told: str) -> None:
    """Each is refused with its key and what is expected."""
    with pytest.raises(InputError, match=rf"experiments\.winter\.{told}"):
        read(f'[experiments.winter]\nplacement = "home"\n{arms}\n', ["b1"])


def test_a_placement_that_does_not_exist() -> None:
    """Nobody would ever be in the experiment."""
    with pytest.raises(InputError, match=r"experiments\.winter\.placement: the placement 'cart'"):
        read(HOME.replace('placement = "home"\n', 'placement = "cart"\n', 1))


def test_two_at_once_on_one_placement_are_refused() -> None:
    """One after the other is fine, and so are two on different placements."""
    second = HOME.replace("winter", "spring")
    with pytest.raises(InputError, match=r"experiments\.spring: .*while winter runs"):
        read(HOME + second)
    after = read(f"{HOME}ends = 2026-12-31\n{second}starts = 2026-12-31\n")
    assert [each.name for each in after] == ["winter", "spring"]
    beside = read(HOME + second.replace('placement = "home"\n', 'placement = "default"\n', 1))
    assert [each.placement for each in beside] == ["home", "default"]


def test_two_at_once_with_one_salt_are_refused() -> None:
    """They would put the same people into the first arm of both."""
    second = HOME.replace("winter", "spring").replace('placement = "home"\n', 'placement = "default"\n', 1)
    with pytest.raises(InputError, match=r"experiments\.spring\.salt"):
        read(f'{HOME}salt = "same"\n{second}salt = "same"\n')


@pytest.mark.parametrize("weight", ["1e308", "1e-320", "0", "-1", "1" + "0" * 400])
def test_weights_that_make_no_shares_are_refused(weight: str) -> None:
    """Two arms of 1e308 sum to infinity: everybody would be in the last one."""
    arms = f'arms = {{ control = {{ placement = "home", weight = {weight} }}, new = {{ placement = "home-bold" }} }}'
    with pytest.raises(InputError, match=r"winter\.arms\.control\.weight"):
        read(HOME.replace(ARMS, arms))


def test_a_time_of_no_year_in_utc_is_refused() -> None:
    """The last second of the year 9999 lies in the year 10000 of UTC, west of Greenwich."""
    with pytest.raises(InputError, match=r"winter\.ends"):
        read(f"{HOME}ends = 9999-12-31T23:59:59-05:00\n")
