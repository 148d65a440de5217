"""A file that names somebody who asked to be forgotten brings nothing of them back."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from recsys.customers import forgetting
from recsys.customers.forgetting import forget
from recsys.data.importers.importing import import_files
from recsys.data.importers.options import build_options
from recsys.data.importers.report import ImportReport
from recsys.durable import replace_file
from recsys.errors import StoreUnavailableError, TooManyBadRowsError
from recsys.shop import ShopFolder
from recsys.stores import open_store
from recsys.stores.sqlite import persons
from tests.data.importers.importing_files import NOW, write

HEADER = "customer_id,item_id,kind,timestamp\n"
GOOD = "Quixote,book,view,2024-05-01T12:00:00Z\nSancho,book,view,2024-05-01T12:00:01Z\n"
BAD = "Quixote,book,view,never\nSancho,book,view,never\n"
BROKEN = "Quixote,book,view,2024-05-01T12:00:02Z,more,fields\n"


def imported(home: Path, name: str, content: str) -> ImportReport:
    """What importing a file with this content reports."""
    path = write(home.parent, name, content)
    return import_files([path], build_options(now=NOW, max_bad="90%"), ShopFolder(home), open_store)


def forgotten(home: Path, customer: str) -> int:
    """Forgets somebody; how many refused rows went."""
    shop = ShopFolder(home)
    with closing(open_store(shop.store)) as store:
        return forget(shop, store, customer, NOW).quarantined


def files_that_name(home: Path, sign: str) -> list[str]:
    """The files of the shop with this text."""
    return [path.name for path in home.rglob("*") if path.is_file() and sign.encode() in path.read_bytes()]


def test_an_import_after_forgetting_keeps_no_row_good_or_bad(tmp_path: Path) -> None:
    """Good rows are left out and counted; refused rows are counted as bad and kept in no file."""
    home = tmp_path / "shop"
    imported(home, "events.csv", HEADER + GOOD)
    forgotten(home, "Quixote")
    (report,) = imported(home, "again.csv", HEADER + GOOD + BAD + BROKEN).files
    assert (report.events.added, report.events.known, report.events.forgotten) == (0, 1, 1)
    assert report.to_json()["events"]["forgotten"] == 1
    assert sum(report.bad.values()) == 3
    assert files_that_name(home, "Quixote") == []
    assert report.bad_file is not None
    assert "Sancho,book,view,never" in report.bad_file.read_text()


@pytest.mark.parametrize("customer", ['say "Z"', "Zoë", "back\\slash", "a,b", "plain"])
@pytest.mark.parametrize("as_json", [False, True], ids=["csv", "json"])
def test_refused_rows_go_however_they_write_the_id(tmp_path: Path, customer: str, as_json: bool) -> None:
    """Quotes stand twice in CSV, and JSON has escapes of its own."""
    home = tmp_path / "shop"
    if as_json:
        rows = [{"customer_id": name, "item_id": "i", "kind": "view", "timestamp": at} for name, at in ((customer, "never"), (customer, "2024-05-01T12:00:00Z"), ("other", "never"))]  # fmt: skip  # noqa: E501
        imported(home, "events.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        quoted = '"' + customer.replace('"', '""') + '"'
        imported(
            home,
            "events.csv",
            f"{HEADER}{quoted},i,view,never\n{quoted},i,view,2024-05-01T12:00:00Z\nother,i,view,never\n",
        )
    assert forgotten(home, customer) == 1
    (left,) = ShopFolder(home).quarantine.iterdir()
    assert left.read_text().count("never") == 2
    assert "other" in left.read_text()


def test_a_file_of_nothing_but_bad_rows_of_the_forgotten_is_refused_as_any_other(tmp_path: Path) -> None:
    """The error tells of the first bad row, and no file is there to look at."""
    home = tmp_path / "shop"
    imported(home, "events.csv", HEADER + GOOD)
    forgotten(home, "Quixote")
    with pytest.raises(TooManyBadRowsError, match="found 'never'"):
        imported(home, "again.csv", HEADER + "Quixote,book,view,never\n")
    assert files_that_name(home, "Quixote") == []


def test_every_id_of_a_person_leaves_the_refused_rows_though_the_store_could_not_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody reads old pages the receipt is refused; asked again, the store knows but the one id."""
    monkeypatch.setattr(persons, "READERS_SECONDS", 0.05)
    home = tmp_path / "shop"
    imported(home, "events.csv", HEADER + GOOD + BAD.replace("Quixote", "cookie-4711"))
    unfinished = write(ShopFolder(home).quarantine, ".killed.bad.csv.123", "line,row\n1,cookie-4711\n")
    shop = ShopFolder(home)
    with closing(open_store(shop.store)) as store, closing(open_store(shop.store, read_only=True)) as reader:
        store.profiles.merge("cookie-4711", "Quixote", NOW)
        with reader._database.snapshot():  # type: ignore[attr-defined]
            reader.histories.version("Sancho")
            with pytest.raises(StoreUnavailableError, match="still in use"):
                forget(shop, store, "Quixote", NOW)
    forgotten(home, "Quixote")
    assert files_that_name(home, "cookie-4711") == []
    assert unfinished.exists()


def test_many_who_are_forgotten_at_once_leave_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of those who rewrite it brings back what another one removed."""
    home = tmp_path / "shop"
    names = [f"at-once-{letter}" for letter in "abcdefgh"]
    rows = "".join(f"{name},i,view,never\n{name},i,view,2024-05-01T12:00:00Z\n" for name in [*names, "Sancho"])
    imported(home, "events.csv", HEADER + rows)

    def slowly(path: Path, content: bytes) -> None:
        time.sleep(0.02)
        replace_file(path, content)

    monkeypatch.setattr(forgetting, "replace_file", slowly)
    with ThreadPoolExecutor(len(names)) as pool:
        assert list(pool.map(lambda name: forgotten(home, name), names)) == [1] * len(names)
    assert files_that_name(home, "at-once-") == []
    (left,) = ShopFolder(home).quarantine.iterdir()
    assert "Sancho,i,view,never" in left.read_text()
