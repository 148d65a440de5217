"""What the doctor says of store, bundle and catalogue: each check with a real fault."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest

from recsys.bundle import BundleRepository
from recsys.shop import ShopFolder
from recsys.stores.sqlite.checkup import survey
from recsys.stores.sqlite.copying import NEWEST_VERSION
from recsys.stores.sqlite.database import Database
from serving.doctor.findings import Severity
from serving.doctor.store import log_size
from tests.serving.doctor.conftest import Examine, put_items
from tests.serving.shop import DAY, PER_SHELF, SHELVES, START, item, purchase, store_of

ALL = [item(shelf, place) for shelf in range(SHELVES) for place in range(PER_SHELF)]
OK, NOTE, WARNING, PROBLEM = Severity


def test_a_damaged_store_is_a_problem(examined: Examine, healthy: Path) -> None:
    """Pages in the middle of the file are overwritten."""
    path = ShopFolder(healthy).store
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(os.urandom(8 * 4096))
    found = examined()
    assert PROBLEM in {found[name].severity for name in ("store", "store integrity") if name in found}


def test_a_file_that_is_no_store_is_a_problem(examined: Examine, healthy: Path) -> None:
    """And the checks of its content are left out."""
    ShopFolder(healthy).store.write_text("no database, but a text that is long enough to look like one" * 100)
    found = examined()
    assert found["store"].severity is PROBLEM
    assert "events" not in found


@pytest.mark.parametrize(("step", "severity"), [(-1, WARNING), (1, PROBLEM)])
def test_a_store_of_another_version_says_so(examined: Examine, healthy: Path, step: int, severity: Severity) -> None:
    """An older one is brought to this version by a command that takes a backup first; a newer one cannot be read."""
    with sqlite3.connect(ShopFolder(healthy).store) as connection:
        connection.execute(f"PRAGMA user_version = {NEWEST_VERSION + step}")
    connection.close()
    found = examined()["store"]
    assert (found.severity, f"version {NEWEST_VERSION + step}" in found.found) == (severity, True)
    assert ("`bookmatch upgrade`" in found.remedy) == (step < 0)


def test_a_look_that_takes_too_long_is_given_up(healthy: Path) -> None:
    """The statement is ended, and the connection goes on."""
    database = Database.open(ShopFolder(healthy).store, mode="ro", busy_seconds=1)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    started = time.monotonic()
    with pytest.raises(TimeoutError), database.at_most(0.2):
        database.query(endless)
    assert time.monotonic() - started < 5
    with database.at_most(10):
        assert database.one("SELECT 1") == (1,)
    database.close()


def test_a_store_too_large_for_its_time_is_no_fault(examined: Examine) -> None:
    """What is not known is said to be so, and how to know it."""
    found = examined(seconds=1e-9)
    assert {found[name].severity for name in ("store integrity", "events")} <= {OK, NOTE}


def test_a_log_that_somebody_keeps_from_being_emptied_is_a_warning(healthy: Path) -> None:
    """A reader holds an old state while much is written."""
    path = ShopFolder(healthy).store
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    with store_of(healthy) as store:
        for day in range(20):
            store.events.append([purchase(f"new{n}", ALL[n % len(ALL)], day) for n in range(200)])
        assert log_size(path, 2**20).severity is WARNING
        assert log_size(path).severity is OK
    reader.close()


def test_events_that_name_other_items_than_the_catalogue_are_a_problem(examined: Examine, healthy: Path) -> None:
    """Nothing in common: examples of both sides are shown."""
    with store_of(healthy) as store:
        store.catalog.remove(ALL)
        store.events.append([purchase("c0", f"N-{n}", n) for n in range(3)])
    put_items(healthy, [f"n-{n}" for n in range(3)])
    found = examined()["ids"]
    assert found.severity is PROBLEM
    assert "'N-0', 'N-1', 'N-2'" in found.found
    assert "'n-0', 'n-1', 'n-2'" in found.found


def test_some_items_without_a_row_are_a_warning(examined: Examine, healthy: Path) -> None:
    """More than one in twenty; items that were taken off do not count."""
    with store_of(healthy) as store:
        store.catalog.remove(ALL[:60])
        assert examined()["ids"].severity is OK
        store.events.append([purchase("c0", f"new{n}", n) for n in range(30)])
    found = examined()["ids"]
    assert (found.severity, "30 of 90 items in events are not in the catalogue" in found.found) == (WARNING, True)


def test_a_shop_without_a_catalogue_is_told_what_it_lacks(examined: Examine, home: Path) -> None:
    """It serves all the same."""
    with store_of(home) as store:
        store.catalog.remove([item(0, 0)])
    found = examined(home=home)
    assert found["ids"].severity is NOTE
    assert "availability" not in found


@pytest.mark.parametrize(
    "column", [{"available": False}, {"published": (START + 30 * DAY) * 1000}, {"expires": START // 1000}]
)
def test_nothing_to_show_is_a_problem(examined: Examine, healthy: Path, column: dict[str, object]) -> None:
    """Sold out; dates in the wrong unit."""
    put_items(healthy, ALL, **column)
    assert examined()["availability"].severity is PROBLEM
    put_items(healthy, ALL[:3])
    assert examined()["availability"].severity is WARNING
    put_items(healthy, ALL[:60])
    assert examined()["availability"].severity is OK


def test_an_event_of_the_future_is_a_warning(examined: Examine, healthy: Path) -> None:
    """The clock is wrong, or the shop's times are."""
    assert examined(now=lambda: START + 9 * DAY)["clock"].severity is OK
    found = examined(now=lambda: START + 8 * DAY)["clock"]
    assert (found.severity, "NTP" in found.remedy) == (WARNING, True)


