"""Experiments as the file of placements says them."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations
from typing import Final, NoReturn

from recsys.errors import InputError
from recsys.experiments.definition import CONTROL, HOLDOUT, SMALLEST_LIFT, WINDOW_DAYS, Arm, Experiment
from recsys.outcomes.metric import Metric

MAX_SALT_LENGTH = 256
MAX_ARMS = 20
MOST_WEIGHT: Final = 1e6
"""Of an arm. Shares are sums and ratios of weights: of numbers without bounds these mean nothing."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")
_NAMED: Final = "1 to 64 of a-z, 0-9, `_` and `-`"
_KEYS: Final = (
    "placement", "arms", "control", "holdout", "starts", "ends", "salt", "primary", "smallest_lift", "window_days",
)  # fmt: skip
_ARM_KEYS: Final = ("placement", "bundle", "weight")
_LONGEST_WINDOW = 365


def experiments_from(
    table: Mapping[str, object], known_placements: Collection[str], known_bundles: Collection[str] | None = None
) -> tuple[Experiment, ...]:
    """The experiments of a file's table `[experiments]`, parsed as TOML, in its order.

    Parameters
    ----------
    known_placements : the names that an experiment and its arms may refer to.
    known_bundles : the ids of published bundles; None does not check them.

    Raises InputError for the first thing that does not fit; it begins with the key, as `experiments.winter.arms`.

    Two experiments on one placement may not run at the same time: an arm is a whole placement or bundle, so of two
    that both want to replace one only one could. On different placements they run side by side, each with its own
    salt; a common one would put the same people into the first arm of both.
    """
    experiments = tuple(_experiment(name, said, known_placements, known_bundles) for name, said in table.items())
    for first, second in combinations(experiments, 2):
        if not first.overlaps(second):
            continue
        key = f"experiments.{second.name}"
        if first.placement == second.placement:
            _refuse(
                key,
                f"an experiment on the placement {second.placement} while {first.name} runs there",
                "one experiment at a time on a placement",
                "let one end (`ends`) before the other starts (`starts`), or make their arms those of one experiment",
            )
        if first.salt == second.salt:
            _refuse(f"{key}.salt", f"the salt of {first.name}, which runs at the same time", "a salt of its own")
    return experiments


def _experiment(
    name: str, said: object, known_placements: Collection[str], known_bundles: Collection[str] | None
) -> Experiment:
    key = f"experiments.{name}"
    if not _NAME.fullmatch(name):
        _refuse(key, f"the name {name!a}", _NAMED)
    fields = _table(key, said, _KEYS)
    placement = _known(f"{key}.placement", fields.get("placement"), known_placements, "placement")
    holdout = _number(f"{key}.holdout", fields.get("holdout", 0.0))
    if not 0 <= holdout < 1:
        _refuse(f"{key}.holdout", f"{holdout:g}", "a share of all customers, from 0 to below 1")
    arms = _arms(f"{key}.arms", fields.get("arms"), known_placements, known_bundles)
    if len(arms) + (holdout > 0) < 2:
        _refuse(f"{key}.arms", f"{len(arms)} arm and no holdout", "two arms or more, or one beside a holdout")
    control = _text(f"{key}.control", fields.get("control", CONTROL))
    names = [arm.name for arm in arms]
    if control not in names:
        _refuse(
            f"{key}.control", f"the arm {control!a}, which does not exist", f"one of {', '.join(names)}",
            f'call an arm `{CONTROL}`, or say which one the others are compared with: control = "{names[0]}"',
        )  # fmt: skip
    starts, ends = (_moment(f"{key}.{field}", fields.get(field)) for field in ("starts", "ends"))
    if starts is not None and ends is not None and ends <= starts:
        _refuse(f"{key}.ends", "an end at or before the start", "a time after `starts`")
    salt = _text(f"{key}.salt", fields.get("salt", name))
    if not 1 <= len(salt) <= MAX_SALT_LENGTH:
        _refuse(f"{key}.salt", f"{len(salt)} characters", f"1 to {MAX_SALT_LENGTH}")
    primary = _known(f"{key}.primary", fields.get("primary", str(Metric.PURCHASES)), list(Metric), "metric")
    lift = _number(f"{key}.smallest_lift", fields.get("smallest_lift", SMALLEST_LIFT))
    if not 0 < lift <= 1:
        _refuse(f"{key}.smallest_lift", f"{lift:g}", "a share above 0, at most 1: 0.05 is five percent")
    window = fields.get("window_days", WINDOW_DAYS)
    if not isinstance(window, int) or isinstance(window, bool) or not 1 <= window <= _LONGEST_WINDOW:
        _refuse(f"{key}.window_days", f"{window!a}", f"a whole number of days from 1 to {_LONGEST_WINDOW}")
    return Experiment(
        name=name,
        placement=placement,
        arms=arms,
        control=control,
        holdout=holdout,
        starts=starts,
        ends=ends,
        salt=salt,
        primary=Metric(primary),
        smallest_lift=lift,
        window_days=window,
    )


