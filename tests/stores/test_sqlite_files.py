"""Which files the embedded store opens, makes, brings up to date and refuses."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from recsys.data.events import Event, EventKind
from recsys.errors import StoreError, StoreUnavailableError, StoreVersionError
from recsys.stores import open_store
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.migrations import MIGRATIONS, Migration
from recsys.stores.sqlite.store import SqliteStore

EVENT = Event(event_id="e", customer_id="ann", kind=EventKind.PURCHASE, item_id="book")
VERSION_1 = (Path(__file__).parent / "version_1.sql").read_text()


def version_1_store(path: Path) -> Path:
    """A store as the release with version 1 left it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(VERSION_1)
    return path


def shape(path: Path) -> list[tuple[str, ...]]:
    """Tables, columns and indexes."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite%' ORDER BY name")
        listed = tables.fetchall()
        return listed + [
            (name, *column) for _, name in listed for column in connection.execute(f"PRAGMA table_xinfo({name})")
        ]


def user_version(path: Path) -> int:
    """The version that the file says."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def open_with(path: Path, steps: tuple[Migration, ...]) -> SqliteStore:
    """Opens as a release with these migrations would."""
    return SqliteStore.open(path, create=True, read_only=False, busy_seconds=0.1, steps=steps)


def add_column(database: Database) -> None:
    """A migration such as a later version may have."""
    database.run("ALTER TABLE customers ADD COLUMN language TEXT")
    database.run("UPDATE customers SET language = 'it'")


@pytest.mark.parametrize("read_only", [False, True])
def test_a_missing_store_is_not_made_unasked(tmp_path: Path, read_only: bool) -> None:
    """Without leave to create, the message names the command that makes a store, and nothing is made."""
    with pytest.raises(StoreError, match=r"no store at .*bookmatch import"):
        open_store(tmp_path / "shop" / "store.db", create=read_only, read_only=read_only)
    assert list(tmp_path.iterdir()) == []


def test_a_new_store_is_made_with_its_folder(tmp_path: Path) -> None:
    """Folder and file are made; commits wait for the disk and readers do not wait for writers."""
    path = tmp_path / "new" / "shop" / "store.db"
    with closing(open_store(path)) as store:
        assert isinstance(store, SqliteStore)
        assert store._database.one("PRAGMA journal_mode") == ("wal",)
        assert store._database.one("PRAGMA synchronous") == (2,)
        assert store._database.query("PRAGMA foreign_key_check") == []
    assert user_version(path) == len(MIGRATIONS)


@pytest.mark.parametrize("name", ["a b.db", "what?.db", "100%25.db", "#1.db", "name=x&mode=ro.db", "ü😀.db"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    """Characters that mean something in a URI are part of the name."""
    with closing(open_store(tmp_path / name)) as store:
        store.events.append([EVENT])
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_empty_file_is_no_store_yet(tmp_path: Path) -> None:
    """What an interrupted first start leaves is refused where nothing may be made, and becomes a store elsewhere."""
    path = tmp_path / "store.db"
    path.touch()
    with pytest.raises(StoreError, match=r"the file is empty.*bookmatch import"):
        open_store(path, create=False)
    assert path.stat().st_size == 0
    with closing(open_store(path)) as store:
        assert store.events.append([EVENT]) == [True]


def test_things_that_are_no_store_are_left_alone(tmp_path: Path) -> None:
    """A folder, a text, another program's database: each is named for what it is and not changed."""
    folder, text, foreign = tmp_path / "folder", tmp_path / "text", tmp_path / "foreign"
    folder.mkdir()
    text.write_text("customer,item\n" * 1000)
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE notes (note)")
    before = text.read_bytes(), foreign.read_bytes()
    for path, message in (
        (folder, "is a folder"),
        (text, "it is not a database"),
        (foreign, "another program"),
        (text / "store.db", "cannot be made"),
    ):
        with pytest.raises(StoreError, match=f"{message}.*To do: "):
            open_store(path)
    assert (text.read_bytes(), foreign.read_bytes()) == before


def test_a_damaged_store_says_so(tmp_path: Path) -> None:
    """Pages overwritten with noise are found when they are read, and the message says what to do."""
    path = tmp_path / "store.db"
    with closing(open_store(path)) as store:
        store.events.append([EVENT])
    damaged = bytearray(path.read_bytes())
    damaged[4096:] = b"\xff" * (len(damaged) - 4096)
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"it is damaged.*\.recover"):
        open_store(path)


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    """The message names both versions, and the file stays as it is."""
    path = tmp_path / "store.db"
    open_with(path, (*MIGRATIONS, add_column)).close()
    newer = len(MIGRATIONS) + 1
    with pytest.raises(StoreVersionError, match=rf"version {newer}\. Expected: version {newer - 1} or older.*install"):
        open_store(path)
    assert user_version(path) == newer


def test_a_store_of_version_1_opens(tmp_path: Path) -> None:
    """What the first release wrote is read, and has the tables that a new store has."""
    path = version_1_store(tmp_path / "old.db")
    with closing(open_store(path)) as store:
        assert store.histories.version("ann") == 1
        (row,) = store.histories.get("ann", 5).rows
        assert (row.item_id, row.kind, row.timestamp, row.quantity) == ("0042", EventKind.PURCHASE.code, 1000, 2.0)
        assert store.catalog.get(["0042"])["title"].to_list() == ["A title"]
        assert store.secret() == bytes(range(32))
        assert store.events.append([EVENT]) == [True]
        assert store.histories.version("ann") == 3
    open_store(tmp_path / "new.db").close()
    assert shape(path) == shape(tmp_path / "new.db")


def test_an_older_store_is_migrated(tmp_path: Path) -> None:
    """Each step from its version on is taken once, and what was stored is still there."""
    path = version_1_store(tmp_path / "store.db")
    for _ in range(2):
        with closing(open_with(path, (*MIGRATIONS, add_column))) as store:
            assert store._database.query("SELECT customer_id, language FROM customers") == [("ann", "it")]
            assert store.histories.version("ann") == 1
        assert user_version(path) == len(MIGRATIONS) + 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, StoreError])
