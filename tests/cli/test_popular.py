"""`bookmatch popular`, as typed."""

from __future__ import annotations

from pathlib import Path

import orjson
import polars as pl
import pytest

from recsys.cli.app import main
from recsys.data.catalog import ITEM_SCHEMA
from recsys.stores import open_store
from tests.worlds import published, two_tastes


def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str, str]:
    """Exit code, standard output, standard error."""
    monkeypatch.setattr("sys.argv", ["bookmatch", "popular", *words])
    monkeypatch.setenv("COLUMNS", "200")
    code: object = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code
    return code, *capsys.readouterr()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A shop with two tastes, a title and a category."""
    store = open_store(tmp_path / "store.db")
    row = {"item_id": "c4", "title": "The Quiet Cellar", "category": "Crime"}
    store.events.ingest(two_tastes(36))
    store.catalog.put(pl.DataFrame([row], schema=ITEM_SCHEMA))
    store.close()
    published(tmp_path / "models", two_tastes(36))
    return tmp_path


def test_lists_of_the_shop_are_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a table and as JSON; in a category, with titles; what does not fit is an error with what there is."""
    options = ("--home", str(home))
    code, out, _ = typed(monkeypatch, capsys, *options, "--limit", "1")
    assert (code, "bestseller" in out) == (0, True)
    _, out, _ = typed(
        monkeypatch, capsys, *options, "--category", "Crime", "--order", "new", "--window", "365d", "--json"
    )
    answer = orjson.loads(out)
    assert [item["item_id"] for item in answer["items"]] == ["c4"]
    assert (answer["titles"], answer["order"]) == ({"c4": "The Quiet Cellar"}, "new")
    code, _, err = typed(monkeypatch, capsys, *options, "--category", "crime")
    assert (code, "one of 'Crime'" in err) == (1, True)
    code, _, err = typed(monkeypatch, capsys, *options, "--window", "5w")
    assert (code, "such as `30d`" in err) == (1, True)
