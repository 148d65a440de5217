"""Events: from one worker to the answers of another, and how many are stored. Both are measured on a copy of the shop's
store, so that it stays as it was prepared."""

from __future__ import annotations

import http.client
import os
import shutil
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import orjson

from benchmarks.measured import Row
from benchmarks.serving import load
from recsys.data.events import EventKind
from recsys.stores.sqlite.schema import VERSION_1

TRIPS = 500
BATCH, BATCHES = 100, 200
CLIENTS = 4
_COMMAND = "python -m benchmarks.serving --only events"
_JSON = {"Content-Type": "application/json"}


def measure(home: Path, paths: Sequence[str]) -> list[Row]:
    """Both rows."""
    with _copied(home) as copy:
        return [_round_trips(copy, paths), _accepted(copy)]


@contextmanager
def _copied(home: Path) -> Iterator[Path]:
    """A shop with the same models and a store of its own, on the same disk."""
    with tempfile.TemporaryDirectory(dir=home.parent) as folder:
        copy = Path(folder)
        for part in home.iterdir():
            if part.name == "models":
                (copy / part.name).symlink_to(part.resolve())
            elif part.is_dir():
                shutil.copytree(part, copy / part.name)
            else:
                shutil.copy(part, copy / part.name)
        yield copy


@contextmanager
def _on_the_core_of_the_load() -> Iterator[None]:
    """Whoever asks here stays off the servers' core, as wrk and h2load do."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(load.LOAD_CORE)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _round_trips(home: Path, paths: Sequence[str]) -> Row:
    """A purchase is posted to one process and looked for in the list of another. Both share the servers' core, which
    others keep half busy: each process is asked, at a constant rate, a quarter of what one alone can answer."""
    with load.bookmatch(home) as one, load.bookmatch(home) as other, _on_the_core_of_the_load():
        # Histories are read from the store once and then kept: every customer was there before.
        for running in (one, other):
            load.requests_per_second(running.url, paths, 8.0, headers=running.headers)
        quarter = load.requests_per_second(one.url, paths, 3.0, headers=one.headers) / 4
        stop = threading.Event()

        def others(running: load.Running) -> None:
            while not stop.is_set():
                load.latencies(running.url, paths, quarter, 2.0, headers=running.headers)

        asking = [threading.Thread(target=others, args=(running,)) for running in (one, other)]
        for thread in asking:
            thread.start()
        try:
            milliseconds = _timed_trips(one, other)
        finally:
            stop.set()
            for thread in asking:
                thread.join()
    p50, p95, p99 = np.percentile(milliseconds, (50, 95, 99))
    waits = _bare_commits(home.parent)
    return Row(
        f"event posted, acknowledged and counted by another process, {TRIPS} round trips while both are asked "
        f"{quarter:,.0f} lists a second, half of what their core can do; p99",
        _COMMAND,
        f"{p99:.1f} ms (p50 {p50:.1f}, p95 {p95:.1f}); of that the disk: one row in bare SQLite waits "
        f"{np.percentile(waits, 99):.1f} ms (p50 {statistics.median(waits):.1f})",
        f"≤ 50 ms (stretch 10 ms): {'met' if p99 <= 50 else 'missed'}",
    )


def _timed_trips(written: load.Running, read: load.Running) -> list[float]:
    """Milliseconds from the post to the end of the answer that counts it."""
    posts, reads = (http.client.HTTPConnection("127.0.0.1", each.port) for each in (written, read))
    writing, reading = {**_JSON, **written.admin}, dict(read.headers)
    milliseconds = []
    for trip in range(TRIPS):
        event = {"customer_id": f"trip-{trip}", "item_id": f"i{trip:06}", "kind": "purchase"}
        started = time.perf_counter()
        posts.request("POST", "/v1/events", orjson.dumps({"events": [event]}), writing)
        assert orjson.loads(posts.getresponse().read())["results"][0]["status"] == "accepted"
        reads.request("GET", f"/v1/customers/trip-{trip}/recommendations?limit=20", headers=reading)
        answer = orjson.loads(reads.getresponse().read())
        milliseconds.append(1000 * (time.perf_counter() - started))
        assert answer["served_from"]["fallback"] is None, answer["served_from"]
    return milliseconds


def _accepted(home: Path) -> Row:
    """Batches of 100 through one worker, from clients that each wait for their answer, against bare inserts that are as
    durable."""
    rates: dict[int, list[float]] = {1: [], CLIENTS: []}
    theirs = []
    with load.bookmatch(home) as running, _on_the_core_of_the_load():
        for turn in range(3):
            for place, (clients, ours) in enumerate(rates.items()):
                first = (2 * turn + place) * BATCHES
                batches = [_batch(first + number) for number in range(BATCHES)]
                ours.append(BATCH * BATCHES / _posted(running, batches, clients))
            theirs.append(_bare(home.parent, batches))
    alone, together, bare = (statistics.median(each) for each in (*rates.values(), theirs))
    ratio = together / bare
    return Row(
        f"events accepted and durable, one worker, batches of 100 from {CLIENTS} clients at once",
        _COMMAND,
        f"{together:,.0f} events/s; bare SQLite inserts of the same rows {bare:,.0f}; ratio {ratio:.2f} (one client, "
        f"which waits for each answer before it sends the next batch: {alone:,.0f}, {alone / bare:.2f})",
        f"≥ 0.3 × (stretch 0.6 ×): {'met' if ratio >= 0.3 else 'missed'}",
    )


def _posted(running: load.Running, batches: Sequence[Sequence[dict[str, str]]], clients: int) -> float:
    """Seconds until every batch is acknowledged."""
    bodies = [orjson.dumps({"events": batch}) for batch in batches]

    def post(own: Sequence[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", running.port)
        for body in own:
            connection.request("POST", "/v1/events", body, {**_JSON, **running.admin})
            results = orjson.loads(connection.getresponse().read())["results"]
            if not all(result["status"] == "accepted" for result in results):
                raise RuntimeError(f"not accepted: {results[0]}")

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(post, [bodies[client::clients] for client in range(clients)]))
    return time.perf_counter() - started


def _batch(number: int) -> list[dict[str, str]]:
    stamp = time.time_ns()
    return [
        {
            "event_id": f"b{stamp}-{number}-{place}",
            "customer_id": f"c{(number * 37 + place) % 20_000:06}",
            "item_id": f"i{(number * BATCH + place) % 9_000:06}",
            "kind": "view",
        }
        for place in range(BATCH)
    ]


@contextmanager
def _bare_table(folder: Path) -> Iterator[sqlite3.Connection]:
    """An empty table of events as the store has it, with the same clustering key and the same indexes, that waits for
    the disk as the store does; on the same disk."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        database = sqlite3.connect(Path(place) / "bare.db", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        for statement in VERSION_1:
            if "CREATE TABLE events" in statement or "ON events" in statement:
                database.execute(statement)
        yield database
        database.close()


