"""Events: from one worker to the answers of another, and how many are stored."""

from __future__ import annotations

import http.client
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson

from benchmarks.measured import Row
from benchmarks.serving import load

TRIPS = 300
BATCH, BATCHES = 100, 200
_COMMAND = "python -m benchmarks.serving --only events"


def measure(home: Path, paths: Sequence[str]) -> list[Row]:
    """Both rows."""
    return [_round_trips(home, paths), _accepted(home)]


def _round_trips(home: Path, paths: Sequence[str]) -> Row:
    """A purchase is posted to one process and looked for in the list of another, while both are asked by others."""
    with load.bookmatch(home) as one, load.bookmatch(home, core=load.LOAD_CORE) as other:
        stop = threading.Event()

        def others() -> None:
            while not stop.is_set():
                load.requests_per_second(one.url, paths, 1.0, connections=2)

        asking = threading.Thread(target=others)
        asking.start()
        posts = http.client.HTTPConnection("127.0.0.1", one.port)
        reads = http.client.HTTPConnection("127.0.0.1", other.port)
        milliseconds = []
        try:
            for trip in range(TRIPS):
                path = f"/v1/customers/trip-{trip}/recommendations?limit=20"
                started = time.perf_counter()
                event = {"customer_id": f"trip-{trip}", "item_id": f"i{trip:06}", "kind": "purchase"}
                posts.request("POST", "/v1/events", orjson.dumps({"events": [event]}), _JSON)
                assert orjson.loads(posts.getresponse().read())["results"][0]["status"] == "accepted"
                reads.request("GET", path)
                answer = orjson.loads(reads.getresponse().read())
                milliseconds.append(1000 * (time.perf_counter() - started))
                assert answer["served_from"]["fallback"] is None, answer["served_from"]
        finally:
            stop.set()
            asking.join()
    p99 = float(np.percentile(milliseconds, 99))
    return Row(
        f"event posted, acknowledged and counted by another process, {TRIPS} round trips under load, p99",
        _COMMAND,
        f"{p99:.1f} ms (p50 {statistics.median(milliseconds):.1f})",
        f"≤ 50 ms (stretch 10 ms): {'met' if p99 <= 50 else 'missed'}",
    )


_JSON = {"Content-Type": "application/json"}


def _accepted(home: Path) -> Row:
    """Batches of 100 through one worker, one after the other, against bare inserts that are as durable."""
    ours, theirs = [], []
    with load.bookmatch(home) as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.port)
        for turn in range(3):
            bodies = [_batch(turn * BATCHES + number) for number in range(BATCHES)]
            started = time.perf_counter()
            for body in bodies:
                connection.request("POST", "/v1/events", body, _JSON)
                results = orjson.loads(connection.getresponse().read())["results"]
                assert all(result["status"] == "accepted" for result in results), results[0]
            ours.append(BATCH * BATCHES / (time.perf_counter() - started))
            theirs.append(_bare())
    ratio = statistics.median(ours) / statistics.median(theirs)
    return Row(
        "events accepted and durable, one worker, batches of 100",
        _COMMAND,
        f"{statistics.median(ours):,.0f} events/s; bare SQLite inserts {statistics.median(theirs):,.0f}; "
        f"ratio {ratio:.2f}",
        f"≥ 0.3 × (stretch 0.6 ×): {'met' if ratio >= 0.3 else 'missed'}",
    )


def _batch(number: int) -> bytes:
    stamp = time.time_ns()
    return orjson.dumps(
        {
            "events": [
                {
                    "event_id": f"b{stamp}-{number}-{place}",
                    "customer_id": f"c{(number * 37 + place) % 20_000:06}",
                    "item_id": f"i{(number * BATCH + place) % 9_000:06}",
                    "kind": "view",
                }
                for place in range(BATCH)
            ]
        }
    )


def _bare() -> float:
    """Rows per second of the same content in a bare table with the same durability, one transaction per batch."""
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE events (event_id TEXT PRIMARY KEY, customer TEXT, item TEXT, kind INT, at INT)")
        batches = [orjson.loads(_batch(number))["events"] for number in range(BATCHES)]
        started = time.perf_counter()
        for batch in batches:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
                [(each["event_id"], each["customer_id"], each["item_id"], 1, 0) for each in batch],
            )
            database.execute("COMMIT")
        seconds = time.perf_counter() - started
        database.close()
    return BATCH * BATCHES / seconds
