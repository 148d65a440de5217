"""Processes that tests start and end: `writers.py append|ingest|race STORE …`. What is printed is stored."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import polars as pl

from recsys.data.events import EVENT_SCHEMA, Event, EventKind
from recsys.stores import open_store
from recsys.stores.protocols import Store


def purchase(event_id: str) -> Event:
    """A purchase by ann."""
    return Event(event_id=event_id, customer_id="ann", kind=EventKind.PURCHASE, item_id=event_id, context="x" * 300)


def append(store: Store) -> None:
    """Batches of ten until somebody ends it."""
    for batch in range(100_000):
        ids = [f"{batch}-{n}" for n in range(10)]
        store.events.append([purchase(event_id) for event_id in ids])
        print(json.dumps(ids), flush=True)


def ingest(store: Store, *, slow: bool) -> None:
    """One frame, with a line per progress call; slowly, so that the end can come in the middle."""
    rows = 50_000
    frame = pl.DataFrame(
        {
            "event_id": [f"e{n}" for n in range(rows)],
            "customer_id": [f"c{n % 100}" for n in range(rows)],
            "item_id": "i",
            "kind": "view",
            "quantity": 1.0,
        }
    )
    frame = frame.with_columns(pl.lit(None, dtype=EVENT_SCHEMA[c]).alias(c) for c in EVENT_SCHEMA if c not in frame)

    def progress(done: int) -> None:
        print(done, flush=True)
        if slow:
            time.sleep(2)

    done = store.events.ingest(frame.select(list(EVENT_SCHEMA)), progress)
    print("added", done.added)


def race(store: Store, name: str) -> None:
    """Batches of events of its own and of events that the other side writes too; prints the new ones."""
    for batch in range(60):
        ids = [f"{name}-{batch}", *(f"both-{batch + n}" for n in range(3))]
        new = store.events.append([purchase(event_id) for event_id in ids])
        print(json.dumps([event_id for event_id, is_new in zip(ids, new, strict=True) if is_new]), flush=True)


if __name__ == "__main__":
    what, path, *rest = sys.argv[1:]
    opened = open_store(Path(path))
    if what == "append":
        append(opened)
    elif what == "ingest":
        ingest(opened, slow=rest == ["slow"])
    else:
        race(opened, rest[0])
    opened.close()
