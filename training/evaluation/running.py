"""One evaluation from files, or a shop's store, to a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.bundle import ModelBundle
from training.evaluation.asked import Asked, Protocol
from training.evaluation.candidates import Offer
from training.evaluation.closeups import closeups
from training.evaluation.data_checks import data_checks
from training.evaluation.evaluating import Evaluation, Setting, evaluate
from training.evaluation.held_out import Rules
from training.evaluation.inputs import PREDICTED, Inputs, parse_cut, read_inputs, read_store
from training.evaluation.leaks import future_across_customers
from training.evaluation.memory import MemoryWatch
from training.evaluation.protocols import cut_in_time, leave_last_out, moment, split
from training.evaluation.report import as_json, customer_metrics, require_writable, write_report
from training.evaluation.sections import reproduced, sections
from training.evaluation.windows import Rolling, Window, windows_of
from training.fitting import TrainingConfig
from training.stages import StageLog
from training.tuning import TUNE_BUDGET


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and the same as `metrics.json` has it."""

    evaluation: Evaluation
    metrics: dict[str, Any]


def run(
    asked: Asked,
    config: TrainingConfig,
    folder: Path | None,
    stages: StageLog,
    budget: float = TUNE_BUDGET,
    command: Sequence[str] = (),
) -> Report:
    """Reads, evaluates and, with a folder, writes the report into it.

    `budget` is for tuning, in seconds; 0 for the shipped settings. `command` is what was typed, for the report. Raises
    InputError for files, options or data that do not fit and, before anything is read, for a folder that is there or
    cannot be made; NotEnoughDataError when there is too little to learn from; LeakError when models could have seen
    what they have to foresee. The folder is there afterwards with the whole report, or not at all.
    """
    if folder is not None:
        require_writable(folder)
    cut = None if asked.cut is None else parse_cut(asked.cut, asked.options)
    with MemoryWatch() as memory:
        with stages.stage("read"):
            inputs = read_asked(asked)
        read_seconds = stages.costs[-1].seconds
        rules = asked.rules.settled(inputs.predicted, inputs.masked)
        with stages.stage("look at the customers"):
            settings = settings_of(asked, inputs, rules, cut, config.seed)
        with stages.stage("look at the data"):
            checked = data_checks(inputs.train, inputs.catalogue, [each.window for each in settings if each.window])
        evaluation = evaluate(settings, rules, asked.ks, config, budget, stages)
        peak = memory.peak_bytes(max(cost.peak_bytes for cost in stages.costs))
    notes = (*inputs.notes, *_told(asked, evaluation))
    metrics = as_json(evaluation, asked.to_json(rules), read_seconds, peak, notes)
    metrics |= sections(evaluation, checked) | closeups(evaluation, asked.ks)
    metrics["reproduce"] = reproduced(asked, inputs, evaluation, command)
    if folder is not None:
        write_report(folder, metrics, customer_metrics(evaluation))
    return Report(evaluation, metrics)


def read_asked(asked: Asked) -> Inputs:
    """What an evaluation is told to read; raises as `read_store` and `read_inputs`."""
    if asked.home is not None:
        return read_store(asked.home, asked.items, asked.options)
    return read_inputs(asked.train, asked.test, asked.items, min(asked.rules.target or PREDICTED), asked.options)


def settings_of(asked: Asked, inputs: Inputs, rules: Rules, cut: int | None, seed: int) -> list[Setting]:
    """How what was read is divided, the earliest window first; `cut` as `parse_cut` gives it. Raises InputError."""
    train, test, target = inputs.train, inputs.test, rules.target
    offer = Offer(inputs.catalogue, inputs.items)
    if asked.protocol is Protocol.TIME:
        windows = windows_of(train, target, Rolling(cut, asked.days, asked.windows))
        return [_in_time(inputs, rules, window) for window in windows]
    production = None if inputs.production is None else _has_seen_everything(inputs.production)
    if test is not None:
        return [Setting(rows=train, divide=lambda: split(train, test, target, seed), offer=offer, tested=test)]
    return [
        Setting(
            rows=train,
            divide=lambda: leave_last_out(train, target),
            offer=offer,
            production=production,
            customers=inputs.customers,
            paid=inputs.paid,
        )
    ]


def _in_time(inputs: Inputs, rules: Rules, window: Window) -> Setting:
    rows = inputs.as_of(window.cut)
    return Setting(
        rows=rows,
        divide=lambda: cut_in_time(rows, window.cut, rules.target, window.until),
        offer=Offer(inputs.catalogue, inputs.items, window.cut),
        window=window,
        production=None if inputs.production is None else unseen_by(inputs.production, window.cut),
        customers=inputs.customers_as_of(window.cut),
        paid=inputs.paid,
    )


def unseen_by(bundle: ModelBundle | str, cut: int) -> ModelBundle | str:
    """The bundle in force, if it has seen nothing from the cut on; else why it is not compared, and what would do."""
    if isinstance(bundle, str):
        return bundle
    newest = bundle.manifest.data.get("newest")
    if not isinstance(newest, int):
        return (
            f"the bundle in force, {bundle.bundle_id}, does not say up to when it has learned: no window is fair to it"
        )
    if newest < cut:
        return bundle
    return (
        f"the bundle in force, {bundle.bundle_id}, has learned from events up to {moment(newest)} and so has seen the "
        f"test: it is compared with --cut {moment(newest + 1)} or later, once customers have done something since"
    )


def _has_seen_everything(bundle: ModelBundle | str) -> str:
    if isinstance(bundle, str):
        return bundle
    return f"the bundle in force, {bundle.bundle_id}, has seen the test; `time` compares it on what it has not seen"


def _told(asked: Asked, evaluation: Evaluation) -> list[str]:
    """What must be read before any number."""
    found = []
    if asked.protocol is Protocol.LEAVE_LAST_OUT:
        (only,) = evaluation.windows
        found.append(future_across_customers(only.setting.rows, only.part))
    for each in evaluation.windows:
        production = each.setting.production
        if isinstance(production, str):
            found.append(f"production is not compared: {production}")
    return list(dict.fromkeys(found))
