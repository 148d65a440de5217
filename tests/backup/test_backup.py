"""A backup is one state of a shop that is in use, and what is restored is that state."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from recsys.access.audit import Act, Actor, audit
from recsys.access.keys import ApiKey, Role
from recsys.backup import back_up, carrying, restore
from recsys.backup.contents import Backup
from recsys.backup.restoring import check_backup
from recsys.bundle import BundleRepository
from recsys.data.events import Event, EventKind
from recsys.data.profile import Consent
from recsys.errors import InputError, StoreError
from recsys.shop import ShopFolder
from recsys.shop_lock import shop_in_use
from recsys.stores import open_store
from recsys.stores.ledger import LedgerEntry, Mailing, MailState, Move
from recsys.stores.protocols import Store
from recsys.stores.sqlite import copying, ingest, migrations
from recsys.stores.sqlite.copying import read_store_file
from tests.worlds import event_frame, published, two_tastes

WRITER = Path(__file__).parents[1] / "stores" / "writers.py"
NOW = 1_800_000_000_000


def purchase(customer: str, item: str) -> Event:
    """One purchase with an id of what it says."""
    return Event(event_id=f"{customer}|{item}", customer_id=customer, kind=EventKind.PURCHASE, item_id=item)


@contextmanager
def store_of(home: Path) -> Iterator[Store]:
    """The shop's store, made where there is none."""
    with closing(open_store(ShopFolder(home).store)) as store:
        yield store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop with live events and with closed partitions."""
    monkeypatch.setattr(ingest, "ARCHIVED_ROWS", 20)
    home = tmp_path / "shop"
    with store_of(home) as store:
        rows = [(f"c{n % 5}", f"i{n}", EventKind.VIEW, n) for n in range(40)]
        store.events.ingest(event_frame(rows))
        store.events.append([purchase("ann", "book"), purchase("bob", "book")])
    assert read_store_file(ShopFolder(home).store).partitions
    return home


def contents(home: Path) -> dict[str, list[str]]:
    """Everybody's event ids."""
    with store_of(home) as store:
        table = store.events.read()
        return {who: sorted(store.persons.events(who)["event_id"]) for who in sorted(table.customer_ids)}


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_what_is_restored_is_what_was_there(home: Path, tmp_path: Path, name: str) -> None:
    """Events of the table and of the archive; in another folder, and in the place of what came later."""
    before, target = contents(home), tmp_path / name
    made = back_up(ShopFolder(home), target, NOW)
    assert made.rows["customers"] == 7
    with store_of(home) as store:
        store.events.append([purchase("cid", "book")])
    restore(target, ShopFolder(tmp_path / "other"))
    assert contents(tmp_path / "other") == before
    restore(target, ShopFolder(home), force=True)
    assert contents(home) == before
    assert not list(home.glob(".*unfinished*")) + list(tmp_path.glob(".*unfinished*"))
    assert target.stat().st_mode & 0o077 == 0, "what customers did is for nobody else to read"


def test_a_backup_while_somebody_writes_is_one_state_between_its_start_and_its_end(tmp_path: Path) -> None:
    """Whatever was acknowledged before it began is in it; and what is in it is a beginning of what was written."""
    home = tmp_path / "shop"
    with store_of(home):
        pass
    with subprocess.Popen(
        [sys.executable, str(WRITER), "append", str(ShopFolder(home).store)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(WRITER.parents[2])},
    ) as writer:
        assert writer.stdout is not None
        for number in range(3):
            acknowledged = [json.loads(writer.stdout.readline()) for _ in range(15)]
            back_up(ShopFolder(home), tmp_path / f"backup-{number}", NOW)
            restore(tmp_path / f"backup-{number}", ShopFolder(tmp_path / f"restored-{number}"))
            with store_of(tmp_path / f"restored-{number}") as store:
                stored = store.persons.events("ann")["event_id"].to_list()
            assert {each for batch in acknowledged for each in batch} <= set(stored)
            assert stored == [f"{place // 10}-{place % 10}" for place in range(len(stored))]
            assert len(stored) % 10 == 0, "no half of what was written together"
        assert writer.poll() is None
        writer.kill()