_INSERT = f"INSERT INTO events VALUES ({', '.join('?' * 15)})"


def _bare(folder: Path, batches: Sequence[Sequence[dict[str, str]]]) -> float:
    """Rows per second of raw inserts, one transaction per batch: the rows that the service stores for these batches,
    made before the clock starts. Nothing is parsed, checked or looked up."""
    ready = [
        [_row(each, 1 + number * BATCH + place) for place, each in enumerate(batch)]
        for number, batch in enumerate(batches)
    ]
    with _bare_table(folder) as database:
        started = time.perf_counter()
        for rows in ready:
            _commit(database, rows)
        return BATCH * len(batches) / (time.perf_counter() - started)


def _bare_commits(folder: Path) -> list[float]:
    """Milliseconds that one durable row takes, many times over."""
    with _bare_table(folder) as database:
        milliseconds = []
        for seq, each in enumerate(_batch(0), 1):
            started = time.perf_counter()
            _commit(database, [_row(each, seq)])
            milliseconds.append(1000 * (time.perf_counter() - started))
    return milliseconds


def _commit(database: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    database.execute("BEGIN IMMEDIATE")
    database.executemany(_INSERT, rows)
    database.execute("COMMIT")


def _row(event: dict[str, str], seq: int) -> tuple[object, ...]:
    """A row of the store's table: numbers stand for customer, item and kind."""
    customer, item, kind = int(event["customer_id"][1:]), int(event["item_id"][1:]), EventKind(event["kind"]).code
    told = (None, 1.0, None, None, None, None, None, None)
    return (customer, 0, seq, event["event_id"], item, kind, 1_760_000_000_000 + seq, *told)