def test_an_empty_store_is_a_problem(examined: Examine, healthy: Path) -> None:
    """There is nothing to learn from."""
    with sqlite3.connect(ShopFolder(healthy).store) as connection:
        connection.execute("DELETE FROM events")
    connection.close()
    assert examined()["events"].severity is PROBLEM


def test_a_bundle_that_much_came_after_is_a_warning(examined: Examine, healthy: Path) -> None:
    """One event is no reason; one after more than a week is, and so are many on one day."""
    with store_of(healthy) as store:
        store.events.append([purchase("c0", ALL[0], 12)])
        assert examined()["bundle age"].severity is OK
        store.events.append([purchase("c0", ALL[0], 17)])
        assert examined()["bundle age"].severity is WARNING


def test_many_events_on_one_day_make_a_bundle_old(examined: Examine, healthy: Path) -> None:
    """A fifth of all."""
    with store_of(healthy) as store:
        store.events.append([purchase(f"c{n}", ALL[0], 10) for n in range(200)])
    found = examined()["bundle age"]
    assert (found.severity, "200 of 680 events" in found.found) == (WARNING, True)


def test_a_bundle_that_does_not_verify_is_a_problem(examined: Examine, healthy: Path) -> None:
    """One byte of one array."""
    repository = BundleRepository(ShopFolder(healthy).models)
    array = max((repository.folder / str(repository.current_id())).rglob("*.npy"), key=lambda path: path.stat().st_size)
    content = bytearray(array.read_bytes())
    content[-1] ^= 1
    array.write_bytes(content)
    assert examined()["bundle"].severity is PROBLEM


def test_a_shop_without_a_bundle_is_told_to_train_one(examined: Examine, healthy: Path) -> None:
    """A problem, as nothing answers."""
    (ShopFolder(healthy).models / "current").unlink()
    found = examined()["bundle"]
    assert (found.severity, "bookmatch train" in found.remedy) == (PROBLEM, True)


def test_events_in_the_archive_are_counted_too(tmp_path: Path) -> None:
    """Closed and live rows make one survey: the same as when all are live."""
    import polars as pl

    from recsys.data.events import EVENT_SCHEMA
    from recsys.stores.sqlite import ingest
    from recsys.stores.sqlite.store import SqliteStore

    events = [purchase(f"c{n % 9}", f"i{n % 7}", n % 5, n) for n in range(60)]
    rows = [{name: getattr(each, name) for name in EVENT_SCHEMA if hasattr(each, name)} for each in events]
    frame = pl.DataFrame([{**row, "kind": str(row["kind"]), "context": None} for row in rows], schema=EVENT_SCHEMA)
    found = []
    for name, closed in (("live", 1_000_000), ("closed", 1)):
        path = tmp_path / name / "store.db"
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(ingest, "ARCHIVED_ROWS", closed, raising=True)
            store = SqliteStore.open(path, create=True, read_only=False, busy_seconds=1)
            store.events.ingest(frame)
            store.close()
        put_items(path.parent, ["i0", "i1", "other"])
        found.append(survey(path, START + 2 * DAY, START, 10))
    assert any((tmp_path / "closed" / "store.db-archive").iterdir())
    assert found[0] == found[1]
    assert (found[0].events, found[0].since, found[0].items, found[0].without_row, found[0].never) == (60, 24, 7, 5, 1)
