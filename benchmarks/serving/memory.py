"""What one more worker costs, and how soon a service is ready."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.measured import Row
from benchmarks.serving import load
from recsys.bundle import BundleRepository
from recsys.shop import ShopFolder

WORKERS = 3
_COMMAND = "python -m benchmarks.serving --only memory"


def measure(home: Path, huge: Path) -> list[Row]:
    """Both rows; `huge` is a shop whose bundle has 1 GB or more."""
    with load.bookmatch(home, workers=WORKERS) as running:
        paths = [f"/v1/customers/c{number:06}/recommendations" for number in range(500)]
        load.requests_per_second(running.url, paths, 3.0, headers=running.headers)
        private = [_private_bytes(each) / 1e6 for each in _leaves(str(running.process.pid)) if _answers(each)]
    repository = BundleRepository(ShopFolder(huge).models)
    in_force = repository.folder / str(repository.current_id())
    models = sum(file.stat().st_size for file in in_force.rglob("*.npy")) / 1e9
    seconds = []
    for _ in range(3):
        with load.bookmatch(huge) as running:
            seconds.append(running.seconds_to_ready)
    ready = statistics.median(seconds)
    return [
        Row(
            f"private memory of each of {len(private)} workers",
            _COMMAND,
            f"{statistics.mean(private):.0f} MB",
            f"≤ 150 MB (stretch 90 MB): {'met' if statistics.mean(private) <= 150 else 'missed'}",
        ),
        Row(
            f"ready after start with a bundle of {models:.2f} GB",
            _COMMAND,
            f"{ready:.1f} s (of three starts {min(seconds):.1f} to {max(seconds):.1f})",
            f"≤ 3 s with 1 GB (stretch 1 s): {'not comparable' if models < 1 else 'met' if ready <= 3 else 'missed'}",
        ),
    ]


def _leaves(process: str) -> list[str]:
    """The processes below one that have none below them: workers are forked from one that only forks."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [leaf for child in children for leaf in _leaves(child)] or [process]


def _private_bytes(process: str) -> int:
    """What a process shares with no other."""
    lines = (line.split() for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines())
    return sum(int(line[1]) * 1024 for line in lines if line[0] in ("Private_Clean:", "Private_Dirty:"))


def _answers(process: str) -> bool:
    """Whether it is a worker and not one of Python's helpers."""
    return "resource_tracker" not in Path(f"/proc/{process}/cmdline").read_text()
