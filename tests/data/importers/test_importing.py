"""Files into a store: all or nothing, twice is once, and what is left in the quarantine folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from recsys.data.importers import waiting
from recsys.data.importers.importing import import_files, rehearse
from recsys.data.importers.options import build_options, parse_codes, parse_columns, parse_kinds, parse_share
from recsys.data.importers.report import ImportReport
from recsys.errors import InputError, TooManyBadRowsError
from recsys.shop import ShopFolder
from recsys.stores import open_store
from tests.data.importers.importing_files import NOW, write

GOOD = "customer_id,item_id,kind\nc1,i1,view\nc1,i1,view\nc2,i2,purchase\n"
BAD = "customer_id,item_id,kind\nc1,i1,view\nc1,i1,buy\n"


@dataclass
class Shop:
    """A shop's folder in a test, and its imports."""

    folder: ShopFolder
    files: Path
    interrupt_at: str = ""
    steps: list[tuple[str, int, int]] = field(default_factory=list)

    def run(self, *contents: tuple[str, str], **options: str | None) -> ImportReport:
        paths = [write(self.files, name, content) for name, content in contents]
        return import_files(paths, build_options(now=NOW, **options), self.folder, open_store, self._step)

    def _step(self, what: str, done: int, total: int) -> None:
        self.steps.append((what, done, total))
        if self.interrupt_at and what.startswith(self.interrupt_at):
            raise KeyboardInterrupt

    @contextmanager
    def events(self) -> Iterator[pl.DataFrame]:
        store = open_store(self.folder.store)
        try:
            yield store.events.read().events
        finally:
            store.close()

    def count(self) -> int:
        with self.events() as events:
            return events.height

    def quarantined(self) -> list[str]:
        return sorted(path.name for path in self.folder.quarantine.glob("*"))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """An empty shop."""
    files = tmp_path / "files"
    files.mkdir()
    return Shop(ShopFolder(tmp_path / "shop"), files)


def test_importing_twice_changes_nothing(shop: Shop) -> None:
    """Identical lines all count, once; the second import knows every one of them."""
    first = shop.run(("a.csv", GOOD)).files[0]
    again = shop.run(("a.csv", GOOD)).files[0]
    assert (first.events.added, first.events.known) == (3, 0)
    assert (again.events.added, again.events.known) == (0, 3)
    assert shop.count() == 3


def test_a_longer_export_adds_only_what_is_new(shop: Shop) -> None:
    """An export that repeats the earlier one and goes on adds its new lines, in whatever order."""
    shop.run(("a.csv", GOOD))
    report = shop.run(("b.csv", "customer_id,item_id,kind\nc2,i2,purchase\nc3,i1,view\nc1,i1,view\nc1,i1,view\n"))
    assert (report.files[0].events.added, report.files[0].events.known) == (1, 3)


def test_too_many_bad_rows_import_nothing_of_any_file(shop: Shop) -> None:
    """The error counts by cause, shows the first row and where the rest is; the store is not even made."""
    with pytest.raises(TooManyBadRowsError) as caught:
        shop.run(("good.csv", GOOD), ("bad.csv", BAD))
    text = str(caught.value)
    assert "bad.csv: 1 of 2 rows are bad (50.0%): unknown_kind 1. The first is line 3, kind: found 'buy'" in text
    assert "nothing was imported" in text
    assert "raise --max-bad" in text
    assert not shop.folder.store.exists()
    (name,) = shop.quarantined()
    assert name in text
    assert pl.read_csv(shop.folder.quarantine / name).rows() == [
        (3, "unknown_kind", "kind", "buy", pl.read_csv(shop.folder.quarantine / name)["expected"][0], "c1,i1,buy")
    ]


def test_allowed_bad_rows_are_quarantined_and_the_rest_imported(shop: Shop) -> None:
    """With room for bad rows the good ones are stored; the file with the bad ones is named in the report."""
    report = shop.run(("bad.csv", BAD), max_bad="50%").files[0]
    assert (report.events.added, dict(report.bad)) == (1, {"unknown_kind": 1})
    assert report.bad_file is not None
    assert report.bad_file.name in shop.quarantined()


