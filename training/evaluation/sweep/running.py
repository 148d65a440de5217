"""A sweep from a file of configurations and a history to what `metrics.json` of it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.evaluation.asked import Asked
from training.evaluation.inputs import parse_cut
from training.evaluation.running import read_asked, settings_of
from training.evaluation.sweep.configurations import read_configurations
from training.evaluation.sweep.kept import KeptLists
from training.evaluation.sweep.sweeping import sweep
from training.fitting import TrainingConfig
from training.stages import StageLog

KEPT_SUFFIX = ".kept"
"""What is finished lies in a folder beside the file, so named: a sweep that is run again goes on with it."""


def run_sweep(path: Path, asked: Asked, config: TrainingConfig, stages: StageLog) -> dict[str, Any]:
    """Reads, fits and scores every configuration.

    Raises InputError for the file of configurations, before anything is read, and what `running.run` raises.
    """
    configurations = read_configurations(path, config)
    cut = None if asked.cut is None else parse_cut(asked.cut, asked.options)
    with stages.stage("read"):
        inputs = read_asked(asked)
    rules = asked.rules.settled(inputs.predicted, inputs.masked)
    settings = settings_of(asked, inputs, rules, cut, config.seed)
    kept = KeptLists(path.with_name(path.name + KEPT_SUFFIX))
    found = sweep(settings, rules, asked.ks, configurations, kept, stages)
    return found.to_json() | {
        "config": asked.to_json(rules),
        "reused": found.reused,
        "notes": list(inputs.notes),
        "seed": config.seed,
    }
