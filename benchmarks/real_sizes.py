"""`python -m benchmarks.real_sizes`: seconds and memory of importing and training real data. Needs BOOKMATCH_DATA."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.data_sets import DATA_SETS, data_folder
from benchmarks.measured import Row, Run, run

BOOKMATCH = str(Path(sys.executable).parent / "bookmatch")
REPETITIONS = 3


def median(runs: list[Run]) -> str:
    """The median time and the largest memory of several runs."""
    seconds = sorted(done.seconds for done in runs)
    peak = max(done.peak_bytes for done in runs) / 1e6
    return f"{statistics.median(seconds):.1f} s (of {', '.join(f'{s:.1f}' for s in seconds)}), {peak:,.0f} MB"


def measure() -> list[Row]:
    """Imports and trains each of two data sets several times from nothing."""
    folder = data_folder()
    chosen = {data_set.name: data_set for data_set in DATA_SETS}
    rows = []
    for name, most_import, most_train in (
        ("online-retail-uci", "≤ 5 s", "≤ 10 s"),
        ("amazon-book-kgat", "–", "≤ 60 s, ≤ 3,000 MB"),
    ):
        imports, trainings = [], []
        for _ in range(REPETITIONS):
            with tempfile.TemporaryDirectory() as scratch:
                for file, *options in chosen[name].imports[:-1]:
                    run([BOOKMATCH, "import", str(folder / name / file), *options, "--home", scratch])
                file, *options = chosen[name].imports[-1]
                imports.append(run([BOOKMATCH, "import", str(folder / name / file), *options, "--home", scratch]))
                trainings.append(run([BOOKMATCH, "train", "--tune-budget", "0", "--home", scratch]))
        command = "python -m benchmarks.real_sizes"
        rows.append(Row(f"{name}: import of {file}", command, median(imports), most_import))
        rows.append(Row(f"{name}: train, without tuning", command, median(trainings), most_train))
    return rows


if __name__ == "__main__":
    for row in measure():
        print(f"{row.what}: {row.measured} (target {row.target})")
