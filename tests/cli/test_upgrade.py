"""`bookmatch upgrade`: what it says on a copy is what it does, and what it does can be undone."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from recsys.access.audit import Act
from recsys.backup import restore
from recsys.errors import StoreError
from recsys.shop import ShopFolder
from recsys.shop_lock import shop_in_use
from recsys.stores import open_store
from recsys.stores.sqlite import migrations
from recsys.stores.sqlite.copying import NEWEST_VERSION, read_store_file
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.upgrading import rehearse
from tests.cli.conftest import Terminal
from tests.stores.old_stores import old_store
from tests.worlds import published, two_tastes

OLD = range(1, NEWEST_VERSION)


def upgraded(terminal: Terminal, home: Path, *options: str) -> dict[str, Any]:
    """What the command says, for programs."""
    code, out, err = terminal("upgrade", "--home", str(home), "--json", *options)
    assert code == 0, err
    report: dict[str, Any] = json.loads(out)
    return report


@pytest.mark.parametrize("version", OLD)
def test_a_dry_run_changes_nothing_and_says_all(tmp_path: Path, terminal: Terminal, version: int) -> None:
    """Not a byte of the store, while somebody uses it; the copy is gone."""
    home = tmp_path / "shop"
    store = old_store(ShopFolder(home).store, version)
    before = store.read_bytes()
    with shop_in_use(home):
        report = upgraded(terminal, home, "--dry-run")
    told = report["store"]
    assert (told["version"], told["newest"], told["upgraded"]) == (version, NEWEST_VERSION, False)
    assert (told["rows"]["events"], told["rehearsed"]) == (2, True)
    assert store.read_bytes() == before
    assert read_store_file(store).version == version
    assert not list(home.glob(".upgrade*"))
    assert not (home / "backups").exists()


@pytest.mark.parametrize("version", OLD)
def test_an_upgrade_keeps_everything_and_a_backup(tmp_path: Path, terminal: Terminal, version: int) -> None:
    """The events answer, the audit says so, and the backup is of the old version."""
    home = tmp_path / "shop"
    old_store(ShopFolder(home).store, version)
    report = upgraded(terminal, home)
    assert report["store"]["upgraded"]
    assert read_store_file(ShopFolder(home).store).version == NEWEST_VERSION
    with closing(open_store(ShopFolder(home).store)) as store:
        assert store.persons.events("ann")["event_id"].to_list() == ["e1", "e2"]
        assert [line.act for line in store.audit.read()] == [Act.STORE_UPGRADED]
    done = restore(Path(report["backup"]), ShopFolder(tmp_path / "other"))
    assert done.backup.store_version == version
    assert upgraded(terminal, home)["store"]["upgraded"] is False
    assert "nothing to do" in terminal("upgrade", "--home", str(home))[1]


def test_a_shop_in_use_is_not_upgraded(tmp_path: Path, terminal: Terminal) -> None:
    """The store stays of its version."""
    store = old_store(ShopFolder(tmp_path).store, 1)
    with shop_in_use(tmp_path):
        code, _, err = terminal("upgrade", "--home", str(tmp_path))
    assert (code, "is in use" in err) == (1, True)
    assert read_store_file(store).version == 1


def test_a_migration_that_loses_something_is_found_on_the_copy(
    tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is not touched, and no backup is needed."""

    *first, last = migrations.MIGRATIONS

    def loses(database: Database) -> None:
        last(database)
        database.run("DELETE FROM events WHERE event_id = 'e1'")

    home = tmp_path / "shop"
    store = old_store(ShopFolder(home).store, NEWEST_VERSION - 1)
    monkeypatch.setattr(migrations, "MIGRATIONS", (*first, loses))
    (tmp_path / "copy").mkdir()
    with pytest.raises(StoreError, match="events had 2 rows and has 1"):
        rehearse(store, tmp_path / "copy")
    assert read_store_file(store).rows["events"] == 2


def test_what_else_is_to_do_is_said(tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle of an older format, and a variable that nothing reads."""
    home = tmp_path / "shop"
    old_store(ShopFolder(home).store, 2)
    bundle = published(ShopFolder(home).models, two_tastes())
    manifest = ShopFolder(home).models / bundle.bundle_id / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 5', '"format_version": 3'))
    monkeypatch.setenv("BOOKMATCH_CACHESIZE", "3")
    report = upgraded(terminal, home, "--dry-run")
    assert [(each["bundle"], each["in_force"]) for each in report["bundles"]] == [(bundle.bundle_id, True)]
    assert "format version 3" in report["bundles"][0]["cause"]
    assert "BOOKMATCH_CACHESIZE" in report["settings"]
    out = terminal("upgrade", "--home", str(home), "--dry-run")[1]
    assert "bookmatch retrain" in out
    assert "nothing was changed" in out


def test_without_room_or_a_store_there_is_no_upgrade(
    tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are told before anything is copied."""
    assert "there is no store" in terminal("upgrade", "--home", str(tmp_path / "none"))[2]
    from recsys.cli import upgrade

    old_store(ShopFolder(tmp_path).store, 1)
    monkeypatch.setattr(upgrade, "_ROOM", 1e12)
    assert "are free on the disk" in terminal("upgrade", "--home", str(tmp_path))[2]
