"""`make bench-metrics`: what it costs to score every model and compute every metric, and the same metrics by `ranx`.

The data are `amazon-book-kgat` (70,591 test customers), the models those of `bookmatch evaluate` with shipped settings.
They are fitted in a process of their own, which is not counted; FOLDER keeps them. Needs BOOKMATCH_DATA and the extra
`bench`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from benchmarks.data_sets import data_folder
from benchmarks.measured import Row, Run, run
from benchmarks.quality.cases import BOOKS, CASES
from recsys.bundle.bundle import ModelBundle, read_bundle, read_manifest, write_bundle
from recsys.cli.options import available_cores
from recsys.data.catalog import CUSTOMER_SCHEMA
from recsys.data.events import EventKind
from recsys.data.importers.options import build_options
from recsys.metrics.ranking import NOTHING, PER_CUSTOMER, Ranked, Relevant, per_customer
from training.evaluation.asked import parse_rules
from training.evaluation.comparison import compare
from training.evaluation.facts import facts_of
from training.evaluation.held_out import HeldOut, hold_out
from training.evaluation.inputs import Inputs, read_inputs
from training.evaluation.listing import Fitted
from training.evaluation.protocols import Part, split
from training.fitting import UNTUNED, TrainingConfig, fit
from training.stages import StageLog
from training.tuning import shipped

T = TypeVar("T")
KS = (10, 20)
SECONDS, BYTES = 90, 3 * 2**30
"""What all of it may take."""

_BUNDLE, _LISTS = "bundle", "lists.npz"
_TIMES = 5  # of so many tries the fastest counts, for both


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="Keeps the fitted models.")
    parser.add_argument("--step", choices=("fit", "score", "ranx"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step == "fit":
        _fit(arguments.folder)
    elif arguments.step == "score":
        print(json.dumps(_score(arguments.folder)))
    elif arguments.step == "ranx":
        print(json.dumps(_ranx(arguments.folder)))
    else:
        for row in measure(arguments.folder):
            print(f"{row.what}: {row.measured} (target: {row.target})")


def measure(folder: Path | None = None) -> list[Row]:
    """What it costs, as rows of `docs/benchmarks.md`."""
    with tempfile.TemporaryDirectory() as passing:
        kept = folder or Path(passing) / "models"
        command = [sys.executable, "-m", "benchmarks.metrics", "--folder", str(kept), "--step"]
        if not (kept / _BUNDLE).exists():
            run([*command, "fit"])
        scored = run([*command, "score"])
        beside = _last_line(run([*command, "ranx"]))
    found = _last_line(scored)
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found["seconds"].items())
    total = sum(found["seconds"].values())
    what = f"every metric of every model on `{BOOKS}`, {found['customers']:,} customers, 2,000 resamples, fits excluded"
    own = "python -m benchmarks.metrics"
    return [
        Row(
            what,
            own,
            f"{total:.1f} s ({parts}), {found['cpu']:.1f} s of computing, {scored.peak_bytes / 2**30:.2f} GiB",
            f"{SECONDS} s, {BYTES / 2**30:.0f} GiB",
        ),
        Row(
            f"the ranking metrics of one model's lists at {' and '.join(map(str, KS))}, beside `ranx` on the same",
            own,
            f"{beside['ours'] * 1000:.0f} ms; {beside['ranx'] / beside['ours']:.1f} times as fast as its compiled loops"
            f" alone, {beside['ranx_whole'] / beside['ours']:.0f} times as fast as a call of it; no customer's value"
            f" differs by more than {beside['apart']:.0e}",
            "as fast",
        ),
    ]


def _last_line(ran: Run) -> Any:
    return json.loads(ran.output.strip().splitlines()[-1])


def _read() -> tuple[Inputs, Part, HeldOut]:
    case = next(each for each in CASES if each.name == BOOKS)
    folder = data_folder() / BOOKS
    mapping = case.option("--map")
    options = build_options(now=0, columns=mapping or "", event=case.option("--event"))
    rules = parse_rules("purchase", "", "exclude", "")
    inputs = read_inputs([folder / case.train], folder / str(case.test), None, EventKind.PURCHASE, options)
    assert inputs.test is not None
    part = split(inputs.train, inputs.test, rules.target, seed=0).test
    return inputs, part, hold_out(part, rules, inputs.items)


def _fit(folder: Path) -> None:
    inputs, _, held_out = _read()
    config = TrainingConfig(related=None)
    tuned = shipped(config, UNTUNED["cause"])
    manifest, arrays = fit(held_out.training, inputs.catalogue, config, StageLog(), tuned.report, tuned.relevance)
    folder.mkdir(parents=True, exist_ok=True)
    write_bundle(folder / _BUNDLE, manifest, arrays, {})


def _bundle(folder: Path) -> ModelBundle:
    return read_bundle(folder / _BUNDLE, read_manifest(folder / _BUNDLE)[0])


def _score(folder: Path) -> dict[str, object]:
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        found = work()
        seconds[name] = time.perf_counter() - started
        return found

    inputs, part, held_out = timed("read", _read)
    fitted = Fitted(_bundle(folder), None, available_cores())
    # BM25 is fitted when it is first asked for, which does not count.
    listed = fitted.lists(held_out, max(KS), StageLog())
    lists = listed.ranked
    seconds |= listed.seconds
    nobody = pl.DataFrame(schema=CUSTOMER_SCHEMA)
    facts = timed("facts", lambda: facts_of(held_out, part.rows, inputs.catalogue, nobody))
    found = timed("compare", lambda: compare(lists, held_out, facts, KS, seed=0))
    print(json.dumps(found.to_json()["models"], indent=1))
    print("not applicable:", dict(found.not_applicable))
    blend = lists["blend"]
    assert blend is not None
    np.savez(folder / _LISTS, blend=blend)
    return {"customers": found.customers, "seconds": seconds, "cpu": time.process_time()}


def _ranx(folder: Path) -> dict[str, float]:
    held_out = _read()[-1]
    return _beside_ranx(np.load(folder / _LISTS)["blend"], held_out.relevant)


def _beside_ranx(ranked: Ranked, relevant: Relevant) -> dict[str, float]:
    """Seconds of both for the same metrics of the same lists, and by how much any customer's values differ.

    `ranx` is asked twice: as a user does, and with everything in the form it computes on, so that only its compiled
    loops are timed.
    """
    import ranx
    from ranx.meta.evaluate import convert_qrels, convert_run

    names = [f"{name}@{k}" for k in KS for name in PER_CUSTOMER]
    truth = {
        str(row): dict.fromkeys(map(str, own.tolist()), 1)
        for row, own in enumerate(np.split(relevant.item, relevant.indptr[1:-1]))
    }
    listed = {
        str(row): {str(item): 1.0 / place for place, item in enumerate(own, start=1) if item != NOTHING}
        for row, own in enumerate(ranked.tolist())
    }
    qrels, ran = ranx.Qrels(truth), ranx.Run(listed)
    wanted, lists = convert_qrels(qrels), convert_run(ran)
    asked = {
        "ours": lambda: per_customer(ranked, relevant, KS),
        "ranx": lambda: ranx.evaluate(wanted, lists, names, return_mean=False),
        "ranx_whole": lambda: ranx.evaluate(qrels, ran, names, return_mean=False, save_results_in_run=False),
    }
    fastest = {name: min(_seconds(work) for _ in range(_TIMES)) for name, work in asked.items()}
    ours, theirs = asked["ours"](), asked["ranx"]()
    order = np.array([int(row) for row in ran.keys()])  # noqa: SIM118 - it is no dict
    return fastest | {"apart": max(float(np.abs(theirs[name] - ours[name][order]).max()) for name in names)}


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
