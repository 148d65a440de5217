"""`bookmatch backup` and `bookmatch restore`, as they are typed."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from recsys.access.audit import Act
from recsys.data.events import Event, EventKind
from recsys.shop import ShopFolder
from recsys.stores import open_store
from recsys.stores.sqlite.copying import read_store_file
from tests.cli.conftest import Terminal
from tests.stores.old_stores import old_store


def test_a_backup_is_made_checked_and_put_back(tmp_path: Path, terminal: Terminal) -> None:
    """Each says what it did; the audit goes on; a customer who was forgotten meanwhile is counted."""
    home, target = tmp_path / "shop", tmp_path / "backup.tar"
    with closing(open_store(ShopFolder(home).store)) as store:
        events = [Event(event_id=who, customer_id=who, kind=EventKind.VIEW, item_id="x") for who in ("ann", "bob")]
        store.events.append(events)
    shop = ("--home", str(home))
    code, out, _ = terminal("backup", str(target), *shop)
    assert (code, "2 customers, 1 items" in out) == (0, True)
    code, out, _ = terminal("restore", str(target), "--check", *shop)
    assert (code, "is good" in out) == (0, True)
    with closing(open_store(ShopFolder(home).store)) as store:
        store.persons.forget("ann", 5)
    assert "--force" in terminal("restore", str(target), *shop)[2]
    code, out, _ = terminal("restore", str(target), "--force", "--json", *shop)
    assert code == 0
    carried = {"forgotten": 1, "foreign": 0, "keys": 0, "statements": 0, "mails": 0, "unreadable": []}
    assert json.loads(out)["carried_over"] == carried
    with closing(open_store(ShopFolder(home).store)) as store:
        assert [line.act for line in store.audit.read()] == [Act.STORE_BACKED_UP, Act.STORE_RESTORED]
    assert "is there already" in terminal("backup", str(target), *shop)[2]


def test_a_damaged_store_can_be_replaced_and_what_is_not_known_is_said(tmp_path: Path, terminal: Terminal) -> None:
    """Nobody can read who was forgotten in it: the message says what to do."""
    home = tmp_path / "shop"
    open_store(ShopFolder(home).store).close()
    assert terminal("backup", str(tmp_path / "backup"), "--home", str(home))[0] == 0
    ShopFolder(home).store.write_bytes(b"no database at all" * 999)
    code, out, _ = terminal("restore", str(tmp_path / "backup"), "--force", "--home", str(home))
    assert (code, "forget them again, from your receipts" in out) == (0, True)
    open_store(ShopFolder(home).store, create=False).close()


def test_a_backup_does_not_upgrade_the_store(tmp_path: Path, terminal: Terminal) -> None:
    """It is what is made before an upgrade."""
    store = old_store(ShopFolder(tmp_path / "shop").store, 2)
    code, out, _ = terminal("backup", str(tmp_path / "backup"), "--home", str(tmp_path / "shop"), "--json")
    assert (code, json.loads(out)["store_version"]) == (0, 2)
    assert read_store_file(store).version == 2
