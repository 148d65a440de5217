"""What `metrics.json` holds beside the numbers of the track that was asked for."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from recsys import __version__
from recsys.data.interactions import Interactions
from recsys.data.signals import MS_PER_DAY
from recsys.stores.frames import behaviour, event_table
from training.evaluation.asked import Asked, Protocol
from training.evaluation.data_checks import DataCheck
from training.evaluation.inputs import Inputs
from training.evaluation.pooling import pooled_track
from training.evaluation.protocols import moment
from training.evaluation.results import TRACKS, Evaluation, Pooled, Track, WindowResult
from training.fitting import fingerprint

SCHEMA = 2
LIBRARIES = ("numpy", "scipy", "polars", "numba", "scikit-learn", "implicit")
"""Whose versions can change a number."""


def sections(evaluation: Evaluation, checked: Sequence[DataCheck]) -> dict[str, Any]:
    """`schema`, `tracks`, `windows`, `checks` and `cost`."""
    leaks = [
        check.to_json() | ({} if len(evaluation.windows) == 1 else {"window": _cut(window)})
        for window in evaluation.windows
        for check in window.leaks
    ]
    return {
        "schema": SCHEMA,
        "tracks": {name: _track(repeats, evaluation.pooled[repeats]) for name, repeats in TRACKS.items()},
        "windows": [_window(each, evaluation) for each in evaluation.windows if each.setting.window is not None],
        "checks": {"leaks": leaks, "data": [check.to_json() for check in checked]},
        "cost": _cost(evaluation.windows),
    }


def _track(repeats: str, found: Pooled | str) -> dict[str, Any]:
    if isinstance(found, str):
        return {"repeats": repeats, "customers": 0, "test_pairs": 0, "cause": found}
    return {
        "repeats": repeats,
        "customers": found.customers.height,
        "test_pairs": int(found.customers["test_items"].sum()),
        **found.comparison.to_json(),
        "causes": dict(found.causes),
    }


def _window(window: WindowResult, evaluation: Evaluation) -> dict[str, Any]:
    """One window as `tracks` has all of them, without slices and curves."""
    tracks = {}
    for name, repeats in TRACKS.items():
        found = window.tracks[repeats]
        alone = (
            evaluation.pooled[repeats]
            if len(evaluation.windows) == 1
            else pooled_track([found], evaluation.manifest.seed)
        )
        tracks[name] = {key: each for key, each in _track(repeats, alone).items() if key not in ("slices", "curves")}
    asked = {
        customer for found in window.tracks.values() if isinstance(found, Track) for customer in found.test.customer_ids
    }
    at = window.setting.window
    return {
        "cut": _cut(window),
        "until": None if at is None else moment(at.until),
        "customers": len(asked),
        "items": window.candidates,
        "tracks": tracks,
    }


def _cut(window: WindowResult) -> str | None:
    return None if window.setting.window is None else moment(window.setting.window.cut)


def _cost(windows: Sequence[WindowResult]) -> dict[str, dict[str, float | None]]:
    """Per model the mean over windows; None where fitting it cannot be told apart, or is no matter of this run."""
    names = dict.fromkeys(name for window in windows for name in window.list_microseconds)

    def mean(each: Sequence[Mapping[str, float]], name: str) -> float | None:
        there = [spent[name] for spent in each if name in spent]
        return sum(there) / len(there) if there else None

    return {
        name: {
            "fit_seconds": mean([each.fit_seconds for each in windows], name),
            "list_microseconds": mean([each.list_microseconds for each in windows], name),
        }
        for name in names
    }


def reproduced(asked: Asked, inputs: Inputs, evaluation: Evaluation, command: Sequence[str]) -> dict[str, Any]:
    """What it takes to run the evaluation again: the command, with the windows that it found, and on what."""
    windows = [each.setting.window for each in evaluation.windows if each.setting.window is not None]
    pinned = [*command]
    if command and asked.protocol is Protocol.TIME:
        # A store grows, and with it the windows that nobody named.
        if asked.cut is None:
            pinned += ["--cut", moment(windows[0].cut)]
        if asked.days is None:
            pinned += ["--days", repr((windows[0].until - windows[0].cut) / MS_PER_DAY)]
    return {
        "command": shlex.join(pinned) if pinned else None,
        "software": __version__,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
        "seed": evaluation.manifest.seed,
        "data": fingerprint(Interactions.from_events(event_table(behaviour(inputs.train)))),
        "cuts": [{"cut": moment(each.cut), "until": moment(each.until)} for each in windows],
    }