def _arms(
    key: str, said: object, known_placements: Collection[str], known_bundles: Collection[str] | None
) -> tuple[Arm, ...]:
    table = _table(key, said, None)
    if not 1 <= len(table) <= MAX_ARMS:
        _refuse(key, f"{len(table)} arms", f"1 to {MAX_ARMS}")
    return tuple(_arm(f"{key}.{name}", name, arm, known_placements, known_bundles) for name, arm in table.items())


def _arm(
    key: str, name: str, said: object, known_placements: Collection[str], known_bundles: Collection[str] | None
) -> Arm:
    if not _NAME.fullmatch(name):
        _refuse(key, f"the name {name!a}", _NAMED)
    if name == HOLDOUT:
        _refuse(key, f"an arm called {HOLDOUT}", "another name", f"say the holdout's share as `{HOLDOUT} = 0.05`")
    fields = _table(key, said, _ARM_KEYS)
    placement = bundle = None
    if "placement" in fields:
        placement = _known(f"{key}.placement", fields["placement"], known_placements, "placement")
    if "bundle" in fields:
        bundle = _text(f"{key}.bundle", fields["bundle"])
        if known_bundles is not None:
            bundle = _known(f"{key}.bundle", bundle, known_bundles, "bundle")
    if placement is None and bundle is None:
        _refuse(key, "an arm that names neither a placement nor a bundle", "one of the two, or both")
    weight = _number(f"{key}.weight", fields.get("weight", 1.0))
    if not 1 / MOST_WEIGHT <= weight <= MOST_WEIGHT:
        expected = f"a number above 0, from {1 / MOST_WEIGHT:g} to {MOST_WEIGHT:,.0f}"
        _refuse(f"{key}.weight", f"{weight:g}", expected, "leave out an arm that nobody is to see")
    return Arm(name=name, placement=placement, bundle=bundle, weight=weight)


def _refuse(key: str, found: str, expected: str, remedy: str = "") -> NoReturn:
    raise InputError(f"{key}: {found}", expected=expected, remedy=remedy)


def _table(key: str, said: object, keys: Collection[str] | None) -> Mapping[str, object]:
    if not isinstance(said, Mapping):
        _refuse(key, "nothing" if said is None else f"{said!a}", "a table")
    for name in said:
        if keys is not None and name not in keys:
            _refuse(f"{key}.{name}", "an unknown key", f"one of {', '.join(keys)}")
    return said


def _text(key: str, said: object) -> str:
    if not isinstance(said, str):
        _refuse(key, "nothing" if said is None else f"{said!a}", "a text")
    return said


def _known(key: str, said: object, known: Collection[str], noun: str) -> str:
    text = _text(key, said)
    if text not in known:
        _refuse(key, f"the {noun} {text!a}, which does not exist", f"one of {', '.join(sorted(known))}")
    return text


def _number(key: str, said: object) -> float:
    # Whole numbers of any length are TOML; those beyond all floats are none here.
    if not isinstance(said, int | float) or isinstance(said, bool) or not abs(said) <= sys.float_info.max:
        _refuse(key, "nothing" if said is None else f"{said!a}", "a number")
    return float(said)


def _moment(key: str, said: object) -> int | None:
    """Milliseconds UTC of a TOML date (its first moment) or time; what names no zone is UTC."""
    if said is None:
        return None
    if isinstance(said, datetime):
        moment = said if said.tzinfo is not None else said.replace(tzinfo=UTC)
    elif isinstance(said, date):
        moment = datetime.combine(said, time(), UTC)
    else:
        _refuse(key, f"{said!a}", "a date such as 2026-12-01, or a time such as 2026-12-01T08:00:00Z")
    try:
        return (moment.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
    except OverflowError:
        _refuse(key, f"{said!a}", "a time in the years 1 to 9999, in UTC too")
