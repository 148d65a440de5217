"""`bookmatch explain`, as typed, and beside the service."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
import structlog

from recsys.data.catalog import ITEM_SCHEMA
from recsys.recommend.placements import PlacementRepository
from recsys.shop import ShopFolder
from recsys.stores import open_store
from serving.http.schemas import AnswerOut
from serving.http.settings import Settings
from tests.cli.conftest import Terminal
from tests.serving.service import FakeClock, Service
from tests.serving.shop import START, item, purchase, shop_events, train_shop


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """The command says where logs go; other tests must not notice."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers, root.level = before
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained shop in which one book is sold out and one has a title."""
    home = tmp_path_factory.mktemp("explained") / "shop"
    store = open_store(ShopFolder(home).store)
    store.events.append(shop_events())
    rows = [{"item_id": item(1, 1), "available": False}, {"item_id": item(1, 0), "title": "The [b]Cellar"}]
    store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
    store.close()
    train_shop(home)
    return home


def explain(terminal: Terminal, home: Path, *words: str) -> dict[str, Any]:
    """The JSON document."""
    code, out, err = terminal("explain", *words, "--home", str(home), "--json")
    assert code == 0, err
    document: dict[str, Any] = orjson.loads(out)
    return document


@pytest.mark.parametrize(("customer", "limit"), [("c1", 20), ("c6", 120), ("nobody", 7)])
def test_it_is_the_service_s_answer(home: Path, terminal: Terminal, customer: str, limit: int) -> None:
    """Item by item with scores and reasons, in the described shape, and the same masks, sources and causes."""
    with Service(Settings(home=home), FakeClock(START * 2)) as service:
        served = service.get(f"/v1/customers/{customer}/recommendations?limit={limit}").json()
    terminal.capsys.readouterr()
    document = explain(terminal, home, customer, "--limit", str(limit))
    answer = {name: document[name] for name in AnswerOut.model_fields}
    AnswerOut.model_validate(answer)
    assert answer["items"] == served["items"]
    unlike = {"cache"}
    assert {k: v for k, v in answer["served_from"].items() if k not in unlike} == {
        k: v for k, v in served["served_from"].items() if k not in unlike
    }


def test_what_it_is_made_from(home: Path, terminal: Terminal) -> None:
    """Every purchase speaks, the newest loudest; weights are of the sources that were asked."""
    made_from = explain(terminal, home, "c1")["made_from"]
    bought = [item(1, step * 2) for step in range(10)]
    assert {each["item_id"] for each in made_from["taste"]} == set(bought)
    strengths = [each["strength"] for each in made_from["taste"]]
    assert strengths == sorted(strengths, reverse=True)
    assert {(each["kind"], each["events"]) for each in made_from["taste"]} == {("purchase", 1)}
    assert (made_from["events"], made_from["unknown_items"]) == (10, 0)
    assert made_from["weights"]
    assert made_from["titles"][item(1, 0)] == "The [b]Cellar"


def test_why_an_item_is_or_is_not_on_the_list(home: Path, terminal: Terminal) -> None:
    """Its place, or the first mask that removes it; what the sources say sums to the score that the list shows."""
    document = explain(terminal, home, "c1", "--limit", "5")
    third = document["items"][2]
    standing = explain(terminal, home, "c1", "--limit", "5", "--item", third["item_id"])["made_from"]["standing"]
    assert (standing["place"], standing["masked"]) == (3, None)
    assert sum(standing["parts"].values()) == pytest.approx(standing["score"])
    assert standing["score"] == pytest.approx(third["score"], abs=1e-4)
    sixth = explain(terminal, home, "c1", "--limit", "6")["items"][5]["item_id"]
    further = explain(terminal, home, "c1", "--limit", "5", "--item", sixth)["made_from"]["standing"]
    assert (further["place"], further["place_further"], further["masked"]) == (None, 6, None)
    for item_id, mask, because in (
        ("no such item", "unknown", ""),
        (item(1, 1), "unavailable", "not available"),
        (item(1, 0), "seen", "purchase"),
        (third["item_id"], "excluded", "excludes"),
    ):
        words = ("c1", "--item", item_id, "--exclude", third["item_id"])
        standing = explain(terminal, home, *words)["made_from"]["standing"]
        assert (standing["place"], standing["place_further"], standing["masked"]) == (None, None, mask)
        assert because in standing["because"]


def test_it_explains_the_list_of_a_placement(home: Path, terminal: Terminal) -> None:
    """Pins, what its filter keeps out, and the weights of its sources; an unknown placement is an error."""
    text = f'[placements.spot]\nsources = ["als"]\npins = [{{ item = "{item(1, 5)}", slot = 1 }}]\n'
    text += '[placements.shut]\nfilter = "price > 3"\nfallback = []\n'
    PlacementRepository(ShopFolder(home).placements).publish(text, by="a test", why="to see", now=0)
    document = explain(terminal, home, "c1", "--placement", "spot", "--item", item(1, 5))
    assert document["served_from"]["placement"]["moved"] == {"pins": 1}
    assert (document["items"][0]["item_id"], document["items"][0]["reason"]["code"]) == (item(1, 5), "pinned")
    assert document["made_from"]["standing"]["place"] == 1
    assert set(document["made_from"]["weights"]) == {"als"}
    shut = explain(terminal, home, "c1", "--placement", "shut", "--item", item(1, 5))
    assert shut["items"] == []
    assert shut["made_from"]["standing"]["masked"] == "filtered"
    assert "price > 3" in shut["made_from"]["standing"]["because"]
    code, _, err = terminal("explain", "c1", "--placement", "sput", "--home", str(home))
    assert code != 0
    assert "default, shut, spot" in err


def test_people_are_told_the_same(home: Path, terminal: Terminal) -> None:
    """Titles as they are written, the causes in words, and nothing that only looks like mark-up is swallowed."""
    code, out, _ = terminal("explain", "c1", "--home", str(home), "--item", item(1, 0))
    assert code == 0
    for text in (
        "The [b]Cellar",
        "history: 10 events",
        "is not on the list: seen (purchase)",
        "bundle: ",
        "weights here:",
    ):
        assert text in out
    out = terminal("explain", "[/x]", "--home", str(home), "--item", "?")[1]
    for text in ("customer [/x]", "fallback: unknown_customer", "is not on the list: unknown", "says nothing for it"):
        assert text in out


def test_the_file_of_settings_counts_as_it_does_for_the_service(
    home: Path, tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would explain the list of another history than the service reads."""
    file = tmp_path / "settings"
    file.write_text("BOOKMATCH_HISTORY_LIMIT=many\n")
    monkeypatch.setenv("BOOKMATCH_SETTINGS_FILE", str(file))
    code, _, err = terminal("explain", "c0", "--home", str(home))
    assert (code, "BOOKMATCH_HISTORY_LIMIT is 'many'" in err) == (1, True)


def test_before_training_it_says_what_to_do(tmp_path: Path, terminal: Terminal) -> None:
    """Exit code 1 and one paragraph, without a store and without a model."""
    code, out, err = terminal("explain", "c1", "--home", str(tmp_path))
    assert (code, out) == (1, "")
    store = open_store(tmp_path / "store.db")
    store.events.append([purchase("c1", "a", 0)])
    store.close()
    code, out, err = terminal("explain", "c1", "--home", str(tmp_path))
    assert (code, out) == (1, "")
    assert "train one with `bookmatch train`" in err