def test_a_killed_backup_leaves_nothing_under_its_name(home: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle: no target; the next one removes what the first left."""
    program = (
        "import sys, time; from pathlib import Path; from recsys.shop import ShopFolder; "
        "import recsys.backup.writing as w; "
        "w.check_store_file = lambda path: (print('there', flush=True), time.sleep(60));"
        "w.back_up(ShopFolder(Path(sys.argv[1])), Path(sys.argv[2]), 0)"
    )
    target = tmp_path / "backup.tar"
    command = [sys.executable, "-c", program, str(home), str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        process.send_signal(signal.SIGKILL)
    assert not target.exists()
    assert len(list(tmp_path.glob(".backup.tar.unfinished-*"))) == 1
    back_up(ShopFolder(home), target, NOW)
    assert not list(tmp_path.glob(".backup.tar.unfinished-*"))


@pytest.mark.parametrize("step", ["open_store", "carry_over", "settle_log", "_swap_placements"])
def test_a_killed_restore_leaves_the_old_store_or_the_new_one(home: Path, tmp_path: Path, step: str) -> None:
    """SIGKILL before each of its steps: either is whole, and the next restore brings the new one."""
    target = tmp_path / "backup"
    back_up(ShopFolder(home), target, NOW)
    new = contents(home)
    with store_of(home) as store:
        store.events.append([purchase("cid", "book")])
        store.persons.forget("c0", NOW)
    old = contents(home)
    program = (
        "import os, sys; from pathlib import Path; from recsys.shop import ShopFolder; "
        "import recsys.backup.restoring as r;"
        "setattr(r, sys.argv[3], lambda *_, **__: os.kill(os.getpid(), 9));"
        "r.restore(Path(sys.argv[2]), ShopFolder(Path(sys.argv[1])), force=True)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(home), str(target), step], check=False)
    assert done.returncode == -signal.SIGKILL
    forgotten = {who: events for who, events in new.items() if who != "c0"}
    assert contents(home) == (forgotten if step == "_swap_placements" else old)
    restore(target, ShopFolder(home), force=True)
    assert contents(home) == forgotten
    assert not list(home.glob(".restore.unfinished-*"))


def test_whoever_was_forgotten_since_stays_forgotten(home: Path, tmp_path: Path) -> None:
    """An older backup has them, live and in the archive; what is restored does not, and never takes them again."""
    back_up(ShopFolder(home), tmp_path / "backup", NOW)
    with store_of(home) as store:
        for who in ("ann", "c1"):
            store.persons.forget(who, NOW + 5)
    shutil.copytree(home, tmp_path / "newer")
    done = restore(tmp_path / "backup", ShopFolder(home), force=True)
    assert done.carried.forgotten == 2
    other = tmp_path / "other"
    assert restore(tmp_path / "backup", ShopFolder(other), tmp_path / "newer" / "store.db").carried.forgotten == 2
    for shop in (home, other):
        assert contents(shop).keys() == {"bob", "c0", "c2", "c3", "c4"}
        with store_of(shop) as store:
            assert store.persons.forgotten(["ann", "c1", "bob"]) == {"ann": NOW + 5, "c1": NOW + 5}
        raw = b"".join(path.read_bytes() for path in shop.rglob("*") if path.is_file())
        assert b"ann|book" not in raw


@pytest.mark.parametrize("named", [False, True])
def test_a_restore_brings_nobody_back_onto_a_list_and_sends_nothing_twice(
    home: Path, tmp_path: Path, named: bool
) -> None:
    """What was refused, switched off, found unreachable and mailed since the backup holds after it is restored."""
    yes, no = Consent("news", True, "form", 5), Consent("news", False, "unsubscribe link", 9)
    first, second = (Mailing(name, "spring", "news", 7, 3) for name in ("first", "second"))
    entries = [LedgerEntry("ann", "", "<1@x>"), LedgerEntry("bob", "", "<2@x>"), LedgerEntry("c1", "holdout")]
    with store_of(home) as store:
        for who in ("ann", "bob", "c1"):
            store.profiles.put(who, [yes])
        store.ledger.begin(first, entries)
    back_up(ShopFolder(home), tmp_path / "backup", NOW)
    with store_of(home) as store:
        store.profiles.put("ann", [no])
        store.profiles.put("bob", recommendations=False)
        store.profiles.put("stranger", [no, replace(yes, stated=12)])
        store.addresses.mark("bob", "bob@mail.example", "550", 8)
        store.ledger.begin(second, [each._replace(message_id=f"{each.message_id}2") for each in entries])
        for name in ("first", "second"):
            store.ledger.move(name, [Move("ann", MailState.SENDING)], 10)
            store.ledger.move(name, [Move("ann", MailState.SENT)], 11)
        store.persons.forget("c1", NOW + 5)
    target, other = home, None
    if named:
        shutil.copytree(home, tmp_path / "newer")
        target, other = tmp_path / "other", tmp_path / "newer" / "store.db"
    done = restore(tmp_path / "backup", ShopFolder(target), other, force=True)
    assert (done.carried.statements, done.carried.mails) == (3, 4)
    with store_of(target) as store:
        assert store.profiles.get("ann").consents == {"news": no}
        assert not store.profiles.get("bob").recommendations
        assert store.profiles.get("stranger").allows("news")
        assert list(store.addresses.undeliverable(["bob@mail.example"])) == ["bob@mail.example"]
        for name in ("first", "second"):
            states = dict(store.ledger.rows(name).select("customer_id", "state").iter_rows())
            assert states == {"ann": "sent", "bob": "uncertain"}
            assert store.ledger.totals(name).reconciles
            assert store.ledger.totals(name).forgotten == 1
        assert store.ledger.begin(second, entries) is False
    # A backup that is newer than the store that it replaces takes nothing back either.
    back_up(ShopFolder(target), tmp_path / "newest", NOW + 9)
    restore(tmp_path / "backup", ShopFolder(tmp_path / "third"))
    restore(tmp_path / "newest", ShopFolder(tmp_path / "third"), force=True)
    with store_of(tmp_path / "third") as store:
        assert dict(store.ledger.rows("first").select("customer_id", "state").iter_rows())["ann"] == "sent"
        assert store.profiles.get("ann").consents == {"news": no}


def test_keys_and_the_audit_are_not_put_back(home: Path, tmp_path: Path) -> None:
    """A key that was revoked since stays so, one that was made since stays; no line of the audit is lost."""

    def key(name: str) -> ApiKey:
        return ApiKey(name, name.encode(), Role.ADMIN, name, NOW, (), (), None, None, None)

    with store_of(home) as store:
        store.keys.add(key("old"))
        audit(store, Act.KEY_CREATED, ["old"], Actor("user:me"), NOW)
    back_up(ShopFolder(home), tmp_path / "backup", NOW)
    with store_of(home) as store:
        store.keys.revoke("old", NOW + 1)
        store.keys.add(key("new"))
        audit(store, Act.KEY_REVOKED, ["old"], Actor("user:me"), NOW)
        keys, lines = store.keys.all(), store.audit.read()
    assert restore(tmp_path / "backup", ShopFolder(home), force=True).carried.keys == 2
    with store_of(home) as store:
        assert (store.keys.all(), store.audit.read()) == (keys, lines)


def test_a_key_that_was_revoked_in_a_store_of_an_older_release_stays_so(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release is new, the store not yet upgraded, and a backup is put back: the key opens nothing again."""
    with store_of(home) as store:
        store.keys.add(ApiKey("leaked", b"leaked", Role.ADMIN, "leaked", NOW))
    back_up(ShopFolder(home), tmp_path / "backup", NOW)
    with store_of(home) as store:
        store.keys.revoke("leaked", NOW + 1)
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, lambda database: None))
    for module in (copying, carrying):
        monkeypatch.setattr(module, "NEWEST_VERSION", len(migrations.MIGRATIONS))
    assert restore(tmp_path / "backup", ShopFolder(home), force=True).carried.keys == 1
    with store_of(home) as store:
        assert [key.revoked for key in store.keys.all()] == [NOW + 1]


