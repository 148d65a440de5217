"""`make bench-serving`: what an answer costs, against an empty route and against `implicit`, all in one run.

The server has one core and the load the other. Fresh answers are computed every time: the cache is off.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.measured import Row
from benchmarks.pages import PAGE, SERVING, filled, put
from benchmarks.serving import events, items, library, load, memory, placements
from benchmarks.serving.shop import Size, customer_ids, home_of, prepared

LARGE, SMALL = Size(90_000, 20_000), Size(9_000, 2_000)
HUGE = Size(600_000, 40_000)
"""Its bundle is larger than 1 GB."""
COMMAND = "python -m benchmarks.serving"
ROUNDS = 3
SECONDS = 5.0
LATENCY_SECONDS = 20.0
NO_CACHE = {"BOOKMATCH_CACHE_SIZE": "0"}
SOME = 2000


def asked(size: Size, count: int = SOME) -> list[str]:
    """Questions for some customers, in a random order that is always the same."""
    ids = np.array(customer_ids(size))
    chosen = np.random.default_rng(3).choice(ids, min(count, len(ids)), replace=False)
    return [f"/v1/customers/{customer}/recommendations?limit=20" for customer in chosen]


def _median(of: Callable[[], float]) -> float:
    return statistics.median(of() for _ in range(ROUNDS))


def throughput(folder: Path) -> list[Row]:
    """Fresh and cached answers against the empty route."""
    home, paths = home_of(prepared(folder, LARGE)), asked(LARGE)
    few = paths[:200]
    with load.empty_route() as empty, load.bookmatch(home, NO_CACHE) as fresh, load.bookmatch(home) as cached:
        for running in (fresh, cached):
            load.requests_per_second(
                running.url, paths if running is fresh else few, 2 * SECONDS, headers=running.headers
            )
        found: dict[str, list[float]] = {"empty": [], "fresh": [], "cached": []}
        for _ in range(ROUNDS):
            found["empty"].append(load.requests_per_second(empty.url, ["/"], SECONDS))
            found["fresh"].append(load.requests_per_second(fresh.url, paths, SECONDS, headers=fresh.headers))
            found["cached"].append(load.requests_per_second(cached.url, few, SECONDS, headers=cached.headers))
    rate = {name: statistics.median(values) for name, values in found.items()}
    rows = []
    for name, reach, stretch in (("fresh", 0.5, 1.0), ("cached", 1.0, 1.5)):
        ratio = rate[name] / rate["empty"]
        rows.append(
            Row(
                f"{name} answer, 20 items with reasons, one worker on one core",
                COMMAND,
                f"{rate[name]:,.0f} requests/s; empty FastAPI route {rate['empty']:,.0f}; ratio {ratio:.2f}",
                f"≥ {reach} × (stretch {stretch} ×): {_verdict(ratio >= reach)}",
            )
        )
    return rows


def latency(folder: Path) -> list[Row]:
    """p99 at half the most, and p95 as the shop grows."""
    tails = {}
    for size in (SMALL, LARGE):
        home, paths = home_of(prepared(folder, size)), asked(size)
        with load.bookmatch(home, NO_CACHE) as running:
            # Histories are read from the store once and then kept: every customer was there before.
            for _ in range(2):
                load.requests_per_second(running.url, paths, SECONDS, headers=running.headers)
            most = load.requests_per_second(running.url, paths, SECONDS, headers=running.headers)
            tails[size] = (most, load.latencies(running.url, paths, most / 2, LATENCY_SECONDS, headers=running.headers))
            bursts = load.latencies(
                running.url, paths, most / 2, LATENCY_SECONDS / 2, clients=8, headers=running.headers
            )
    most, milliseconds = tails[LARGE]
    p99 = float(np.percentile(milliseconds, 99))
    growth = float(np.percentile(milliseconds, 95) / np.percentile(tails[SMALL][1], 95))
    return [
        Row(
            f"p99 of fresh answers at half the most ({most / 2:,.0f}/s), constant rate, corrected for omission",
            COMMAND,
            f"{p99:.2f} ms (p50 {np.percentile(milliseconds, 50):.2f}, p95 {np.percentile(milliseconds, 95):.2f}); "
            f"the same rate in bursts of eight: {np.percentile(bursts, 99):.2f} ms",
            f"≤ 5 ms (stretch 2 ms): {_verdict(p99 <= 5)}",
        ),
        Row(
            "p95 of fresh answers, 90,000 items and 20,000 customers against 9,000 and 2,000, each at half its most",
            COMMAND,
            f"{growth:.2f} ×",
            f"≤ 1.2 × (stretch 1.05 ×): {_verdict(growth <= 1.2)}",
        ),
    ]


def _verdict(met: bool) -> str:
    return "met" if met else "missed"


PARTS: dict[str, Callable[[Path], list[Row]]] = {
    "throughput": throughput,
    "latency": latency,
    "library": lambda folder: library.measure(home_of(prepared(folder, LARGE))),
    "events": lambda folder: events.measure(home_of(prepared(folder, LARGE)), asked(LARGE)),
    "items": lambda folder: items.measure(home_of(prepared(folder, LARGE)), asked(LARGE)),
    "placements": lambda folder: placements.measure(
        home_of(prepared(folder, LARGE)), asked(LARGE), home_of(prepared(folder, SMALL)), asked(SMALL)
    ),
    "memory": lambda folder: memory.measure(home_of(prepared(folder, LARGE)), home_of(prepared(folder, HUGE))),
}


HEAD = (
    SERVING
    + """

Written by `make bench-serving` on {cores} cores ({machine}, Python {python}), all in one run: one core for the
server, the other for the load (wrk, and h2load for constant rates). The shop has 90,000 items and 20,000 customers with
histories of 5 to 500 events, log-uniform; bundle and settings are what `bookmatch train` and `bookmatch serve` give by
default, with metrics, request ids and logs; keys are asked for, and every request but the empty route's carries one.
Answers have 20 items with reasons. *Fresh* is computed every time (no cache); histories were read from the store
before, which takes some milliseconds for a customer that a worker sees first. The machine is noisy: only ratios of one
run compare.

| what | measured | target |
|---|---|---|
"""
)


def page(rows: list[Row]) -> str:
    """Its part of docs/benchmarks.md."""
    return filled(HEAD) + "".join(f"| {row.what} | {row.measured} | {row.target} |\n" for row in rows)


def run(folder: Path, parts: list[str]) -> list[Row]:
    """Measures and prints."""
    rows = []
    for part in parts:
        for row in PARTS[part](folder):
            print(f"{row.what}\n    {row.measured} · {row.target}", flush=True)
            rows.append(row)
    return rows


def main() -> None:
    """Parses the arguments and runs."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--folder", type=Path, help="shops lie there and stay; else in a temporary folder")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    chosen = parser.parse_args()
    for program in ("taskset", "wrk", "h2load"):
        if subprocess.run(["which", program], capture_output=True, check=False).returncode:
            raise SystemExit(f"{program} is not installed: apt-get install util-linux wrk nghttp2-client")
    started = time.perf_counter()
    if chosen.folder:
        chosen.folder.mkdir(parents=True, exist_ok=True)
        rows = run(chosen.folder, chosen.only)
    else:
        with tempfile.TemporaryDirectory() as folder:
            rows = run(Path(folder), chosen.only)
    if chosen.only == list(PARTS):
        put(SERVING, page(rows))
        print(f"wrote {PAGE}")
    print(f"{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()
