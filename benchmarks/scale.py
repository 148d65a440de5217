"""`make bench-scale`: from Parquet files to a published, verified bundle, at 10 and at 100 million events.

The shop is simulated with customers and items in proportion to its events. Simulating, tuning and counting pairs are
not part of the time. Every step is a process of its own, as a shop would run it; a step that was finished is not run
again, so that a stopped benchmark goes on where it was (`--again` begins anew with the same files).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from training.evaluation.memory import MemoryWatch

BOOKMATCH = str(Path(sys.executable).with_name("bookmatch"))
CUSTOMERS_PER_MILLION = 20_000
ITEMS_PER_MILLION = 5_000
MOST_SECONDS = 1800
MOST_MEMORY = 16e9
MOST_DISK = 40e9
MOST_RATIO = 1.5
_DISK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Step:
    """What one finished step cost; `disk_bytes` is the most that lay in the shop's folder and in files without a
    name."""

    seconds: float
    peak_bytes: int
    disk_bytes: int


class DiskWatch:
    """The most room that a folder, and the open files without a name of this process's children, took meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._stop.wait(_DISK_SECONDS):
            self._look()

    def _look(self) -> None:
        # `os.walk` passes over folders that are gone since they were listed; partitions come and go.
        named = sum(_blocks(Path(folder) / name) for folder, _, names in os.walk(self._folder) for name in names)
        self.peak_bytes = max(self.peak_bytes, named + _nameless_bytes())


def _blocks(path: Path) -> int:
    try:
        return path.lstat().st_blocks * 512
    except OSError:
        return 0  # Gone since it was listed.


def _nameless_bytes() -> int:
    total = 0
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            for descriptor in Path(f"/proc/{child}/fd").glob("*"):
                try:
                    stat = descriptor.stat()
                except OSError:
                    continue  # Closed since it was listed.
                if stat.st_nlink == 0 and os.path.isfile(descriptor):  # noqa: PTH113 - follows the link to no name
                    total += stat.st_blocks * 512
    return total


class Shop:
    """One size of shop in the benchmark's folder."""

    def __init__(self, folder: Path, millions: float) -> None:
        self.millions = millions
        name = f"{millions:g}m"
        self.files = folder / f"files-{name}"
        self.home = folder / f"shop-{name}"
        self._record = folder / f"steps-{name}.json"

    def forget(self) -> None:
        """Removes everything but the simulated files."""
        shutil.rmtree(self.home, ignore_errors=True)
        self._record.unlink(missing_ok=True)

    def steps(self) -> dict[str, Step]:
        """The finished ones, in order."""
        if not self._record.exists():
            return {}
        return {name: Step(**cost) for name, cost in json.loads(self._record.read_text()).items()}

    def run(self) -> dict[str, Step]:
        """Runs what is not finished."""
        if not (self.files / "simulation.json").exists():
            self._simulate()
        imports = [BOOKMATCH, "import", "--home", str(self.home)]
        events = [str(path) for path in sorted(self.files.glob("events-*.parquet"))]
        self._step("import items", [*imports, "--as", "items", str(self.files / "items.parquet")])
        self._step("import customers", [*imports, "--as", "customers", str(self.files / "customers.parquet")])
        self._step("import events", [*imports, *events])
        self._step("train", [BOOKMATCH, "train", "--home", str(self.home), *_without_tuning()])
        self._step("verify", [sys.executable, "-m", "benchmarks.scale", "--verify", str(self.home)])
        return self.steps()

    def pairs(self) -> dict[str, float]:
        """How many pairs of items the histories hold, see `count_pairs`."""
        return dict(json.loads(_output([sys.executable, "-m", "benchmarks.scale", "--pairs", str(self.home)])))

    def _simulate(self) -> None:
        sizes = {
            "--events": self.millions * 1e6,
            "--customers": self.millions * CUSTOMERS_PER_MILLION,
            "--books": self.millions * ITEMS_PER_MILLION,
        }
        options = [part for name, size in sizes.items() for part in (name, str(round(size)))]
        subprocess.run([BOOKMATCH, "simulate", str(self.files), *options], check=True)

    def _step(self, name: str, command: Sequence[str]) -> None:
        finished = self.steps()
        if name in finished:
            return
        print(f"{self.millions:g} million events: {name}", flush=True)
        started = time.perf_counter()
        with MemoryWatch() as memory, DiskWatch(self.home) as disk:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - started
        finished[name] = Step(seconds, memory.peak_bytes(0), disk.peak_bytes)
        self._record.write_text(json.dumps({key: asdict(step) for key, step in finished.items()}, indent=1))
        print(f"  {seconds:,.1f} s, {finished[name].peak_bytes / 1e9:.2f} GB of memory", flush=True)


