"""What a placement with every rule costs over one with none, and what publishing costs those who ask meanwhile."""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import orjson
import polars as pl

from benchmarks.measured import Row
from benchmarks.serving import load
from recsys.bundle import BundleRepository
from recsys.data.catalog import ITEM_SCHEMA
from recsys.durable import replace_file
from recsys.recommend.placements import PlacementRepository
from recsys.shop import ShopFolder
from recsys.stores import open_store

COMMAND = "python -m benchmarks.serving --only placements"
_WITH = {"every": "with every rule but exploring", "tried": "that explores", "all": "with every rule"}
"""Placements, and what they do."""
RELOADS = 200
CALM_SECONDS = 60.0
SECONDS = 5.0
ROUNDS = 5
NONE = "[placements.none]\n"
EVERY = """
[placements.every]
sources = {{ item_item = 1.0, als = 0.5, content = 0.1, popular = 0.2 }}
fallback = ["rising", "popular"]
filter = "price < {price} AND NOT viewed_within('30d')"
minimum_relevance = 0.0
diversity = [{{ by = "author", at_most = 2 }}, {{ by = "category", at_most = 12 }}]
rotation = {{ after = 3, step = 5, days = 14 }}
pins = [{{ item = "i000007", slot = 1 }}, {{ item = "i000011", slot = 4 }}]
boosts = [{{ where = "author = 'a7'", factor = 1.5 }}, {{ where = "price > 20", factor = 0.8 }}]

[placements.tried]
sources = {{ item_item = 1.0, als = 0.5, content = 0.1, popular = 0.2 }}
explore = {{ share = 0.1, cost = 0.02 }}

[placements.all]
sources = {{ item_item = 1.0, als = 0.5, content = 0.1, popular = 0.2 }}
fallback = ["rising", "popular"]
filter = "price < {price} AND NOT viewed_within('30d')"
diversity = [{{ by = "author", at_most = 2 }}, {{ by = "category", at_most = 12 }}]
rotation = {{ after = 3, step = 5, days = 14 }}
pins = [{{ item = "i000007", slot = 1 }}, {{ item = "i000011", slot = 4 }}]
boosts = [{{ where = "author = 'a7'", factor = 1.5 }}, {{ where = "price > 20", factor = 0.8 }}]
explore = {{ share = 0.1, cost = 0.02 }}

[placements.none]
sources = {{ item_item = 1.0, als = 0.5, content = 0.1, popular = 0.2 }}
"""


def measure(home: Path, paths: Sequence[str], small: Path, few: Sequence[str]) -> list[Row]:
    """All rows; bundles are published in the smaller shop, one a second. Items get authors, categories and prices."""
    _furnish(home)
    _furnish(small)
    return [*_cost(home, paths), *_reloading(small, few)]


def _furnish(home: Path) -> None:
    """Says something of every item."""
    shop = ShopFolder(home)
    repository = BundleRepository(shop.models)
    current = repository.current_id()
    assert current is not None
    ids = list(repository.load(current).items)
    number = np.arange(len(ids))
    store = open_store(shop.store, create=False)
    try:
        frame = pl.DataFrame(
            {
                "item_id": ids,
                "author": [f"a{each % 4000}" for each in number],
                "category": [f"k{each % 40}" for each in number],
                "price": (number * 7919 % 3000) / 100,
            }
        )
        rest = [pl.lit(None, dtype=kind).alias(name) for name, kind in ITEM_SCHEMA.items() if name not in frame.columns]
        store.catalog.put(frame.with_columns(rest).select(list(ITEM_SCHEMA)))
    finally:
        store.close()
    publish(home, 0)


def publish(home: Path, number: int) -> None:
    """Another version: another price in a filter."""
    repository = PlacementRepository(ShopFolder(home).placements)
    repository.publish(EVERY.format(price=28 + number % 7), by="a benchmark", why="to measure", now=_now())


def _now() -> int:
    return time.time_ns() // 1_000_000


