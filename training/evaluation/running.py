"""One evaluation from files to a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.evaluation.asked import Asked, Protocol
from training.evaluation.evaluating import Evaluation, evaluate
from training.evaluation.inputs import Inputs, parse_cut, read_inputs
from training.evaluation.memory import MemoryWatch
from training.evaluation.protocols import Division, cut_in_time, leave_last_out, split
from training.evaluation.report import as_json, customer_metrics, require_writable, write_report
from training.fitting import TrainingConfig
from training.stages import StageLog
from training.tuning import TUNE_BUDGET


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and the same as `metrics.json` has it."""

    evaluation: Evaluation
    metrics: dict[str, Any]


def run(
    asked: Asked, config: TrainingConfig, folder: Path | None, stages: StageLog, budget: float = TUNE_BUDGET
) -> Report:
    """Reads, evaluates and, with a folder, writes the report into it.

    `budget` is for tuning, in seconds; 0 for the shipped settings. Raises InputError for files, options or data that do
    not fit and, before anything is read, for a folder that is there or cannot be made; NotEnoughDataError when there is
    too little to learn from. The folder is there afterwards with the whole report, or not at all.
    """
    if folder is not None:
        require_writable(folder)
    cut = None if asked.cut is None else parse_cut(asked.cut, asked.options)
    with MemoryWatch() as memory:
        with stages.stage("read"):
            inputs = read_inputs(asked.train, asked.test, asked.items, min(asked.rules.target), asked.options)
        read_seconds = stages.costs[-1].seconds
        divide = _divide(asked, inputs, cut, config.seed)
        evaluation = evaluate(divide, asked.rules, inputs.items, inputs.catalogue, asked.ks, config, budget, stages)
        peak = memory.peak_bytes(max(cost.peak_bytes for cost in stages.costs))
    metrics = as_json(evaluation, asked.to_json(), read_seconds, peak, inputs.notes)
    if folder is not None:
        write_report(folder, metrics, customer_metrics(evaluation))
    return Report(evaluation, metrics)


def _divide(asked: Asked, inputs: Inputs, cut: int | None, seed: int) -> Callable[[], Division]:
    target = asked.rules.target
    if asked.protocol is Protocol.SPLIT and inputs.test is not None:
        test = inputs.test
        return lambda: split(inputs.train, test, target, seed)
    if asked.protocol is Protocol.TIME and cut is not None:
        return lambda: cut_in_time(inputs.train, cut, target)
    return lambda: leave_last_out(inputs.train, target)