def test_rows_set_aside_do_not_count_against_the_limit(shop: Shop) -> None:
    """One bad row of two that were judged is half, however many were set aside."""
    aside = "".join(f",i{number},view\n" for number in range(98))
    with pytest.raises(TooManyBadRowsError, match=r"1 of 2 rows are bad \(50\.0%\)"):
        shop.run(("bad.csv", BAD + aside), max_bad="49%")
    assert len(shop.quarantined()) == 2
    report = shop.run(("bad.csv", BAD + aside), max_bad="0.5").files[0]
    assert report.aside == {"no_customer": 98}
    assert pl.read_csv(report.aside_file or "").height == 98


def test_the_longest_file_name_has_a_quarantine_file(shop: Shop) -> None:
    """A name of 255 bytes leaves no room for ours: it is cut, and the hash of the content tells files apart."""
    name = "é" * 125 + ".csv"
    shop.run((name, "customer_id,item_id,kind\nc1,i1,buy\nc2,i2,view\n"), max_bad="50%")
    (quarantined,) = shop.quarantined()
    assert quarantined.startswith("é" * 90)
    assert quarantined.endswith(".bad.csv")


def test_a_quarantine_folder_that_cannot_be_made_is_told(shop: Shop) -> None:
    """A file stands in its place: one message, and nothing is imported."""
    shop.folder.home.mkdir(parents=True, exist_ok=True)
    shop.folder.quarantine.write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        shop.run(("events.csv", "customer_id,item_id,kind\nc1,i1,buy\nc2,i2,view\n"), max_bad="50%")
    assert not shop.folder.store.exists()


def test_the_same_content_has_one_quarantine_file(shop: Shop) -> None:
    """Imported again, a file's bad rows replace those of before; mapped right, they are gone."""
    for _ in range(2):
        shop.run(("bad.csv", BAD), max_bad="1")
    assert len(shop.quarantined()) == 1
    shop.run(("bad.csv", BAD), kinds="buy=purchase")
    assert shop.quarantined() == []
    assert shop.count() == 2


def test_a_file_that_cannot_be_read_stops_the_others(shop: Shop) -> None:
    """Nothing is stored of the files before the broken one."""
    with pytest.raises(InputError, match=r"empty\.csv is empty"):
        shop.run(("good.csv", GOOD), ("empty.csv", ""))
    assert not shop.folder.home.exists()