def _without_tuning() -> list[str]:
    return ["--tune-budget", "0"] if "--tune-budget" in _output([BOOKMATCH, "train", "--help"]) else []


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def verify(home: Path) -> None:
    """Loads the bundle in force, every hash checked."""
    from recsys.bundle import BundleRepository
    from recsys.shop import ShopFolder

    repository = BundleRepository(ShopFolder(home).models)
    current = repository.current_id()
    if current is None:
        raise SystemExit(f"{home} has no bundle in force")
    bundle = repository.load(current)
    print(f"bundle {current} of {len(bundle.items):,} items verified")


def count_pairs(home: Path) -> dict[str, float]:
    """The work of the Gram product: Σ n² over customers with n items, with the history cap and without, and events."""
    from recsys.data.interactions import Interactions
    from recsys.data.signals import EventWeights
    from recsys.models.item_item import ItemItemConfig
    from recsys.shop import ShopFolder
    from recsys.stores import open_store

    store = open_store(ShopFolder(home).store, read_only=True)
    tastes = Interactions.from_events(store.events.read()).tastes(EventWeights().unfading())
    events = sum(store.events.summary()["events"].values())
    store.close()
    lengths = np.diff(tastes.matrix().indptr).astype(np.float64)
    cap = ItemItemConfig().history_cap
    return {
        "events": events,
        "cap": cap,
        "longest": float(lengths.max()),
        "capped": float((np.minimum(lengths, cap) ** 2).sum()),
        "uncapped": float((lengths**2).sum()),
    }


def report(shops: Sequence[Shop]) -> dict[str, object]:
    """Runs all and prints what was found beside what is asked of the largest."""
    told: dict[str, object] = {}
    rates = []
    for shop in shops:
        steps, pairs = shop.run(), shop.pairs()
        seconds = sum(step.seconds for step in steps.values())
        rates.append(seconds / (pairs["events"] / 1e6))
        memory, disk = (max(getattr(step, name) for step in steps.values()) for name in ("peak_bytes", "disk_bytes"))
        print(f"\n{pairs['events']:,} events")
        for name, step in steps.items():
            print(
                f"  {name:<18}{step.seconds:>9,.1f} s {step.peak_bytes / 1e9:>8.2f} GB memory "
                f"{step.disk_bytes / 1e9:>8.2f} GB disk"
            )
        print(f"  {'all':<18}{seconds:>9,.1f} s (at most {MOST_SECONDS:,}), {rates[-1]:.2f} s per million events")
        print(f"  memory {memory / 1e9:.2f} GB (at most {MOST_MEMORY / 1e9:g}), disk {disk / 1e9:.2f} GB", end="")
        print(f" (at most {MOST_DISK / 1e9:g})")
        print(
            f"  pairs {pairs['capped']:,.0f} with the cap of {pairs['cap']:g} items, {pairs['uncapped']:,.0f} without "
            f"(longest history {pairs['longest']:,.0f})"
        )
        told[f"{shop.millions:g}"] = {
            "steps": {name: asdict(step) for name, step in steps.items()},
            "seconds": seconds,
            "pairs": pairs,
        }
    if len(shops) > 1:
        ratio = rates[-1] / rates[0]
        told["ratio"] = ratio
        print(f"\nseconds per million, largest to smallest: {ratio:.2f} (at most {MOST_RATIO})")
    return told