def test_an_interrupted_migration_leaves_the_old_version(tmp_path: Path, error: type[BaseException]) -> None:
    """Steps are taken together: what an interrupted one did is taken back, and the old release can go on."""
    path = version_1_store(tmp_path / "store.db")
    before = shape(path)

    def interrupted(database: Database) -> None:
        assert database.query("SELECT language FROM customers") == [("it",)]
        database.run("DROP TABLE events")
        raise error("stopped here")

    with pytest.raises(error, match="stopped here"):
        open_with(path, (*MIGRATIONS[:1], add_column, interrupted))
    assert user_version(path) == 1
    assert shape(path) == before
    with closing(open_with(path, MIGRATIONS[:1])) as store:
        assert store._database.query("SELECT seq FROM events WHERE event_id = 'e1'") == [(1,)]


def test_an_interrupted_creation_can_be_repeated(tmp_path: Path) -> None:
    """Ctrl-C while the tables are made leaves no table; the next start makes the store."""

    def interrupted(_: Database) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_with(tmp_path / "store.db", (*MIGRATIONS, interrupted))
    assert shape(tmp_path / "store.db") == []
    with closing(open_store(tmp_path / "store.db")) as store:
        assert store.events.append([EVENT]) == [True]


def test_processes_that_make_a_store_at_once_share_it(tmp_path: Path) -> None:
    """Workers that start together on a new folder all get the same store."""
    script = (
        "import sys; from pathlib import Path; from recsys.stores import open_store;"
        "store = open_store(Path(sys.argv[1])); print(store.secret().hex()); store.close()"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "shop" / "store.db")]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    secrets = {worker.communicate(timeout=60)[0] for worker in workers}
    assert [worker.returncode for worker in workers] == [0] * 4
    assert len(secrets) == 1


def test_threads_that_make_a_store_at_once_share_it(tmp_path: Path) -> None:
    """The same, many times over, with starts as close together as they get."""

    start = threading.Barrier(6)

    def secret(path: Path) -> bytes:
        start.wait()
        with closing(open_store(path)) as store:
            return store.secret()

    with ThreadPoolExecutor(6) as pool:
        for turn in range(40):
            assert len(set(pool.map(secret, [tmp_path / f"{turn}.db"] * 6))) == 1


def test_a_store_opened_to_read_only_cannot_be_written(tmp_path: Path) -> None:
    """Writes are refused; what others write is seen."""
    path = tmp_path / "store.db"
    with closing(open_store(path)) as writer, closing(open_store(path, read_only=True)) as reader:
        number = reader.changes()
        with pytest.raises(StoreUnavailableError, match="cannot be written"):
            reader.events.append([EVENT])
        assert reader.changes() == number
        writer.events.append([EVENT])
        assert reader.changes() != number
        assert len(reader.histories.get("ann", 5).rows) == 1
    with closing(open_store(path, read_only=True)) as reader:
        assert len(reader.events.read().events) == 1


def test_an_older_store_is_not_migrated_by_a_reader(tmp_path: Path) -> None:
    """Reading only, the message says how to bring the store to this version."""
    path = version_1_store(tmp_path / "store.db")
    with pytest.raises(StoreError, match=r"version 1 and is opened to read only\. Expected: version 2"):
        SqliteStore.open(path, create=False, read_only=True, busy_seconds=0.1, steps=(*MIGRATIONS[:1], add_column))
    assert user_version(path) == 1


@contextmanager
def as_nobody() -> Iterator[Path]:
    """A folder that the current user may read but not write; root steps down meanwhile."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        open_store(folder / "store.db").close()
        for path in (folder, *folder.iterdir()):
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            if root:
                os.seteuid(65534)
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


def test_a_folder_without_write_permission_is_told(tmp_path: Path) -> None:
    """A store that cannot be written, or made, says which right is missing."""
    with as_nobody() as folder:
        with pytest.raises(StoreError, match=r"right to .*write"):
            open_store(folder / "other.db")
        with pytest.raises(StoreError, match="may write"):
            open_store(folder / "deeper" / "store.db")
        with (
            pytest.raises(StoreError, match=r"right to .*write"),
            closing(open_store(folder / "store.db")) as store,
        ):
            store.events.append([EVENT])


def test_only_this_folder_knows_sqlite() -> None:
    """Nothing outside the stores names SQLite's module or the embedded implementation."""
    root = Path(__file__).parents[2]
    sources = [path for package in ("recsys", "training", "serving") for path in (root / package).rglob("*.py")]
    assert len(sources) > 20
    outside = [path for path in sources if root / "recsys" / "stores" not in path.parents]
    assert [str(path) for path in outside if "sqlite3" in path.read_text() or "stores.sqlite" in path.read_text()] == []
