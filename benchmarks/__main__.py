"""`make bench`: writes the first part of docs/benchmarks.md. Takes some minutes; needs BOOKMATCH_DATA."""

from __future__ import annotations

from benchmarks import experiments, filters, first_run, ingest, pages, real_sizes
from benchmarks.measured import Row

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
    rows += filters.measure()
    rows += experiments.measure()
    # Rows of commands of their own stay.
    own = {row.command for row in rows} | {"python -m benchmarks.ingest"}
    others = [
        each for each in pages.parts()[0].splitlines() if "`python -m" in each and not any(c in each for c in own)
    ]
    lines = [f"| {row.what} | {row.measured} | {row.target} | `{row.command}` |" for row in rows]
    pages.write(pages.filled(HEAD) + "\n".join([*lines, *others]) + "\n", pages.parts()[1])
    print("\n".join(lines))
    print("wrote docs/benchmarks.md")


if __name__ == "__main__":
    main()