PAGE = Path(__file__).resolve().parent.parent / "docs" / "scale.md"


def page(told: Mapping[str, Any]) -> str:
    """docs/scale.md."""
    shops = {size: each for size, each in told.items() if size != "ratio"}
    intro = (
        f"Written by `make bench-scale` on {os.cpu_count()} cores ({platform.machine()}, Python "
        f"{platform.python_version()}): a simulated shop from Parquet files to a published, verified bundle. Every "
        "step is a process of its own; memory is what all processes held at once, disk the most that lay in the shop's "
        "folder and in files without a name. Not part of the time: simulating, tuning and counting pairs."
    )
    lines = [
        "# Scale",
        "",
        intro,
        "",
        "| events | " + " | ".join(f"{each['pairs']['events']:,.0f}" for each in shops.values()) + " | at most |",
        "|---|" + "---:|" * (len(shops) + 1),
    ]

    def row(name: str, values: Iterable[str], most: str = "") -> None:
        lines.append(f"| {name} | " + " | ".join(values) + f" | {most} |")

    for name in next(iter(shops.values()))["steps"]:
        row(name, (f"{each['steps'][name]['seconds']:,.1f} s" for each in shops.values()))
    largest = list(shops)[-1]
    most = f"{MOST_SECONDS:,} s" if largest == "100" else ""
    row("all", (f"{each['seconds']:,.1f} s" for each in shops.values()), most)
    rates = (each["seconds"] / each["pairs"]["events"] * 1e6 for each in shops.values())
    row("per million events", (f"{rate:.2f} s" for rate in rates))
    for name, key, bound in (("memory", "peak_bytes", MOST_MEMORY), ("disk", "disk_bytes", MOST_DISK)):
        worst = (max(step[key] for step in each["steps"].values()) / 1e9 for each in shops.values())
        row(name, (f"{value:.2f} GB" for value in worst), f"{bound / 1e9:g} GB")
    row("longest history", (f"{each['pairs']['longest']:,.0f}" for each in shops.values()))
    for name, key in (("pairs, histories capped", "capped"), ("pairs, without the cap", "uncapped")):
        row(name, (f"{each['pairs'][key]:,.0f}" for each in shops.values()))
    if "ratio" in told:
        lines += ["", f"Seconds per million events, largest to smallest: {told['ratio']:.2f} (at most {MOST_RATIO})."]
    cap = shops[largest]["pairs"]["cap"]
    end = (
        f"Histories are capped at the newest {cap:g} items where pairs are counted. A step that is stopped goes on "
        "with the stages that were finished ([the archive](decisions/0010-closed-partitions-and-live-rows.md))."
    )
    lines += ["", end, ""]
    return "\n".join(lines)


def main() -> None:
    """Parses the arguments and runs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--folder", type=Path, help="files and shops lie there and stay; else in a temporary folder")
    parser.add_argument("--millions", type=float, nargs="+", default=[10.0, 100.0], help="events of each shop")
    parser.add_argument("--again", action="store_true", help="begin anew, with the files that are there")
    parser.add_argument("--verify", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--pairs", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.verify:
        verify(chosen.verify)
    elif chosen.pairs:
        print(json.dumps(count_pairs(chosen.pairs)))
    elif chosen.folder:
        chosen.folder.mkdir(parents=True, exist_ok=True)
        _run(chosen.folder, chosen.millions, again=chosen.again)
    else:
        with tempfile.TemporaryDirectory() as folder:
            _run(Path(folder), chosen.millions, again=False)


def _run(folder: Path, millions: Sequence[float], *, again: bool) -> None:
    shops = [Shop(folder, size) for size in sorted(millions)]
    for shop in shops:
        if again:
            shop.forget()
    told = report(shops)
    (folder / "scale.json").write_text(json.dumps(told, indent=1))
    PAGE.write_text(page(told))
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