def _cost(home: Path, paths: Sequence[str]) -> list[Row]:
    """With every rule against none, over HTTP, fresh and kept."""
    few = paths[:200]
    rows = []
    for name, settings, asked in (("fresh", {"BOOKMATCH_CACHE_SIZE": "0"}, paths), ("kept", {}, few)):
        with load.bookmatch(home, settings) as running:
            rates: dict[str, list[float]] = {placement: [] for placement in ("none", *_WITH)}
            for placement in rates:
                _most(running, _placed(asked, placement), 2 * SECONDS)
            for _ in range(ROUNDS):
                for placement, found in rates.items():
                    found.append(_most(running, _placed(asked, placement), SECONDS))
        each = {placement: statistics.median(found) for placement, found in rates.items()}
        rows += [
            Row(
                f"a placement {rules} against one with the same sources and no other rule, {name} answers",
                COMMAND,
                f"{1e6 / each[placement]:.0f} µs per request; the same sources and no other rule "
                f"{1e6 / each['none']:.0f} µs; ratio {each['none'] / each[placement]:.2f}",
                f"≤ 1.5 ×: {_verdict(each['none'] / each[placement] <= 1.5)}",
            )
            for placement, rules in _WITH.items()
        ]
    return rows


def _most(running: load.Running, paths: Sequence[str], seconds: float) -> float:
    return load.requests_per_second(running.url, paths, seconds, headers=running.headers)


def _tail(running: load.Running, paths: Sequence[str], rate: float, seconds: float) -> float:
    """p99 in milliseconds."""
    found = load.latencies(running.url, paths, rate, seconds, headers=running.headers)
    return float(np.percentile(found, 99))


def _placed(paths: Sequence[str], placement: str) -> list[str]:
    return [f"{path}&placement={placement}" for path in paths]


def _reloading(home: Path, paths: Sequence[str]) -> list[Row]:
    """The tail of answers while placements or bundles are published again and again: where every answer is computed,
    and where all were kept, which a publication makes computed ones."""
    return [
        *_published(home, paths, "every answer computed", {"BOOKMATCH_CACHE_SIZE": "0"}, RELOADS),
        *_published(home, paths, "answers kept until they are published over", {}, RELOADS // 5),
    ]


def _published(home: Path, paths: Sequence[str], how: str, settings: Mapping[str, str], times: int) -> list[Row]:
    asked = [*_placed(paths, "every"), *paths]
    rows = []
    with load.bookmatch(home, {"BOOKMATCH_BUNDLE_POLL": "0.05", **settings}) as running:
        for _ in range(2):
            _most(running, asked, SECONDS)
        rate = _most(running, asked, SECONDS) / 2
        publications: tuple[tuple[str, Callable[[int], None]], ...] = (
            ("placements are published", lambda number: publish(home, number)),
            ("a bundle is put in force", _other_bundle(home)),
        )
        for what, put in publications:
            calm = _tail(running, asked, rate, CALM_SECONDS)
            publisher = threading.Thread(target=_publishing, args=(put, times))
            publisher.start()
            busy = _tail(running, asked, rate, times)
            publisher.join()
            rows.append(
                Row(
                    f"p99 while {what} {times} times, one a second, {how}, at {rate:,.0f} requests/s, half the most",
                    COMMAND,
                    f"no failed request; {busy:.2f} ms, else {calm:.2f} ms; ratio {busy / calm:.2f}",
                    f"no failed request, ≤ 2 ×: {_verdict(busy <= 2 * calm)}",
                )
            )
    return rows


def _publishing(put: Callable[[int], None], times: int) -> None:
    """Publishes once a second, from the core of the load, to which it gives way: it is not what is measured."""
    os.sched_setaffinity(0, {int(load.LOAD_CORE)})
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    started = time.perf_counter()
    for number in range(times):
        put(number)
        time.sleep(max(0.0, started + number + 1 - time.perf_counter()))


def _other_bundle(home: Path) -> Callable[[int], None]:
    """Puts one of two bundles in force, in turn: the one that is there, and a copy under another id."""
    repository = BundleRepository(ShopFolder(home).models)
    current = repository.current_id()
    assert current is not None
    source = repository.folder / current
    content = (source / "manifest.json").read_bytes() + b"\n"
    other = hashlib.sha256(content).hexdigest()[:16]
    copy = repository.folder / other
    if not copy.exists():
        shutil.copytree(source, copy)
        (copy / "manifest.json").write_bytes(content)
    ids = (other, current)
    # As `promote` does, without verifying again what is verified by whoever takes it into use.
    return lambda number: replace_file(
        repository.folder / "current", orjson.dumps([{"bundle": ids[number % 2], "action": "promote", "at": number}])
    )


def _verdict(met: bool) -> str:
    return "met" if met else "missed"
