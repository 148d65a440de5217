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
from recsys.metrics.uncertainty import Interval
from recsys.stores.frames import behaviour, event_table
from training.evaluation.asked import Asked, Protocol
from training.evaluation.comparison import Scored
from training.evaluation.data_checks import DataCheck
from training.evaluation.inputs import Inputs
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
