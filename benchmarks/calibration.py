"""`make bench-calibration`: relevance on real data, beside what was bought in a later time.

The history before a cut is all that training sees. Settings, blend and relevance are learned from it as
`bookmatch train` does, so relevance comes from a validation slice just before the cut; then every customer's list at
the cut is compared with what they did in as many days after it. Draws docs/relevance-….svg and writes the table in
docs/relevance.md.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.calibration_plot import draw
from benchmarks.data_sets import NON_ITEMS, data_folder
from recsys.bundle.bundle import ModelBundle, assembled
from recsys.cli.options import available_cores
from recsys.data.events import EventKind
from recsys.data.importers.options import build_options
from recsys.recommend.placement import DEFAULT_PLACEMENT
from recsys.stores.frames import behaviour, event_table
from training.evaluation.inputs import read_inputs
from training.evaluation.soon import Soon
from training.fitting import TrainingConfig, compile_interactions, fit, with_rating_scale
from training.relevance.listed import Listed, listed_for_customers, listed_for_newcomers
from training.relevance.reliability import quality
from training.stages import StageLog
from training.tuning import TUNE_BUDGET, tune
from training.validation import validation_of

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "relevance.md"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
LEARNED = 0.8
"""The cut: so much of what is to be predicted came before it."""

HEAD = """| data set | foreseen | lists | items | bought | share | mean relevance | ECE | Brier | of the share |
|---|---|---|---:|---:|---:|---:|---:|---:|---:|"""


@dataclass(frozen=True, slots=True)
class Case:
    """One data set: its file, how to read it, and what is to be predicted."""

    name: str
    file: str
    target: EventKind
    options: Mapping[str, str]


CASES = (
    Case(
        "online-retail-uci",
        "transactions.parquet",
        EventKind.PURCHASE,
        {"format": "online-retail", "ignore_items": NON_ITEMS},
    ),
    Case(
        "complete-journey",
        "transactions.parquet",
        EventKind.PURCHASE,
        {
            "columns": "customer_id=household_id,item_id=product_id,timestamp=transaction_timestamp,quantity=",
            "event": "purchase",
            "timezone": "America/New_York",
        },
    ),
)


def learned(past: pl.DataFrame, catalogue: pl.DataFrame, target: EventKind) -> ModelBundle:
    """What `bookmatch train --target` makes of these events."""
    table = event_table(past)
    config = TrainingConfig(threads=available_cores(), target_kinds=frozenset({target}), related=None)
    history = compile_interactions(table)
    config = replace(config, event_weights=with_rating_scale(config.event_weights, history))
    validation = validation_of(table, config.target_kinds, config.seed)
    assert not isinstance(validation, str), validation
    tuned = tune(validation, catalogue, config, TUNE_BUDGET, StageLog())
    print(tuned.report["settings"], tuned.relevance.report)
    return assembled("calibration", *fit(history, catalogue, tuned.config, StageLog(), tuned.report, tuned.relevance))


def measured(case: Case, folder: Path) -> tuple[Listed, np.ndarray, Soon]:
    """The lists at the cut, the relevance of each item, and what happened after it."""
    options = build_options(now=int(time.time() * 1000), **case.options)
    inputs = read_inputs([folder / case.name / case.file], None, None, case.target, options)
    known = behaviour(inputs.train)
    times = known.filter(pl.col("kind") == str(case.target))["timestamp"].sort()
    cut = int(times[int(len(times) * LEARNED)])
    past = known.filter(pl.col("timestamp") < cut)
    bundle = learned(past, inputs.catalogue, case.target)
    assert bundle.relevance is not None, bundle.manifest.relevance
    soon = Soon.after(known, cut, {case.target}, bundle.relevance.days)
    assert soon is not None
    assert soon.days == bundle.relevance.days, "the test window is shorter than what relevance speaks of"
    history = compile_interactions(event_table(past))
    placement = replace(DEFAULT_PLACEMENT, mask_kinds=DEFAULT_PLACEMENT.mask_kinds | {case.target})
    listed = listed_for_customers(bundle, placement, history, cut, soon, 0, available_cores())
    new = listed_for_newcomers(bundle, placement, history, soon, 0)
    listed = listed.and_then(new)
    return listed, listed.relevance(bundle.relevance), soon


def rows_of(case: Case, listed: Listed, foreseen: np.ndarray, soon: Soon) -> list[str]:
    """The lines of the table."""
    lines = []
    for name, rows in listed.parts().items():
        rows = rows & np.isfinite(foreseen)
        if not rows.any():
            continue
        found = quality(foreseen[rows], listed.bought[rows])
        lines.append(
            f"| {case.name} | {case.target} within {soon.days} days | {name} "
            f"| {found['items']:,} | {found['bought']:,} | {found['base_rate']:.4f} | {foreseen[rows].mean():.4f} "
            f"| {found['expected_calibration_error']:.4f} "
            f"| {found['brier']:.5f} | {found['brier_of_base_rate']:.5f} |"
        )
    return lines


def main() -> None:
    """Measures, draws and writes."""
    folder, lines = data_folder(), [HEAD]
    for case in CASES:
        listed, foreseen, soon = measured(case, folder)
        lines += rows_of(case, listed, foreseen, soon)
        title = f"{case.name}: {case.target} within {soon.days} days"
        draw(ROOT / "docs" / f"relevance-{case.name}.svg", title, listed, foreseen)
        print("\n".join(lines))
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n\n" + "\n".join(lines) + "\n\n" + END + rest.split(END)[1])
    print("wrote docs/relevance.md")


if __name__ == "__main__":
    main()