def test_a_newer_store_that_is_named_has_to_be_there_and_is_left_as_it_is(home: Path, tmp_path: Path) -> None:
    """A mistyped path must not bring back who was forgotten; the store of a later backup stays one that is good."""
    back_up(ShopFolder(home), tmp_path / "old", NOW)
    with store_of(home) as store:
        store.persons.forget("ann", NOW + 5)
    back_up(ShopFolder(home), tmp_path / "new", NOW)
    other = ShopFolder(tmp_path / "other")
    (tmp_path / "odd.db").write_bytes(b"no database at all" * 999)
    with pytest.raises(InputError, match="there is no store at"):
        restore(tmp_path / "old", other, tmp_path / "mistyped" / "store.db")
    with pytest.raises(StoreError):
        restore(tmp_path / "old", other, tmp_path / "odd.db")
    assert not other.store.exists()
    done = restore(tmp_path / "old", other, tmp_path / "new" / "store.db")
    assert (done.carried.forgotten, done.carried.unreadable) == (1, ())
    assert check_backup(tmp_path / "new", [tmp_path]).files


def test_a_restore_where_no_store_is_says_that_nobody_knows_who_was_forgotten(home: Path, tmp_path: Path) -> None:
    """Nothing could be taken over, which is no less than when the old store cannot be read."""
    back_up(ShopFolder(home), tmp_path / "backup", NOW)
    (cause,) = restore(tmp_path / "backup", ShopFolder(tmp_path / "other")).carried.unreadable
    assert cause.startswith("there was no store at ")


