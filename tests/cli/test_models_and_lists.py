"""`bookmatch train`, `models`, `recommend` and `related`, as typed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import orjson
import polars as pl
import pytest

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from recsys.stores import open_store
from tests.cli.conftest import Terminal
from tests.worlds import two_tastes


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A shop with two tastes and one title."""
    store = open_store(tmp_path / "store.db")
    store.events.ingest(two_tastes(36))
    store.catalog.put(pl.DataFrame([{"item_id": "c4", "title": "The Quiet Cellar"}], schema=ITEM_SCHEMA))
    store.close()
    return tmp_path


def test_from_training_to_a_list(home: Path, terminal: Terminal) -> None:
    """Training says what each stage cost; the list has the missing book with its title and what it is there for."""
    code, out, _ = terminal("train", "--home", str(home))
    assert code == 0
    for stage in ("read", "compile", "popularity", "item-item", "als", "publish"):
        assert stage in out
    _, out, _ = terminal("recommend", "u8", "--home", str(home), "--limit", "2")
    first = next(line for line in out.splitlines() if " 1 " in line)
    assert "c4" in first
    assert "The Quiet Cellar" in first
    assert "bought" in first


def test_json_is_the_same_answer_for_programs(home: Path, terminal: Terminal) -> None:
    """Every command with --json prints one JSON document and nothing else."""
    trained = orjson.loads(terminal("train", "--home", str(home), "--json")[1])
    listed = orjson.loads(terminal("models", "list", "--home", str(home), "--json")[1])
    assert [row["bundle"] for row in listed if row["in_force"]] == [trained["bundle"]]
    answer = orjson.loads(terminal("recommend", "u8", "--home", str(home), "--json")[1])
    assert answer["items"][0]["item_id"] == "c4"
    assert answer["titles"] == {"c4": "The Quiet Cellar"}
    assert answer["history"][0]["kind"] == "purchase"
    assert (answer["relevance"], answer["items"][0]["relevance"]) == (None, None)
    assert trained["relevance"]["cause"]
    related = orjson.loads(terminal("related", "c0", "--home", str(home), "--limit", "5", "--json")[1])
    assert {item["item_id"] for item in related["items"]} < {"c1", "c2", "c3", "c4", "c5", "bestseller"}


def test_exclusions_are_obeyed(home: Path, terminal: Terminal) -> None:
    """What is excluded by hand is not in the list."""
    terminal("train", "--home", str(home))
    answer = orjson.loads(terminal("recommend", "u8", "--home", str(home), "--exclude", "c4", "--json")[1])
    assert "c4" not in {item["item_id"] for item in answer["items"]}
    assert answer["masked"]["excluded"] == 1


def test_rolling_back_changes_who_answers(home: Path, terminal: Terminal) -> None:
    """After two trainings, rolling back puts the first bundle in force and promoting the second again."""
    first = orjson.loads(terminal("train", "--home", str(home), "--json")[1])["bundle"]
    second = orjson.loads(terminal("train", "--home", str(home), "--seed", "1", "--json")[1])["bundle"]
    assert first != second
    assert f"bundle {first} is in force" in terminal("models", "rollback", "--home", str(home))[1]
    assert orjson.loads(terminal("models", "show", "--home", str(home))[1])["bundle"] == first
    terminal("models", "promote", second, "--home", str(home))
    shown = orjson.loads(terminal("models", "show", "--home", str(home))[1])
    assert (shown["bundle"], shown["in_force"], shown["manifest"]["seed"]) == (second, True, 1)
    assert second in terminal("models", "list", "--home", str(home))[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("recommend", "u8"), "train one with `bookmatch train`"),
        (("related", "c0"), "train one with `bookmatch train`"),
        (("models", "show"), "train a bundle with `bookmatch train`"),
        (("models", "rollback"), "no earlier bundle"),
        (("models", "promote", "nope"), "there is no bundle 'nope'"),
    ],
)
def test_before_training_every_command_says_what_to_do(
    home: Path, terminal: Terminal, words: tuple[str, ...], says: str
) -> None:
    """Exit code 1, one paragraph on standard error, nothing on standard output."""
    code, out, err = terminal(*words, "--home", str(home))
    assert (code, out) == (1, "")
    assert says in err


def test_a_shop_that_is_not_there(tmp_path: Path, terminal: Terminal) -> None:
    """Training in an empty folder names the command that fills it, and leaves the folder empty."""
    code, _, err = terminal("train", "--home", str(tmp_path))
    assert code == 1
    assert "bookmatch import" in err
    assert list(tmp_path.iterdir()) == []


def test_unknown_items_and_customers(home: Path, terminal: Terminal) -> None:
    """An unknown item is an error; an unknown customer gets what is popular and is told so."""
    terminal("train", "--home", str(home))
    code, _, err = terminal("related", "c99", "--home", str(home))
    assert (code, "'c99'" in err) == (1, True)
    code, out, _ = terminal("recommend", "stranger", "--home", str(home))
    assert (code, "not personal: unknown customer" in out) == (0, True)


def test_ids_and_titles_are_shown_as_they_are(home: Path, terminal: Terminal) -> None:
    """Square brackets are no mark-up, and a title cannot send the terminal a command."""
    store = open_store(home / "store.db")
    titles = [("c4", "[/b] \x1b[2Jbang"), ("c1", "[red]"), ("c2", "[/]")]
    rows = [{"item_id": item, "title": title} for item, title in titles]
    store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
    store.close()
    terminal("train", "--home", str(home))
    for words in (("recommend", "u8"), ("related", "c4"), ("recommend", "[/x]")):
        code, out, _ = terminal(*words, "--home", str(home))
        assert (code, "\x1b" in out) == (0, False)
        assert "[/b] \N{REPLACEMENT CHARACTER}[2Jbang" in out


def test_a_filter_holds_for_a_list_that_is_typed(home: Path, terminal: Terminal) -> None:
    """With its parameters, what the customer's row says and the history; what does not fit has its place."""
    with closing(open_store(home / "store.db")) as store:
        rows = [{"item_id": f"c{n}", "attributes": orjson.dumps({"stock": n}).decode()} for n in range(6)]
        store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
        row = {"customer_id": "u8", "attributes": '{"least":4}'}
        store.customers.put(pl.DataFrame([row], schema=CUSTOMER_SCHEMA))
    terminal("train", "--home", str(home))

    def listed(*words: str) -> set[str]:
        code, out, err = terminal("recommend", "u8", "--home", str(home), "--json", *words)
        assert code == 0, err
        return {each["item_id"] for each in orjson.loads(out)["items"]}

    assert "c4" in listed("--filter", "stock >= customer.least")
    assert "c4" in listed("--filter", "stock IN :some", "--param", "some=1", "--param", "some=4")
    assert "c4" not in listed("--filter", "stock IN :some", "--param", "some=1")
    assert listed("--filter", "bought() OR stock < 0") == set()
    code, _, err = terminal("recommend", "u8", "--home", str(home), "--filter", "stok > 1")
    assert code != 0
    assert "character 1" in err
    code, out, err = terminal("explain", "u8", "--home", str(home), "--json", "--item", "c4", "--filter", "stock < 4")
    assert code == 0, err
    assert "filtered" in out
