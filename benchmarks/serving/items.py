"""Items: how long the next answer takes after one of them changed, in a catalogue where each has a row."""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
import polars as pl

from benchmarks.measured import Row
from benchmarks.serving import load
from recsys.bundle import BundleRepository
from recsys.data.catalog import ITEM_SCHEMA
from recsys.shop import ShopFolder
from recsys.stores import open_store
from serving.http.catalog_reading import ReadCatalog, read_catalog

CHANGES = 200
_COMMAND = "python -m benchmarks.serving --only items"
_JSON = {"Content-Type": "application/json"}
_DAY = 86_400_000
_PUBLISHED = 1_500_000_000_000


def measure(home: Path, paths: Sequence[str]) -> list[Row]:
    """One row: answers after a change, the same answers without one, and reading everything in the same run."""
    _describe(home)
    shop = ShopFolder(home)
    repository = BundleRepository(shop.models)
    bundle = repository.load(str(repository.current_id()))
    changed, unchanged, whole = [], [], []
    with load.bookmatch(home, {"BOOKMATCH_CACHE_SIZE": "0"}) as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.port)
        for number in range(CHANGES):
            path = paths[number % len(paths)]
            for _ in range(2):
                _answer(connection, path, running.headers)
            unchanged.append(_answer(connection, path, running.headers))
            row = {"title": f"Book {number}", "available": number % 2 == 0, "published": _PUBLISHED + number}
            connection.request("PUT", f"/v1/items/i{number // 2:06}", orjson.dumps(row), {**_JSON, **running.admin})
            stored = connection.getresponse()
            assert stored.read()
            assert stored.status in (200, 201)
            changed.append(_answer(connection, path, running.headers))
    for _ in range(5):
        started = time.perf_counter()
        read_catalog(shop.store, bundle.items, ReadCatalog.unread(bundle.items, tabled=False))
        whole.append(1000 * (time.perf_counter() - started))
    plain, after, everything = (statistics.median(values) for values in (unchanged, changed, whole))
    return [
        Row(
            f"first answer after one of {len(bundle.items):,} items changed, computed, one request at a time",
            _COMMAND,
            f"{after:.2f} ms; without a change {plain:.2f} ms; ratio {after / plain:.2f}; reading the whole catalogue "
            f"would take {everything:.0f} ms more",
            "–",
        )
    ]


def _answer(connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]) -> float:
    """Milliseconds until a list is there."""
    started = time.perf_counter()
    connection.request("GET", path, headers=dict(headers))
    body = connection.getresponse().read()
    elapsed = 1000 * (time.perf_counter() - started)
    assert b'"degraded":null' in body, body
    return elapsed


def _describe(home: Path) -> None:
    """A row for each item, with the date of its publication."""
    store = open_store(ShopFolder(home).store, create=False)
    ids = store.events.read().item_ids
    empty = {name: pl.lit(None, dtype=dtype) for name, dtype in ITEM_SCHEMA.items()}
    number = pl.int_range(len(ids))
    given = {
        "item_id": pl.Series(ids),
        "title": pl.format("Book {}", number),
        "price": 5 + (number % 100).cast(pl.Float64) / 4,
        "available": number % 20 != 0,
        "published": _PUBLISHED + (number * 7919) % 3000 * _DAY,
        "attributes": pl.lit('{"pages":300}'),
    }
    store.catalog.put(pl.select(**(empty | given)))
    store.close()
