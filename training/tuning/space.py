"""What is tuned: every parameter with its range, where it starts, and how it is put into a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsys.data.events import KIND_BY_CODE, EventKind
from recsys.data.interactions import Interactions
from recsys.data.signals import UNKNOWN_TIME, EventWeights, KindWeight
from training.fitting import TrainingConfig

VERSION = 2
"""Raised when parameters or their meaning change: older records are then no starting point."""

Fading = tuple[float | None, float]
"""A half-life in steps (None: no fading by steps), and a factor on the half-lives in days."""

FADINGS: tuple[Fading, ...] = (
    (None, 1.0), (32.0, 1.0), (16.0, 1.0), (10.0, 1.0), (6.0, 1.0), (4.0, 1.0), (2.5, 1.0), (1.5, 1.0),
)  # fmt: skip
"""What trials look at, as it needs no new fit."""

SHIPPED_FADING: Fading = (EventWeights().half_life_steps, 1.0)

TIMED_FADINGS: tuple[Fading, ...] = ((None, 5.0), (10.0, 0.3), (None, 0.2), (16.0, 0.2))
"""Further ones, where times are known."""

LEAST_EVENTS, LEAST_SHARE = 200, 0.005
"""A kind of which there are fewer events than both, in all and as a share of all, keeps its weight."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a history offers to be tuned.

    Attributes
    ----------
    ordered : some customer has items at more than one reading of their clock.
    timed : at least half of the events have a time.
    others : further kinds of events that carry taste and are common, beside those to predict; ascending.
    target : whether an event of a kind to predict is seen.
    """

    ordered: bool
    timed: bool
    others: tuple[EventKind, ...]
    target: bool


def shape_of(history: Interactions, config: TrainingConfig) -> Shape:
    """What can be tuned on this history."""
    counts = np.bincount(history.kind, minlength=max(KIND_BY_CODE) + 1)
    common = {
        KIND_BY_CODE[code]
        for code in np.flatnonzero(counts >= max(1, min(LEAST_EVENTS, LEAST_SHARE * len(history)))).tolist()
    }
    weighted = {kind for kind, entry in config.event_weights.kinds.items() if entry.weight > 0}
    same = (history.row[1:] == history.row[:-1]) & (history.item[1:] != history.item[:-1])
    later = (history.timestamp[1:] != history.timestamp[:-1]) | (history.position[1:] != history.position[:-1])
    return Shape(
        ordered=bool(np.any(same & later)),
        timed=2 * int(np.count_nonzero(history.timestamp != UNKNOWN_TIME)) >= len(history),
        others=tuple(sorted(common & weighted - config.target_kinds)),
        target=bool(common & config.target_kinds),
    )


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number that trials vary between `low` and `high`, on a logarithmic scale or not.

    `read` takes its value out of a configuration, `write` puts one in.
    """

    name: str
    low: float
    high: float
    log: bool
    read: Callable[[TrainingConfig], float]
    write: Callable[[TrainingConfig, float], TrainingConfig]

    def nearest(self, value: float) -> float:
        """The value within the range that is nearest."""
        return float(np.clip(value, self.low, self.high))


def parameters(shape: Shape) -> tuple[Parameter, ...]:
    """What to vary for a history of this shape."""
    found = [_of_item_item("penalty", 1.0, 200.0, log=True), _of_item_item("customer_exponent", 0.0, 1.0)]
    found += [_of_item_item("dropout", 0.0, 0.7), _of_item_item("item_exponent", 0.0, 0.3)]
    if shape.ordered:
        found += [_of_item_item("after", 0.6, 1.0), _of_item_item("before", 0.0, 1.0)]
    if shape.others:
        found += [_of_kind(kind) for kind in shape.others]
    if shape.others and shape.target:
        found.append(
            Parameter(
                "other_targets",
                0.0,
                1.0,
                False,
                lambda config: config.other_targets,
                lambda config, value: replace(config, other_targets=value),
            )
        )
    return tuple(found)


def fading_from_json(data: Sequence[float | None]) -> Fading:
    """A fading as JSON has it; ValueError or TypeError for anything else."""
    steps, days = data
    return None if steps is None else float(steps), float(days)  # type: ignore[arg-type]


def fadings(shape: Shape) -> tuple[Fading, ...]:
    """The ways in which tastes may fade that every trial looks at."""
    ordered = FADINGS if shape.ordered else FADINGS[:1]
    return ordered + TIMED_FADINGS if shape.ordered and shape.timed else ordered


def faded(weights: EventWeights, half_life_steps: float | None, days: float) -> EventWeights:
    """The weights with this half-life in steps, and half-lives in days times a factor."""
    kinds = {
        kind: KindWeight(entry.weight, None if entry.half_life_days is None else entry.half_life_days * days)
        for kind, entry in weights.kinds.items()
    }
    return replace(weights, kinds=kinds, half_life_steps=half_life_steps)


def settings_of(config: TrainingConfig, varied: tuple[Parameter, ...]) -> dict[str, float]:
    """Where a configuration stands, within the ranges."""
    return {each.name: each.nearest(each.read(config)) for each in varied}


def applied(config: TrainingConfig, varied: tuple[Parameter, ...], settings: Mapping[str, float]) -> TrainingConfig:
    """The configuration with these settings; parameters that are not named stay."""
    for each in varied:
        if each.name in settings:
            config = each.write(config, settings[each.name])
    return config


def presets(varied: tuple[Parameter, ...]) -> list[dict[str, float]]:
    """Settings worth a trial in any shop, by what they say of its customers: that any interest counts as much as a
    purchase, or much less; that the next item matters most; that more, or less, is to be made of little evidence."""
    names = {each.name for each in varied}
    kinds = {name: 1.0 for name in names if name.startswith("weight.")}
    found: list[dict[str, float]] = []
    if kinds:
        found.append(kinds | {"other_targets": 1.0})
    if "after" in names:
        found.append(kinds | {"after": 0.85, "before": 0.3})
    found.append({"penalty": 15.0, "customer_exponent": 0.5, "dropout": 0.3})
    if kinds:
        found.append(dict.fromkeys(kinds, 0.3) | {"other_targets": 0.3})
    found.append({"item_exponent": 0.1})
    found.append({"penalty": 30.0, "customer_exponent": 0.2, "dropout": 0.3})
    return [{name: value for name, value in each.items() if name in names} for each in found]


def _of_item_item(name: str, low: float, high: float, *, log: bool = False) -> Parameter:
    return Parameter(
        name,
        low,
        high,
        log,
        lambda config: float(getattr(config.item_item, name)),
        lambda config, value: replace(config, item_item=config.item_item.varied(name, value)),
    )


def _of_kind(kind: EventKind) -> Parameter:
    """The weight of one event of a kind."""

    def write(config: TrainingConfig, value: float) -> TrainingConfig:
        weights = config.event_weights
        kinds = dict(weights.kinds) | {kind: replace(weights.kinds[kind], weight=value)}
        return replace(config, event_weights=replace(weights, kinds=kinds))

    return Parameter(f"weight.{kind}", 0.0, 1.5, False, lambda config: config.event_weights.kinds[kind].weight, write)
