"""From configurations to what each of them is worth: the same division, candidates and customers for all."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys import __version__
from training.evaluation.comparison import Comparison, Measured, conclude, measure
from training.evaluation.held_out import HeldOut, Rules, to_foresee, to_learn
from training.evaluation.leaks import after_fitting, before_fitting, refuse
from training.evaluation.listing import check_lists
from training.evaluation.modelling import fit_models, rank_all
from training.evaluation.protocols import moment
from training.evaluation.results import Setting
from training.evaluation.sweep.configurations import MODELS
from training.evaluation.sweep.kept import KeptLists, Listed
from training.fitting import UNTUNED, TrainingConfig, catalogue_digest, fingerprint
from training.stages import StageLog
from training.tuning import shipped

_COMPILE = "compile"


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found.

    Attributes
    ----------
    comparison : of the configurations by name, the first beside each other.
    configurations : what each says, as JSON.
    fit_seconds, list_microseconds : per configuration, the mean over windows.
    windows : where the tests lie, as text; empty where customers have their own cuts.
    reused : how many of all lists had been made before.
    """

    comparison: Comparison
    configurations: Mapping[str, Mapping[str, Any]]
    fit_seconds: Mapping[str, float]
    list_microseconds: Mapping[str, float]
    windows: tuple[str, ...]
    reused: int

    def to_json(self) -> dict[str, Any]:
        """As `metrics.json` of a sweep."""
        found = self.comparison.to_json()
        return {
            "configurations": dict(self.configurations),
            "customers": self.comparison.customers,
            "windows": list(self.windows),
            **found,
            "cost": {
                name: {"fit_seconds": self.fit_seconds[name], "list_microseconds": self.list_microseconds[name]}
                for name in self.configurations
            },
        }


def sweep(
    settings: Sequence[Setting],
    rules: Rules,
    ks: Sequence[int],
    configurations: Mapping[str, TrainingConfig],
    kept: KeptLists,
    stages: StageLog,
) -> Swept:
    """Fits and scores every configuration on every window; no settings are tuned.

    Lists that `kept` has are not made again. Differences are the first configuration's less each other's, paired by
    customer, and judged as those of a track: Holm's correction is over all configurations together.

    Raises InputError when a division does or nothing is left to foresee, NotEnoughDataError, and LeakError when models
    could have seen what they have to foresee.
    """
    threads = next(iter(configurations.values())).threads
    windows, listed, reused = [], [], 0
    for setting in settings:
        found, own = _window(setting, rules, ks, configurations, kept, stages)
        windows.append(found)
        listed.append(own)
        reused += sum(each.reused for each in own.values())
    with stages.stage("differences"):
        comparison = conclude(windows, next(iter(configurations.values())).seed)
    names = list(configurations)
    return Swept(
        comparison=comparison,
        configurations={name: _described(config) for name, config in configurations.items()},
        fit_seconds={name: float(np.mean([own[name].listed.fit_seconds for own in listed])) for name in names},
        list_microseconds={name: float(np.mean([own[name].microseconds(threads) for own in listed])) for name in names},
        windows=tuple(str(each.window) for each in settings if each.window is not None),
        reused=reused,
    )


@dataclass(frozen=True, slots=True)
class _Made:
    listed: Listed
    reused: bool

    def microseconds(self, threads: int) -> float:
        """Of a processor for one list."""
        return self.listed.list_seconds * threads / max(1, len(self.listed.ranked)) * 1e6


def _window(
    setting: Setting,
    rules: Rules,
    ks: Sequence[int],
    configurations: Mapping[str, TrainingConfig],
    kept: KeptLists,
    stages: StageLog,
) -> tuple[Measured, dict[str, _Made]]:
    with stages.stage("divide"):
        division = setting.divide()
        training = to_learn(division.test, rules, setting.offer.further)
        test = to_foresee(division.test, rules, training, setting.offer.showable(training))
        refuse(before_fitting(setting, division, training))
    catalogue = setting.offer.of(training)
    asked = _asked(test, catalogue, max(ks))
    made = {}
    for name, config in configurations.items():
        config = replace(config, target_kinds=rules.target, related=None)
        described = asked | {"config": config.described()}
        before = kept.read(kept.key(described))
        if before is None:
            listed = _listed(name, setting, test, catalogue, config, max(ks), stages)
            kept.write(kept.key(described), listed, described)
        made[name] = _Made(before or listed, before is not None)
    with stages.stage("score", len(made)):
        facts = setting.facts(test, division.test.rows)
        found = measure({name: each.listed.ranked for name, each in made.items()}, test, facts, ks)
    return found, made


def _listed(
    name: str,
    setting: Setting,
    test: HeldOut,
    catalogue: pl.DataFrame,
    config: TrainingConfig,
    limit: int,
    stages: StageLog,
) -> Listed:
    begin = len(stages.costs)
    bundle = fit_models(test.training, catalogue, shipped(config, UNTUNED["cause"]), stages)
    fitted = sum(cost.seconds for cost in stages.costs[begin:] if cost.name != _COMPILE)
    refuse(after_fitting(setting, test.training, bundle))
    with stages.stage(f"list {name}", len(test.row)):
        begun = time.perf_counter()
        ranked = rank_all(
            bundle, test.rules.placement, test.training, test.row, limit, config.threads, test.now, test.hidden,
            stages.progress.advance, test.showable,
        )  # fmt: skip
        seconds = time.perf_counter() - begun
    return Listed(check_lists(name, ranked, test), fitted, seconds)


def _asked(test: HeldOut, catalogue: pl.DataFrame, limit: int) -> dict[str, object]:
    """All that decides the lists, but for the configuration."""
    every = np.ones(len(test.training.items), dtype=np.bool_) if test.showable is None else test.showable
    return {
        "software": __version__,
        "training": fingerprint(test.training),
        "catalogue": catalogue_digest(catalogue),
        "customers": KeptLists.key({"ids": test.customer_ids.to_list()}),
        "showable": _digest(every),
        "masked": _digest(test.masked.indptr, test.masked.indices),
        "until": None if test.until is None else moment(test.until),
        "rules": repr((sorted(test.rules.visible or ()), str(test.rules.repeats), sorted(test.rules.mask))),
        "limit": limit,
    }


def _digest(*arrays: npt.NDArray[np.generic]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _described(config: TrainingConfig) -> dict[str, Any]:
    """The settings that may differ, as JSON."""
    told: dict[str, Any] = {name: asdict(getattr(config, name)) for name in MODELS}
    return told | {"blend": config.blend.to_json(), "other_targets": config.other_targets}