def test_restoring_into_a_shop_with_a_store_needs_force(home: Path, tmp_path: Path) -> None:
    """And nobody who uses it; the store stays."""
    back_up(ShopFolder(home), tmp_path / "backup", NOW)
    before = contents(home)
    with pytest.raises(InputError, match="there is a store"):
        restore(tmp_path / "backup", ShopFolder(home))
    with shop_in_use(home), pytest.raises(InputError, match="is in use"):
        restore(tmp_path / "backup", ShopFolder(home), force=True)
    assert contents(home) == before


@pytest.mark.parametrize("harm", ["flip", "cut", "lose", "add", "newer", "manifest"])
def test_a_damaged_backup_is_refused_and_nothing_is_touched(home: Path, tmp_path: Path, harm: str) -> None:
    """Each kind of damage is named, and the store is what it was."""
    backup = tmp_path / "backup"
    back_up(ShopFolder(home), backup, NOW)
    before = contents(home)
    victim = next((backup / "store.db-archive").rglob("item*"))
    match harm:
        case "flip":
            content = bytearray(victim.read_bytes())
            content[-1] ^= 1
            victim.write_bytes(content)
        case "cut":
            victim.write_bytes(victim.read_bytes()[:-1])
        case "lose":
            victim.unlink()
        case "add":
            (backup / "more").touch()
        case "newer":
            text = (backup / "backup.json").read_text()
            (backup / "backup.json").write_text(text.replace('"format": 1', '"format": 2'))
        case _:
            (backup / "backup.json").unlink()
    expected = {"newer": "format 2", "manifest": "is no backup", "add": "not in its list", "lose": "is missing"}
    with pytest.raises(InputError, match=expected.get(harm, "is not as it was written")):
        restore(backup, ShopFolder(home), force=True)
    assert contents(home) == before


def test_a_tar_file_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    """Paths out of the folder, and links."""
    for name, kind in (("../evil", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)):
        with tarfile.open(tmp_path / "evil.tar", "w") as tar:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        with pytest.raises(InputError, match="no plain file"):
            restore(tmp_path / "evil.tar", ShopFolder(tmp_path / "shop"))
    assert not (tmp_path / "evil").exists()


def test_a_damaged_archive_is_not_backed_up_in_silence(home: Path, tmp_path: Path) -> None:
    """A file that is cut, and one that is gone."""
    victim = next((home / "store.db-archive").rglob("item*"))
    content = victim.read_bytes()
    victim.write_bytes(content[:-1])
    with pytest.raises(StoreError, match=r"has .* bytes"):
        back_up(ShopFolder(home), tmp_path / "backup", NOW)
    shutil.rmtree(victim.parent)
    with pytest.raises(StoreError, match="archive is damaged"):
        back_up(ShopFolder(home), tmp_path / "backup", NOW)
    assert not (tmp_path / "backup").exists()


