"""`bookmatch keys` and `bookmatch audit`, as typed."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from recsys.access.audit import Act, customer_mark
from recsys.access.keys import KEY, digest
from recsys.data.catalog import ITEM_SCHEMA
from recsys.shop import ShopFolder
from recsys.shop_lock import shop_alone
from recsys.stores import open_store
from tests.cli.conftest import Terminal
from tests.worlds import two_tastes


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A shop with a store."""
    store = open_store(ShopFolder(tmp_path).store)
    store.catalog.put(pl.DataFrame([{"item_id": "c4"}], schema=ITEM_SCHEMA))
    store.close()
    return tmp_path


def told(terminal: Terminal, home: Path, *words: str) -> Any:
    """The JSON that a command prints."""
    code, out, err = terminal(*words, "--home", str(home), "--json")
    assert code == 0, err
    return orjson.loads(out)


def audited(terminal: Terminal, home: Path) -> list[tuple[str, list[str]]]:
    """What was done on what."""
    return [(line["act"], line["subjects"]) for line in told(terminal, home, "audit")]


def test_a_key_is_shown_once(terminal: Terminal, home: Path) -> None:
    """Alone on standard output when it is made, and in no file and no list after that."""
    code, out, err = terminal("keys", "create", "--role", "admin", "--name", "me", "--home", str(home))
    text = out.strip()
    found = KEY.fullmatch(text)
    assert code == 0
    assert found is not None
    assert "shown this once" in err
    (row,) = told(terminal, home, "keys", "list")
    assert (row["id"], row["role"], row["state"]) == (found[1], "admin", "valid")
    secret = text.rpartition("_")[2]
    assert secret not in terminal("keys", "list", "--home", str(home))[1]
    assert [path for path in home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()] == []
    store = open_store(ShopFolder(home).store)
    assert [key.digest for key in store.keys.all()] == [digest(text.encode())]
    store.close()


def test_every_option_reaches_the_key(terminal: Terminal, home: Path) -> None:
    """Origins, kinds, rate and lifetime."""
    made = told(
        terminal, home, "keys", "create", "--role", "events", "--name", "web", "--origin", "https://Shop.example/",
        "--origin", "https://b.example", "--kind", "view", "--rate", "5/s", "--expires", "90d",
    )  # fmt: skip
    assert made["origins"] == ["https://shop.example", "https://b.example"]
    assert (made["kinds"], made["rate"], made["expires"] - made["created"]) == (["view"], "5/s", 90 * 86_400_000)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--role", "root", "--name", "x"), "--role is 'root'"),
        (("--role", "admin", "--name", "x", "--origin", "https://a.example"), "only for the role events"),
        (("--role", "storefront", "--name", "x", "--kind", "view"), "only for the role events"),
        (("--role", "events", "--name", "x", "--kind", "look"), "--kind is 'look'"),
        (("--role", "events", "--name", "x", "--origin", "*"), "no wildcard"),
        (("--role", "admin", "--name", ""), "--name is ''"),
        (("--role", "admin", "--name", "x", "--rate", "often"), "such as 50/s"),
        (("--role", "admin", "--name", "x", "--expires", "soon"), "--expires is 'soon'"),
        (("--role", "admin", "--name", "x", "--expires", "0s"), "--expires is '0s'"),
    ],
)
def test_what_does_not_fit_is_refused_and_makes_nothing(
    terminal: Terminal, home: Path, words: tuple[str, ...], said: str
) -> None:
    """By the option's name, with what was expected."""
    code, out, err = terminal("keys", "create", *words, "--home", str(home))
    assert (code, out) == (1, "")
    assert said in err
    assert told(terminal, home, "keys", "list") == []
    assert audited(terminal, home) == []


