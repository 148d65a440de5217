"""`bookmatch import`, as typed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import polars as pl
import pytest

from recsys.cli.app import main
from recsys.stores import open_store

EVENTS = "customer_id,item_id,kind,timestamp\nc1,i1,view,1714564800\nc1,i2,purchase,1714564860\n,i2,view,1714564860\n"


class Typed:
    """Types `bookmatch import …` and reads what it prints."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self.monkeypatch.setattr("sys.argv", ["bookmatch", "import", *words, "--home", str(self.folder / "shop")])
        with pytest.raises(SystemExit) as stop:
            main()
        code = stop.value.code if isinstance(stop.value.code, int) else 0
        out, err = self.capsys.readouterr()
        return code, out, err

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """See `Typed`."""
    monkeypatch.setenv("COLUMNS", "60")
    return Typed(tmp_path, monkeypatch, capsys)


def test_the_report_says_what_became_of_the_rows(typed: Typed) -> None:
    """Rows read, events added, rows set aside and where they are, how times were read; long paths are not broken."""
    code, out, err = typed(typed.write("events.csv", EVENTS))
    lines = [line.strip() for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert lines[:4] == [
        f"{typed.folder / 'events.csv'} (delimited text)",
        "rows read               3",
        "events added            2",
        "set aside: no_customer  1",
    ]
    (aside,) = (typed.folder / "shop" / "quarantine").iterdir()
    assert lines[4:] == [
        f"rows set aside are in {aside}",
        "times: seconds since 1970, recognised by their size",
    ]


def test_json_is_for_programs(typed: Typed) -> None:
    """`--json` prints one object with everything the table has, and nothing else."""
    _, out, err = typed(typed.write("events.csv", EVENTS), "--json")
    report = orjson.loads(out)
    assert err == ""
    assert report["written"] is True
    (file,) = report["files"]
    assert {name: file[name] for name in ("rows", "bad", "aside", "events", "times", "read_as")} == {
        "rows": 3,
        "bad": {},
        "aside": {"no_customer": 1},
        "events": {"added": 2, "known": 0, "changed": 0, "forgotten": 0},
        "times": "seconds since 1970, recognised by their size",
        "read_as": "delimited text",
    }


def test_replaced_items_are_counted(typed: Typed) -> None:
    """A file of new prices says how many items it changed; every row of it is accounted for."""
    typed(typed.write("items.csv", "item_id,price\na,1\nb,2\n"), "--as", "items")
    path = typed.write("items.csv", "item_id,price\na,3\nb,2\nc,4\n")
    _, out, _ = typed(path, "--as", "items")
    assert [line.split() for line in out.splitlines()[1:5]] == [
        ["rows", "read", "3"],
        ["items", "added", "1"],
        ["items", "changed", "1"],
        ["items", "known", "before", "1"],
    ]
    typed(typed.write("items.csv", "item_id,price\na,5\n"), "--as", "items")
    _, out, _ = typed(typed.write("items.csv", "item_id,price\na,6\n"), "--as", "items", "--json")
    (file,) = orjson.loads(out)["files"]
    assert file["items"] == {"added": 0, "known": 0, "changed": 1, "forgotten": 0}


def test_a_dry_run_writes_nothing(typed: Typed) -> None:
    """The same counts, and no folder."""
    code, out, _ = typed(typed.write("events.csv", EVENTS), "--dry-run")
    assert code == 0
    assert "events to add" in out
    assert "dry run: nothing was written" in out
    assert not (typed.folder / "shop").exists()


def test_every_option_reaches_the_importer(typed: Typed) -> None:
    """Maps, kinds, zone, unit, separator, encoding, currency, codes and the limit, all in one import."""
    path = typed.folder / "shop.txt"
    path.write_bytes(
        "wer;was;wie;wann;preis\nMüller;007;kauf;1714564800000;5\nX;POST;kauf;1714564800000;5\nY;1;?;0;1".encode(
            "cp1252"
        )
    )
    code, out, err = typed(
        str(path), "--map", "customer_id=wer,item_id=was,kind=wie,timestamp=wann,price=preis",
        "--kinds-map", "kauf=purchase", "--timezone", "Europe/Berlin", "--time-unit", "ms", "--separator", ";",
        "--encoding", "cp1252", "--currency", "EUR", "--ignore-items", "POST", "--max-bad", "50%",
        "--as", "interactions",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "set aside: ignored_item  1" in out
    store = open_store(typed.folder / "shop" / "store.db")
    (row,) = store.histories.get("Müller", 5).rows
    store.close()
    assert (row.item_id, row.timestamp) == ("007", 1714564800000)


def test_several_files_share_one_import(typed: Typed) -> None:
    """Each file has its own part of the report; a format finds each file's subject."""
    ratings = typed.write("ratings.csv", "userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n")
    movies = typed.write("movies.csv", "movieId,title,genres\n31,Tin Tale,Drama\n")
    code, out, _ = typed(ratings, movies, "--format", "movielens")
    assert code == 0
    assert "events added  1" in out
    assert "items added  1" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.csv"], "missing.csv does not exist"),
        (["events.csv", "--event", "buy"], "--event is 'buy'. Expected: one of view, search"),
        (["events.csv", "--format", "netflix"], "there is no format 'netflix'. Expected: one of amazon-reviews-2023"),
        (["events.csv", "--timezone", "Mars"], "there is no time zone 'Mars'"),
        (["events.csv", "--kinds-map", "view=seen"], "--kinds-map is 'seen'"),
        (["bad.csv"], "bad.csv: 1 of 1 rows are bad (100.0%): unknown_kind 1"),
    ],
)
def test_errors_are_one_paragraph_and_exit_code_1(typed: Typed, words: list[str], message: str) -> None:
    """A user sees what was found, what was expected and what to do; no traceback."""
    typed.write("events.csv", EVENTS)
    typed.write("bad.csv", "customer_id,item_id,kind\n1,2,buy\n")
    typed.monkeypatch.chdir(typed.folder)
    code, out, err = typed(*words)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err


def test_help_is_quick(tmp_path: Path) -> None:
    """Asking for help loads neither polars nor the store."""
    code = (
        "import sys; sys.argv = ['bookmatch', 'import', '--help']\n"
        "from recsys.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "assert 'polars' not in sys.modules, 'polars'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--kinds-map" in done.stdout


@pytest.mark.data
@pytest.mark.skipif("BOOKMATCH_DATA" not in os.environ, reason="BOOKMATCH_DATA names no folder of data sets")
def test_real_invoices_go_through(typed: Typed) -> None:
    """All lines with a customer become events, 6,865 identical ones among the file's lines included; none is bad."""
    path = Path(os.environ["BOOKMATCH_DATA"]) / "online-retail-uci" / "transactions.parquet"
    _, out, _ = typed(str(path), "--format", "online-retail", "--json")
    (file,) = orjson.loads(out)["files"]
    lines = pl.read_parquet(path)
    known = lines.filter(pl.col("customer_id").is_not_null()).height
    assert file["bad"] == {}
    assert file["aside"] == {"no_customer": lines.height - known}
    assert file["events"] == {"added": known, "known": 0, "changed": 0, "forgotten": 0}
    assert file["customers"]["added"] == lines["customer_id"].drop_nulls().n_unique()