def test_rows_that_wait_on_disk_are_the_same(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room in memory for one file only, all files come in, in their order, and no file is left where they waited;
    a bad file among them still stops all."""
    contents = [
        (f"{name}.csv", f'customer_id,item_id,kind,context\nc1,i{name},view,\nc{name},i1,like,"{{}}"\n')
        for name in "123"
    ]
    monkeypatch.setattr(waiting, "ROWS_IN_MEMORY", 2)
    with pytest.raises(TooManyBadRowsError):
        shop.run(*contents, ("bad.csv", BAD))
    assert not shop.folder.store.exists()
    report = shop.run(*contents)
    assert [file.events.added for file in report.files] == [2, 2, 2]
    store = open_store(shop.folder.store)
    assert [row.item_id for row in store.histories.get("c1", 9).rows] == ["i1", "i1", "i2", "i3"]
    store.close()
    assert sorted(path.name for path in shop.folder.home.parent.iterdir()) == ["files", "shop"]


@pytest.mark.parametrize("moment", ["reading", "storing bad.csv", "storing good.csv"])
def test_an_interrupt_leaves_nothing_half_written(shop: Shop, moment: str) -> None:
    """Ctrl-C while reading or between two files' rows: the store holds what it held, no file is unfinished."""
    shop.run(("before.csv", "customer_id,item_id,kind\nc9,i9,view\n"))
    shop.interrupt_at = moment
    with pytest.raises(KeyboardInterrupt):
        shop.run(("good.csv", GOOD), ("bad.csv", BAD), max_bad="1")
    assert shop.count() == 1
    assert not [name for name in shop.quarantined() if name.startswith(".")]
    shop.interrupt_at = ""
    assert shop.run(("good.csv", GOOD)).files[0].events.added == 3


def test_a_rehearsal_writes_nothing_and_reports_the_same(shop: Shop) -> None:
    """A dry run counts what an import would, and leaves no folder behind; it fails as the import would."""
    path = write(shop.files, "bad.csv", BAD)
    report = rehearse([path], build_options(now=NOW, max_bad="1"))
    assert not shop.folder.home.exists()
    assert not report.written
    written = shop.run(("bad.csv", BAD), max_bad="1")
    ours, theirs = report.to_json()["files"][0], written.to_json()["files"][0]
    assert theirs.pop("bad_file") is not None
    assert ours.pop("bad_file") is None
    assert ours == theirs
    with pytest.raises(TooManyBadRowsError):
        rehearse([path], build_options(now=NOW))


def test_items_and_customers_are_stored(shop: Shop) -> None:
    """Their rows go to their stores, and an equal row is known."""
    for expected in ((1, 0), (0, 1)):
        items = shop.run(("i.csv", "item_id,title\n1,x\n"), subject="items").files[0].items
        people = shop.run(("c.csv", "customer_id,city\n1,x\n"), subject="customers").files[0].customers
        assert (items.added, items.known) == (people.added, people.known) == expected
    store = open_store(shop.folder.store)
    assert store.catalog.read()["title"].to_list() == ["x"]
    assert store.customers.read()["attributes"].to_list() == ['{"city":"x"}']
    store.close()


def test_work_is_told_as_it_goes_on(shop: Shop) -> None:
    """Each stage begins at 0 and ends with its total."""
    shop.run(("a.csv", GOOD), ("b.csv", GOOD))
    assert shop.steps == [
        ("reading", 0, 2), ("reading", 1, 2), ("reading", 2, 2), ("storing a.csv", 0, 3), ("storing a.csv", 3, 3),
        ("storing b.csv", 0, 3), ("storing b.csv", 3, 3), ("closing", 0, 1), ("closing", 1, 1),
    ]  # fmt: skip


def test_many_files_share_a_bar(shop: Shop) -> None:
    """With more files than bars fit on a screen, storing is one stage over all their rows, which only goes up."""
    shop.run(*((f"{number}.csv", GOOD.replace("c2", f"c{number}")) for number in range(12)))
    told = [(done, total) for what, done, total in shop.steps if what == "storing"]
    assert told == sorted(told)
    assert (told[0], told[-1]) == ((0, 36), (36, 36))
    assert {what for what, _, _ in shop.steps} == {"reading", "storing", "closing"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": "customer=user"}, "--map has 'customer=user'.*OURS=THEIRS .*event_id, customer_id, item_id"),
        ({"columns": "title=x"}, "--map has 'title=x'"),
        ({"columns": "customer_id"}, "--map has 'customer_id'"),
        ({"columns": "item_id=a,item_id=b"}, "--map names item_id twice"),
        ({"columns": "title=x", "subject": "customers"}, "--map has 'title=x'.*customer_id, account_id, attributes"),
        ({"kinds": "buy=bought"}, "--kinds-map is 'bought'.*purchase"),
        ({"kinds": "buy"}, "--kinds-map has 'buy'"),
        ({"columns": "item_id=a\nb"}, "is no list of parts"),
        ({"kinds": "buy=view,buy=like"}, "--kinds-map names 'buy' twice"),
        ({"event": "buy"}, "--event is 'buy'.*add_to_cart"),
        ({"subject": "orders"}, "--as is 'orders'.*interactions, items, customers"),
        ({"time_unit": "minutes"}, "--time-unit is 'minutes'.*s, ms, us, ns"),
        ({"max_bad": "2"}, "--max-bad is '2'"),
        ({"max_bad": "some"}, "--max-bad is 'some'"),
        ({"max_bad": "nan"}, "--max-bad is 'nan'"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, str], message: str) -> None:
    """Every unknown word is told with the words there are."""
    with pytest.raises(InputError, match=message):
        build_options(now=NOW, **options)


def test_options_are_understood() -> None:
    """Percent and shares, quotes around commas, and equals signs on their side."""
    assert parse_share("1%") == parse_share("0.01") == 0.01
    assert parse_codes("POST, M,DCGS*,") == ("POST", "M", "DCGS*")
    assert parse_columns('"customer_id=a,b",item_id=x=y', None) == {"customer_id": "a,b", "item_id": "x=y"}
    assert parse_kinds("a=b=purchase,cart=add_to_cart") == {"a=b": "purchase", "cart": "add_to_cart"}