def test_rotating_makes_a_key_like_the_old_one_which_ends_after_the_overlap(terminal: Terminal, home: Path) -> None:
    """Everything but id, text and times is as it was; a revoked key is not rotated."""
    old = told(terminal, home, "keys", "create", "--role", "events", "--name", "web", "--origin", "https://a.example")
    new = told(terminal, home, "keys", "rotate", old["id"], "--overlap", "2h")
    ended = next(row for row in told(terminal, home, "keys", "list") if row["id"] == old["id"])
    same = ("role", "name", "rate", "origins", "kinds")
    assert [new[field] for field in same] == [old[field] for field in same]
    assert new["key"] != old["key"]
    assert (ended["state"], ended["expires"] - new["created"]) == ("valid", 2 * 3_600_000)
    terminal("keys", "revoke", old["id"], "--home", str(home))
    code, _, err = terminal("keys", "rotate", old["id"], "--home", str(home))
    assert code == 1
    assert "is revoked" in err
    assert terminal("keys", "revoke", "nobody", "--home", str(home))[0] == 1
    assert audited(terminal, home) == [
        ("key.created", [old["id"]]),
        ("key.rotated", [old["id"], new["id"]]),
        ("key.revoked", [old["id"]]),
    ]


def test_an_overlap_of_nothing_ends_the_old_key_at_once(terminal: Terminal, home: Path) -> None:
    """For a key that leaked."""
    old = told(terminal, home, "keys", "create", "--role", "admin", "--name", "me", "--expires", "1d")
    new = told(terminal, home, "keys", "rotate", old["id"], "--overlap", "0s")
    states = {row["id"]: row["state"] for row in told(terminal, home, "keys", "list")}
    assert states == {old["id"]: "expired", new["id"]: "valid"}
    assert new["expires"] - new["created"] == 86_400_000


def test_files_and_bundles_leave_lines(terminal: Terminal, home: Path, tmp_path: Path) -> None:
    """Importing, training, promoting and rolling back; a rehearsal leaves none. Who: the user of the machine."""
    two_tastes(36).write_parquet(tmp_path / "events.parquet")
    terminal("import", str(tmp_path / "events.parquet"), "--dry-run", "--home", str(home))
    terminal("import", str(tmp_path / "events.parquet"), "--home", str(home))
    bundles = [told(terminal, home, "train", "--tune-budget", "0", "--seed", seed)["bundle"] for seed in ("1", "2")]
    terminal("models", "promote", bundles[0], "--home", str(home))
    terminal("models", "rollback", "--home", str(home))
    assert audited(terminal, home) == [
        (Act.FILES_IMPORTED, ["events.parquet"]),
        (Act.BUNDLE_PUBLISHED, [bundles[0]]),
        (Act.BUNDLE_PUBLISHED, [bundles[1]]),
        (Act.BUNDLE_PROMOTED, [bundles[0]]),
        (Act.BUNDLE_ROLLED_BACK, [bundles[1]]),
    ]
    assert {line["actor"] for line in told(terminal, home, "audit")} == {f"user:{getpass.getuser()}"}


def test_keys_stay_as_they_are_while_the_shop_is_replaced(terminal: Terminal, home: Path) -> None:
    """What a restore has read already would win over a revocation that came meanwhile."""
    made = told(terminal, home, "keys", "create", "--role", "admin", "--name", "me")
    with shop_alone(home):
        code, _, err = terminal("keys", "revoke", made["id"], "--home", str(home))
    assert (code, "is being restored or upgraded" in err) == (1, True)
    assert [key["state"] for key in told(terminal, home, "keys", "list")] == ["valid"]


def test_the_audit_is_read_by_time_and_by_customer(terminal: Terminal, home: Path) -> None:
    """Since a span or a date; about a customer whom only the mark tells."""
    from recsys.access.audit import Actor, audit

    store = open_store(ShopFolder(home).store)
    audit(store, Act.CUSTOMER_EXPORTED, [customer_mark(store, "ann")], Actor("key:k", "r"), 1_000)
    store.close()
    told(terminal, home, "keys", "create", "--role", "admin", "--name", "me")
    assert len(told(terminal, home, "audit")) == 2
    for since in ("1h", "2000-01-01", "2000-01-01T00:00:00+01:00"):
        assert [line["act"] for line in told(terminal, home, "audit", "--since", since)] == ["key.created"]
    assert [line["act"] for line in told(terminal, home, "audit", "--customer", "ann")] == ["customer.exported"]
    assert told(terminal, home, "audit", "--customer", "bob") == []
    assert "customer.exported" in terminal("audit", "--home", str(home))[1]
    assert "--since is 'yesterday'" in terminal("audit", "--since", "yesterday", "--home", str(home))[2]
