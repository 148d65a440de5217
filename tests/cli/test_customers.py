"""`bookmatch customers`, as typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from recsys.customers import FACTS_SCHEMA, Segment
from recsys.customers.kept import kept_of
from recsys.data.events import EVENT_SCHEMA
from recsys.shop import ShopFolder
from recsys.stores import open_store
from tests.cli.conftest import Terminal
from tests.customers.shops import shop

AS_OF = ("--as-of", "2026-07-01")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with purchases that both models fit."""
    folder = tmp_path_factory.mktemp("customers")
    events = shop().with_row_index("row").with_columns(event_id=pl.col("row").cast(pl.String))
    frame = events.select(
        (pl.col(name) if name in events.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in EVENT_SCHEMA.items()
    )
    store = open_store(ShopFolder(folder).store)
    store.events.ingest(frame)
    store.close()
    return folder


def told(terminal: Terminal, home: Path, *words: str) -> Any:
    """The JSON that a command prints."""
    code, out, err = terminal("customers", *words, *AS_OF, "--home", str(home), "--json")
    assert code == 0, err
    return orjson.loads(out)


def test_segments_count_everybody_once(terminal: Terminal, home: Path, tmp_path: Path) -> None:
    """As JSON, as a table, and with all rows in a file."""
    found = told(terminal, home, "segments")
    assert [row["segment"] for row in found["segments"]] == [str(each) for each in Segment]
    assert sum(row["customers"] for row in found["segments"]) == 400
    assert (found["today"], found["currency"], found["tiers"]) == ("2026-06-30", "EUR", [])
    for name in ("all.parquet", "all.csv"):
        code, out, err = terminal("customers", "segments", *AS_OF, "--home", str(home), "--out", str(tmp_path / name))
        assert code == 0, err
        assert "slipping_away" in out
        assert "(2026-06-30 in the shop's zone)" in out
    assert dict(pl.read_parquet(tmp_path / "all.parquet").schema) == FACTS_SCHEMA
    assert pl.read_csv(tmp_path / "all.csv").height == 400
    code, _, err = terminal("customers", "segments", "--home", str(home), "--out", str(tmp_path / "all.xlsx"))
    assert code == 1
    assert "ends with .parquet or .csv" in err


def test_rules_are_those_of_the_shop_or_those_named(terminal: Terminal, home: Path, tmp_path: Path) -> None:
    """And a fault in them is told with its line, before anything is computed."""
    rules = tmp_path / "mine.toml"
    rules.write_text("[[tiers]]\nname = 'gold'\nspent = 40\n")
    found = told(terminal, home, "segments", "--rules", str(rules))
    assert [row["tier"] for row in found["tiers"]] == ["gold"]
    rules.write_text("[segments]\nnew = 3\n")
    code, _, err = terminal("customers", "segments", "--home", str(home), "--rules", str(rules))
    assert code == 1
    assert f"{rules}, line 2: segments.new: there is no 'new' here" in err


def test_one_customer(terminal: Terminal, home: Path) -> None:
    """All facts; one who is not known is an error."""
    row = told(terminal, home, "show", "c7")["facts"]
    assert set(row) == set(FACTS_SCHEMA)
    assert told(terminal, home, "show", "c7", "--by", "account")["facts"] == row
    code, out, _ = terminal("customers", "show", "c7", *AS_OF, "--home", str(home))
    assert (code, "lifetime_value" in out) == (0, True)
    code, _, err = terminal("customers", "show", "nobody", "--home", str(home))
    assert (code, "nobody" in err) == (1, True)


def test_values_and_what_came_of_them(terminal: Terminal, home: Path) -> None:
    """The models, the dearest customers first, and a window held out: in a world as the model says it comes true."""
    found = told(terminal, home, "value", "--holdout", "120d", "--limit", "3")
    assert found["model"]["bg_nbd"].keys() == {"r", "alpha", "a", "b"}
    assert found["model"]["gamma_gamma"].keys() == {"p", "q", "gamma"}
    values = [row["lifetime_value"] for row in found["customers"]]
    assert values == sorted(values, reverse=True)
    assert len(values) == 3
    held = found["holdout"]
    assert (held["cut"], held["until"]) == ("2026-03-02", "2026-06-30")
    assert sum(row["customers"] for row in held["groups"]) == held["customers"] == 400
    assert held["predicted"] == pytest.approx(held["actual"], rel=0.3)
    assert held["predicted"] == pytest.approx(sum(row["customers"] * row["predicted"] for row in held["groups"]))
    assert held["actual"] == pytest.approx(sum(row["customers"] * row["actual"] for row in held["groups"]))
    code, out, _ = terminal("customers", "value", *AS_OF, "--home", str(home), "--holdout", "120d")
    assert code == 0
    assert "purchases were foreseen and" in out
    code, _, err = terminal("customers", "value", *AS_OF, "--home", str(home), "--holdout", "350d")
    assert (code, "are needed" in err) == (1, True)


def test_customers_to_look_after(terminal: Terminal, home: Path, tmp_path: Path) -> None:
    """By reason, as many as asked for; all of them in the file."""
    out = tmp_path / "all.csv"
    found = told(terminal, home, "attention", "--limit", "2", "--out", str(out))["attention"]
    assert list(found) == ["new", "best_slipping_away", "unserved", "advocates"]
    assert all(len(group["first"]) == min(2, group["customers"]) for group in found.values())
    assert pl.read_csv(out).height == sum(group["customers"] for group in found.values())
    code, text, _ = terminal("customers", "attention", *AS_OF, "--home", str(home))
    assert (code, "unserved: " in text) == (0, True)


def test_no_number_is_broken_or_cut(terminal: Terminal, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However narrow the terminal is, every number and id stands in one piece."""
    monkeypatch.setenv("COLUMNS", "40")
    found = told(terminal, home, "value", "--limit", "5")["customers"]
    _, text, _ = terminal("customers", "value", *AS_OF, "--home", str(home), "--limit", "5")
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    for row in found:
        shown = [f"{each:,.2f}" if isinstance(each, float) else str(each) for each in row.values()]
        assert lines[row["customer_id"]] == shown


def test_refreshing_keeps_them(terminal: Terminal, home: Path) -> None:
    """In the store, as of the moment asked for."""
    assert told(terminal, home, "refresh")["kept"] == 400
    store = open_store(ShopFolder(home).store)
    assert kept_of(store, "c7")["facts_as_of"] == "2026-07-01T00:00:00.000Z"
    store.close()
    code, out, _ = terminal("customers", "refresh", *AS_OF, "--home", str(home))
    assert (code, "kept the facts of 400 customers" in out) == (0, True)
