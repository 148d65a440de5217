"""`make bench-quality`: evaluates on every real data set and writes docs/quality.md. Needs BOOKMATCH_DATA.

With `--only` those data sets alone, and the page goes to the folder instead. With `--folder` the reports stay, and a
stopped run goes on after the last that was finished; a report of other code or of another command is not used.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.data_sets import data_folder
from benchmarks.measured import run
from benchmarks.quality.cases import CASES, DATA_SETS, PEERED, Case
from benchmarks.quality.page import page
from benchmarks.quality.reports import Peer, Report

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "quality.md"
BOOKMATCH = str(Path(sys.executable).with_name("bookmatch"))
_CODE = ("recsys", "training")
_LOCK = ROOT / "constraints.txt"


def evaluated(case: Case, folder: Path, code: str) -> Report:
    """The report of one case, measured when there is none of this code and command."""
    place = folder / f"{case.name}-{_digest(code, case.shown())}"
    if place.exists():
        _say(f"{case.name}: done before")
        return Report.read(place)
    _say(f"{case.name}: evaluating")
    started = time.perf_counter()
    run([BOOKMATCH, *case.arguments(data_folder()), "--json", "--output", str(place)])
    report = Report.read(place)
    _say(
        f"{case.name}: recall@20 {report.blend('recall@20'):.4f}, ndcg@20 {report.blend('ndcg@20'):.4f}, "
        f"{time.perf_counter() - started:.0f} s"
    )
    return report


def tuned_peer(case: Case, folder: Path, code: str) -> Peer:
    """`implicit` on one case, measured as `evaluated` does."""
    module = Path(__file__).with_name("peer.py").read_text()
    file = folder / f"peer-{case.name}-{_digest(code, case.shown(), module)}.json"
    if file.exists():
        _say(f"implicit on {case.name}: done before")
    else:
        _say(f"implicit on {case.name}: tuning")
        subprocess.run(
            [sys.executable, "-m", "benchmarks.quality.peer", case.name, "--output", str(file)], check=True, cwd=ROOT
        )
    return Peer.read(file)


def measure(folder: Path, data_sets: Sequence[str]) -> str:
    """Measures what is not measured yet; the page about these data sets."""
    code, chosen = _code(), [case for case in CASES if case.data_set in data_sets]
    reports = {}
    peer = None
    for case in chosen:
        reports[case.name] = evaluated(case, folder, code)
        if case.name == PEERED:
            peer = tuned_peer(case, folder, code)
            if peer.customers != reports[case.name].customers:
                raise ValueError(
                    f"implicit was scored on {peer.customers:,} customers, ours on {reports[case.name].customers:,}; "
                    "expected the same test"
                )
    return page(reports, peer, PEERED)


def _code() -> str:
    """What the figures depend on beside the data: the sources, and the versions of what they use."""
    files = [path for name in _CODE for path in sorted((ROOT / name).rglob("*.py"))]
    return _digest(*(f"{path.relative_to(ROOT)}\n{path.read_text()}" for path in [*files, _LOCK]))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    """Parses the arguments, measures, and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--only", metavar="NAME,…", default="", help=f"some of {', '.join(DATA_SETS)}")
    parser.add_argument("--folder", type=Path, help="reports lie there and stay; else in a temporary folder")
    chosen = parser.parse_args()
    names = [name.strip() for name in chosen.only.split(",") if name.strip()]
    unknown = [name for name in names if name not in DATA_SETS]
    if unknown:
        parser.error(f"--only names {', '.join(unknown)}; expected some of {', '.join(DATA_SETS)}")
    try:
        if chosen.folder:
            chosen.folder.mkdir(parents=True, exist_ok=True)
            _write(chosen.folder, names)
        else:
            with tempfile.TemporaryDirectory() as folder:
                _write(Path(folder), names)
    except subprocess.CalledProcessError as failed:
        sys.exit(f"{failed}\n{failed.output or ''}")


def _write(folder: Path, names: Sequence[str]) -> None:
    text = measure(folder, names or DATA_SETS)
    place = folder / PAGE.name if names else PAGE
    place.write_text(text)
    print(text)
    print(f"wrote {place}")


if __name__ == "__main__":
    main()
