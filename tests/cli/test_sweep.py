"""`bookmatch evaluate --sweep`: several configurations on one division, scored alike, and resumed."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import Mock

import pytest

from recsys.shop import ShopFolder
from recsys.stores import open_store
from tests.cli.conftest import Terminal
from tests.training.evaluation.test_sweep import written
from tests.training.gate.shelves import shelves
from training.evaluation.sweep import sweeping


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop in which customers keep to their shelf."""
    home = tmp_path_factory.mktemp("shop")
    store = open_store(ShopFolder(home).store)
    store.events.ingest(shelves(60))
    store.close()
    return home


def test_a_sweep_goes_on_where_it_was_stopped(
    home: Path, tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in its second configuration, it fits two more and not the first again; a third run fits nothing, and the
    numbers are the same."""
    path, words = written(tmp_path), ("evaluate", "--home", str(home), "--threads", "1", "--sweep")
    fit, calls = sweeping.fit_models, Mock()

    def counted(*given: object) -> object:
        calls()
        if calls.call_count == 2:
            raise KeyboardInterrupt
        return fit(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(sweeping, "fit_models", counted)
    assert terminal(*words, str(path))[0] == 130
    folder = tmp_path / "report"
    code, out, err = terminal(*words, str(path), "--output", str(folder))
    assert (code, calls.call_count) == (0, 4), err
    assert "1 lists were there already" in out
    code, out, _ = terminal(*words, str(path), "--json")
    again, first = json.loads(out), json.loads((folder / "metrics.json").read_text())
    assert (calls.call_count, again["reused"]) == (4, 3)
    assert {**again, "reused": 1} == first
    assert "popular" in (folder / "sweep.md").read_text()


def test_configurations_are_compared_with_the_first(home: Path, tmp_path: Path, terminal: Terminal) -> None:
    """All on the same customers; what knows no taste is clearly worse, and each says what it cost."""
    code, out, err = terminal(
        "evaluate", "--home", str(home), "--threads", "1", "--sweep", str(written(tmp_path)), "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    assert list(found["models"]) == list(found["cost"]) == ["shipped", "narrow", "popular"]
    assert set(found["differences"]) == {"narrow", "popular"}
    worse = found["differences"]["popular"]["recall@20"]
    assert worse["verdict"] == "better", "the difference is the first less the other"
    assert worse["mean"] == pytest.approx(
        found["models"]["shipped"]["recall@20"] - found["models"]["popular"]["recall@20"]
    )
    assert all(each["fit_seconds"] > 0 and each["list_microseconds"] > 0 for each in found["cost"].values())
    assert found["configurations"]["narrow"]["als"]["factors"] == 8
    assert len(found["windows"]) == 1
    assert terminal("evaluate", "--home", str(home), "--sweep", "x.toml", "--tune-budget", "5")[0] == 1
