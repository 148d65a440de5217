"""What lies in the tables of the embedded store, and how it is reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.events import Event, EventKind
from recsys.stores import open_store
from recsys.stores.sqlite import histories, ingest, scan, undone
from recsys.stores.sqlite.database import Database, Row
from recsys.stores.sqlite.store import SqliteStore
from tests.contracts.plain_store import event_frame, undo, view

FULL = Event(
    event_id="full",
    customer_id="ann",
    kind=EventKind.PURCHASE,
    item_id="book",
    timestamp=-1,
    position=2,
    quantity=2.5,
    price=9.99,
    currency="EUR",
    rating=4.5,
    session_id="session",
    recommendation_id="token",
    context='{"a": "ü"}',
)
SELECT = """
    SELECT customer_id, (SELECT item_id FROM items WHERE items.item = events.item), exposure, event_id, kind, timestamp,
           position, quantity, price, currency, rating, session_id, recommendation_id, context
    FROM events JOIN customers USING (customer) ORDER BY seq
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty store whose tables the test may look into."""
    with closing(open_store(tmp_path / "store.db")) as store:
        assert isinstance(store, SqliteStore)
        yield store


@pytest.mark.parametrize("live", [True, False], ids=["append", "ingest"])
def test_every_field_is_stored(store: SqliteStore, live: bool) -> None:
    """All thirteen fields of an event come to lie in their columns, whichever way it comes in."""
    bare = Event(event_id="bare", customer_id="bob", kind=EventKind.EMAIL_OPEN)
    if live:
        store.events.append([FULL, bare])
    else:
        store.events.ingest(event_frame([FULL, bare]))
    assert store._database.query(SELECT) == [
        ("ann", "book", 0, "full", 5, -1, 2, 2.5, 9.99, "EUR", 4.5, "session", "token", '{"a": "ü"}'),
        ("bob", None, 1, "bare", 19, None, None, 1.0, None, None, None, None, None, None),
    ]


def test_the_index_built_late_is_the_index(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first load that builds the index of event ids last leaves the same tables, and an interrupted one too."""
    monkeypatch.setattr(ingest, "_LATE_INDEX_ROWS", 2)
    shape = store._database.query("SELECT name, sql FROM sqlite_master ORDER BY name")
    frame = event_frame([view("e2", customer_id="bob"), view("e1"), view("e0", customer_id="zoe")])

    def stop(_: int) -> None:
        missing = [name for name, _ in shape if name not in dict(now())]
        assert missing == ["event_ids"]
        raise KeyboardInterrupt

    def now() -> list[tuple[str, str]]:
        return [(name, sql) for name, sql in store._database.query("SELECT name, sql FROM sqlite_master ORDER BY name")]

    with pytest.raises(KeyboardInterrupt):
        store.events.ingest(frame, stop)
    assert now() == shape
    assert store.events.ingest(frame).added == 3
    assert now() == shape
    assert store.events.append([view("e1"), view("e3")]) == [False, True]
    assert store._database.query("PRAGMA integrity_check") == [("ok",)]


def test_the_hot_queries_never_scan(store: SqliteStore) -> None:
    """Versions, histories and undos are found by index; everything is read in the order of the table."""
    store.events.append([view("e1"), undo("u", "e1")])

    def plan(sql: str, *values: object) -> str:
        return "\n".join(row[-1] for row in store._database.query(f"EXPLAIN QUERY PLAN {sql}", values))

    for sql, values in (
        (histories._WHO, ("ann",)),
        (histories._NEWEST_AMONG, ("[1, 2]",)),
        (histories._PACKED, (1,)),
        (histories._LATER, ("[1, 2]", 5, 9)),
        (histories._COUNT, (1, 9)),
        (histories._ANY_UNDO, (1,)),
        (histories._ALL_OWN.format(undone=""), (1,)),
        (histories._NEWEST_OWN.format(undone=""), (1, 5)),
        (undone._UNDOS_OF_ONE, (1,)),
    ):
        told = plan(sql, *values)
        assert "SCAN events" not in told
        assert "SCAN items" not in told
        assert "SCAN customers" not in told
        assert "SEARCH" in told
    assert plan(scan._READ) == "SCAN events"
    assert plan(scan._READ_WITHOUT, "[1]").startswith("SCAN events\n")
    assert "USING INDEX undos" in plan(undone._UNDOS_OF_ONE, 1)
    assert "USING INDEX undos" in plan(undone._ALL_UNDOS)
    assert "TEMP B-TREE" not in plan(histories._ALL_OWN.format(undone=""), 1)


def test_ids_are_stored_once(store: SqliteStore) -> None:
    """However often an id comes, and by whichever way, it has one row."""
    for turn in range(3):
        store.events.append([view(f"a{turn}")])
        store.events.ingest(event_frame([view(f"b{turn}"), view(f"c{turn}", item_id="other")]))
    assert store._database.query("SELECT customer_id FROM customers") == [("ann",)]
    assert store._database.query("SELECT item_id FROM items ORDER BY item") == [("book",), ("other",)]


def test_changed_items_are_found_by_their_index(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changed costs what changed: no statement walks over the table of items."""
    store.catalog.put(pl.DataFrame([{"item_id": "a"}, {"item_id": "b"}], schema=ITEM_SCHEMA))
    query, asked = Database.query, []

    def remembered(database: Database, sql: str, values: Sequence[object] = ()) -> list[Row]:
        asked.append((sql, values))
        return query(database, sql, values)

    with monkeypatch.context() as patch:
        patch.setattr(Database, "query", remembered)
        assert store.catalog.changes(0, 5) is not None
    plans = [str(store._database.query(f"EXPLAIN QUERY PLAN {sql}", values)) for sql, values in asked if "items" in sql]
    assert len(plans) == 3
    assert all("USING INDEX items_changed" in plan or "USING COVERING INDEX items_changed" in plan for plan in plans)
