"""`bookmatch train --tune-budget` and `--target`, as typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from recsys.cli.app import main
from recsys.stores import open_store
from tests.training.tuning.tuned_worlds import shelves
from training.tuning import plan


class Terminal:
    """Types `bookmatch train …` for one shop and reads what it prints."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.home, self.monkeypatch, self.capsys = home, monkeypatch, capsys
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(plan, "MOST_TRIALS", 3)

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self.monkeypatch.setattr("sys.argv", ["bookmatch", "train", "--home", str(self.home), *words])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        out, err = self.capsys.readouterr()
        return code, out, err

    def json(self, *words: str) -> dict[str, Any]:
        """What a command that succeeds prints for programs."""
        code, out, err = self(*words, "--json")
        assert (code, err) == (0, "")
        found = orjson.loads(out)
        assert isinstance(found, dict)
        return found


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A shop of four shelves."""
    store = open_store(tmp_path / "store.db")
    store.events.ingest(shelves(50))
    store.close()
    return Terminal(tmp_path, monkeypatch, capsys)


def test_no_budget_ships(terminal: Terminal) -> None:
    """With 0 the shipped settings are used and said to be, and no record is begun."""
    trained = terminal.json("--tune-budget", "0")
    assert trained["tuning"] == {"settings": "shipped", "cause": "no tuning was asked for"}
    assert "draw validation" not in [stage["name"] for stage in trained["stages"]]
    assert not (terminal.home / "tuning").exists()
    assert "shipped settings: no tuning was asked for" in terminal("--tune-budget", "0")[1]


def test_a_budget_tunes_once(terminal: Terminal) -> None:
    """Settings are tuned and recorded; the same command again does no trial, and gives the same bundle and report."""
    first = terminal.json("--tune-budget", "300")
    assert first["tuning"]["settings"] == "tuned"
    assert first["tuning"]["trials"] == 3
    assert first["tuning"]["budget_seconds"] == 300.0
    assert (terminal.home / "tuning" / "last.json").exists()
    names = [stage["name"] for stage in first["stages"]]
    assert names[2:5] == ["draw validation", "tune settings", "tune blend"]
    again = terminal.json("--tune-budget", "300")
    assert (again["bundle"], again["tuning"]) == (first["bundle"], first["tuning"])
    assert not {"tune settings", "tune blend"} & {stage["name"] for stage in again["stages"]}
    code, out, _ = terminal("--tune-budget", "300")
    assert code == 0
    assert "validation customers (a tenth of each customer's items) in 3 trials from shipped settings" in out


def test_a_budget_that_is_too_small_says_so(terminal: Terminal) -> None:
    """It is no error: the shipped settings are used, and the cause is printed."""
    code, out, _ = terminal("--tune-budget", "0.01")
    assert code == 0
    assert "shipped settings: a budget of 0.01 s does not suffice for data of this size" in out


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "-0.5", "soon", ""])
def test_what_is_no_number_of_seconds_is_refused(terminal: Terminal, value: str) -> None:
    """Below 0, not finite or text: the option is named, nothing is trained."""
    code, out, err = terminal("--tune-budget", value)
    assert (code, out) == (2, "")
    assert "--tune-budget" in err
    assert not (terminal.home / "models").exists()


@pytest.mark.parametrize("value", ["nonsense", "purchase,nonsense", ",", "return", "purchase,impression"])
def test_what_no_list_predicts_is_refused(terminal: Terminal, value: str) -> None:
    """The option, what was found and the kinds there are; what customers take back or are shown is no target."""
    code, out, err = terminal("--target", value, "--tune-budget", "0")
    assert (code, out) == (1, "")
    assert "--target" in err
    assert ("'nonsense'" if "nonsense" in value else repr(value)) in err
    assert "purchase" in err
    assert not (terminal.home / "models").exists()


@pytest.mark.parametrize("target", ["view", "purchase,view", "email_click"])
def test_whatever_says_what_customers_want_can_be_the_target(terminal: Terminal, target: str) -> None:
    """Views are predicted when asked for; where nobody did anything of the kind, the shipped settings are used and the
    cause is said."""
    trained = terminal.json("--target", target, "--tune-budget", "300")
    if "view" in target:
        assert trained["tuning"]["settings"] == "tuned"
    else:
        assert trained["tuning"]["settings"] == "shipped"
        assert trained["tuning"]["cause"]
