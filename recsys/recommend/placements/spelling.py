"""A placement in the words of the file: rule by rule, as TOML."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import orjson

from recsys.experiments import Experiment
from recsys.recommend.placement import DEFAULT_PLACEMENT, Fallback, Placement
from recsys.recommend.placements.dates import spelled_moment
from recsys.recommend.placements.words import HIDDEN_BY_REPEAT, NAME


def text_of(value: str) -> str:
    """A text as TOML writes it."""
    # JSON's strings are TOML's basic strings, but for DEL, which TOML wants escaped.
    return orjson.dumps(value).decode().replace("\x7f", "\\u007f")


def spelled(placement: Placement) -> dict[str, str]:
    """The rules that differ from those of a placement that says nothing, by their keys; the same for equal lists."""
    found: dict[str, str] = {}
    if placement.weights is not None:
        found["sources"] = _table({name: repr(float(weight)) for name, weight in sorted(placement.weights)})
    elif placement.sources is not None:
        found["sources"] = _list(map(text_of, sorted(placement.sources)))
    if placement.fallback != (Fallback.POPULAR,):
        found["fallback"] = _list(map(text_of, placement.fallback))
    if placement.where is not None:
        found["filter"] = _expression(placement.where)
    found |= _repeat(placement)
    if placement.minimum_relevance:
        found["minimum_relevance"] = repr(float(placement.minimum_relevance))
    found |= _after_ranking(placement)
    return found


def placement_toml(placement: Placement) -> str:
    """The whole table of a placement."""
    rules = [f"{key} = {value}\n" for key, value in spelled(placement).items()]
    return f"[placements.{placement.name}]\n{''.join(rules)}"


def experiment_rules(experiment: Experiment) -> dict[str, str]:
    """What an experiment says, key by key."""
    arms = {}
    for arm in experiment.arms:
        names = {"placement": arm.placement, "bundle": arm.bundle}
        said = {key: text_of(name) for key, name in names.items() if name is not None}
        arms[arm.name] = _table(said | {"weight": repr(arm.weight)})
    moments = {"starts": experiment.starts, "ends": experiment.ends}
    return {
        "placement": text_of(experiment.placement),
        "arms": _table(arms),
        "control": text_of(experiment.control),
        "holdout": repr(experiment.holdout),
        **{key: spelled_moment(at) for key, at in moments.items() if at is not None},
        "salt": text_of(experiment.salt),
        "primary": text_of(experiment.primary),
        "smallest_lift": repr(experiment.smallest_lift),
        "window_days": str(experiment.window_days),
    }


def policy_version(placement: Placement) -> int:
    """A number that is the same for the same rules, and else another one: lists that were made by rules that changed
    and changed back count again, and those of placements that stayed the same count on."""
    rules = spelled(placement)
    if not rules:
        return DEFAULT_PLACEMENT.version
    content = orjson.dumps(rules, option=orjson.OPT_SORT_KEYS)
    return int.from_bytes(hashlib.sha256(content).digest()[:6], "big")


def _repeat(placement: Placement) -> dict[str, str]:
    kinds = placement.mask_kinds
    if not placement.only_again and kinds == HIDDEN_BY_REPEAT["allowed"]:
        return {"repeat": text_of("allowed")}
    found = {"repeat": text_of("only")} if placement.only_again else {}
    if kinds != HIDDEN_BY_REPEAT["only" if placement.only_again else "never"]:
        found["hide_after"] = _list(map(text_of, sorted(kinds)))
    return found


def _after_ranking(placement: Placement) -> dict[str, str]:
    """What happens to the ranked list."""
    found: dict[str, str] = {}
    if placement.diversity:
        rules = [{"by": text_of(rule.by), "at_most": str(rule.at_most)} for rule in placement.diversity]
        found["diversity"] = _list(map(_table, rules))
    if placement.rotation is not None:
        rotation = placement.rotation
        found["rotation"] = _table(
            {"after": str(rotation.after), "step": str(rotation.step), "days": str(rotation.days)}
        )
    if placement.exploration is not None:
        explore = placement.exploration
        found["explore"] = _table({"share": repr(float(explore.share)), "cost": repr(float(explore.cost))})
    if placement.pins:
        found["pins"] = _list(
            _table({"item": text_of(pin.item_id), "slot": str(pin.slot)} | _period(pin.starts, pin.ends))
            for pin in placement.pins
        )
    if placement.boosts:
        found["boosts"] = _list(
            _table(
                {"where": _expression(boost.where), "factor": repr(float(boost.factor))}
                | _period(boost.starts, boost.ends)
            )
            for boost in placement.boosts
        )
    return found


def _expression(where: str) -> str:
    """An attribute alone is in brackets: it would be the name of a saved filter."""
    return text_of(f"({where})" if NAME.fullmatch(where) else where)


def _period(starts: int | None, ends: int | None) -> dict[str, str]:
    moments = {"from": starts, "until": ends}
    return {key: spelled_moment(at) for key, at in moments.items() if at is not None}


def _list(elements: Iterable[str]) -> str:
    return f"[{', '.join(elements)}]"


def _table(values: Mapping[str, str]) -> str:
    inside = ", ".join(f"{key} = {value}" for key, value in values.items())
    return f"{{ {inside} }}"
