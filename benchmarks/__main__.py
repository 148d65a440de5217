"""`make bench`: runs every benchmark and writes docs/benchmarks.md. Takes some minutes; needs BOOKMATCH_DATA."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from benchmarks import first_run, ingest, real_sizes
from benchmarks.measured import Row

ROOT = Path(__file__).resolve().parents[1]
HEAD = """# Benchmarks

Written by `make bench` on {cores} cores ({machine}, Python {python}). Machines differ and are noisy: where there is a
peer, the figure is a ratio measured against it in the same run. `BOOKMATCH_DATA` names the folder with the real data
sets, which are not part of this project.

| what | measured | target | command |
|---|---|---|---|
"""


def main() -> None:
    """Runs all and writes the table."""
    rows = [*real_sizes.measure(), *first_run.measure()]
    for what, measured, against, target in ingest.run():
        rows.append(Row(what, "python -m benchmarks.ingest", f"{measured}; {against}", target))
    head = HEAD.format(cores=os.cpu_count(), machine=platform.machine(), python=platform.python_version())
    lines = [f"| {row.what} | {row.measured} | {row.target} | `{row.command}` |" for row in rows]
    (ROOT / "docs" / "benchmarks.md").write_text(head + "\n".join(lines) + "\n")
    print("\n".join(lines))
    print("wrote docs/benchmarks.md")


if __name__ == "__main__":
    main()