def test_a_customer_who_is_forgotten_during_the_backup_is_not_in_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The partition goes away between the copy of the store and its own: the copy begins anew."""
    from recsys.backup import writing

    real, asked = writing.copy_store, []

    def copy_then_forget(source: Path, target: Path) -> None:
        real(source, target)
        if not asked:
            asked.append(1)
            with store_of(home) as store:
                store.persons.forget("c1", NOW)

    monkeypatch.setattr(writing, "copy_store", copy_then_forget)
    back_up(ShopFolder(home), tmp_path / "backup", NOW)
    restore(tmp_path / "backup", ShopFolder(tmp_path / "other"))
    assert "c1" not in contents(tmp_path / "other")
    assert len(contents(tmp_path / "other")) == 6


def test_the_model_in_force_and_the_placements_come_along(home: Path, tmp_path: Path) -> None:
    """A new shop answers at once; one that has versions of its own keeps them."""
    bundle = published(ShopFolder(home).models, two_tastes())
    (home / "placements" / "1").mkdir(parents=True)
    (home / "placements" / "1" / "placements.toml").write_text("[filters]")
    (home / "placements" / "current").write_text("1")
    back_up(ShopFolder(home), tmp_path / "backup.tar", NOW, models=True)
    restore(tmp_path / "backup.tar", ShopFolder(tmp_path / "other"))
    repository = BundleRepository(ShopFolder(tmp_path / "other").models)
    assert repository.load(repository.current_id() or "").bundle_id == bundle.bundle_id
    assert (tmp_path / "other" / "placements" / "1" / "placements.toml").read_text() == "[filters]"


def test_a_backup_needs_a_new_name_and_a_store(home: Path, tmp_path: Path) -> None:
    """Nothing is overwritten; an empty folder is no shop."""
    with pytest.raises(InputError, match="is there already"):
        back_up(ShopFolder(home), tmp_path, NOW)
    with pytest.raises(StoreError, match="there is no store"):
        back_up(ShopFolder(tmp_path), tmp_path / "backup", NOW)
    with pytest.raises(InputError, match="there is no backup"):
        restore(tmp_path / "none", ShopFolder(tmp_path / "other"))


def test_a_restored_store_says_when_it_is_of(home: Path, tmp_path: Path) -> None:
    """The list of files is read back as it was written."""
    made = back_up(ShopFolder(home), tmp_path / "backup", NOW)
    assert Backup.read(tmp_path / "backup") == made
    assert made.at == NOW


def test_a_backup_beside_which_nothing_can_be_written_is_checked_elsewhere(home: Path, tmp_path: Path) -> None:
    """It may lie on a disk that is only read: the copy is made in the next folder; where there is none it says so."""
    made = back_up(ShopFolder(home), tmp_path / "backup", NOW)
    (tmp_path / "no-folder").touch()
    (tmp_path / "elsewhere").mkdir()
    assert check_backup(tmp_path / "backup", [tmp_path / "no-folder", tmp_path / "elsewhere"]) == made
    assert not list((tmp_path / "elsewhere").iterdir())
    with pytest.raises(InputError, match=r"nowhere one can be written.*no-folder"):
        check_backup(tmp_path / "backup", [tmp_path / "no-folder"])


def test_a_restore_and_its_line_in_the_audit_are_one(home: Path, tmp_path: Path) -> None:
    """Where the line cannot be written nothing is restored, so no kill can leave one without the other."""
    back_up(ShopFolder(home), tmp_path / "backup", NOW)
    with store_of(home) as store:
        store.events.append([purchase("cid", "book")])

    def full(store: Store) -> None:
        raise StoreError("the disk is full")

    def account(store: Store) -> None:
        audit(store, Act.STORE_RESTORED, ["backup"], Actor("user:ann"), NOW)

    with pytest.raises(StoreError, match="the disk is full"):
        restore(tmp_path / "backup", ShopFolder(home), account=full, force=True)
    with store_of(home) as store:
        assert store.histories.version("cid")
    restore(tmp_path / "backup", ShopFolder(home), account=account, force=True)
    with store_of(home) as store:
        assert not store.histories.version("cid")
        assert [line.act for line in store.audit.read()] == [Act.STORE_RESTORED]
