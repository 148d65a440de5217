"""`bookmatch placements`, as typed."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import polars as pl
import pytest

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from recsys.data.events import Event, EventKind
from recsys.recommend.placements import PlacementRepository
from recsys.shop import ShopFolder
from recsys.stores import open_store
from serving.http.settings import Settings
from tests.cli.conftest import Terminal
from tests.serving.service import FakeClock, Service
from tests.serving.shop import train_shop
from tests.worlds import event_frame, two_tastes

BOOKS = [*(f"{shelf}{book}" for shelf in "cg" for book in range(6)), "bestseller"]
GOOD = '[placements.home]\nhide_after = ["purchase"]\n\n[placements.crime]\nsources = ["item_item"]\n'
EMPTYING = '[placements.crime]\n\n[placements.home]\nhide_after = ["view"]\n'
"""Whoever looked at everything has nothing left."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with two tastes, a customer who looked at every book, and one book that is sold out."""
    home = tmp_path_factory.mktemp("placements") / "shop"
    store = open_store(ShopFolder(home).store)
    looks = event_frame([("keen", book, EventKind.VIEW, 30) for book in BOOKS])
    store.events.ingest(two_tastes(36))
    store.events.ingest(looks.with_columns(pl.col("event_id") + "-keen"))
    rows = [{"item_id": "c5", "available": False}, {"item_id": "c4", "title": "The Quiet Cellar", "author": "Ann Ash"}]
    store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
    store.close()
    train_shop(home)
    return home


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, with nothing published."""
    return Path(shutil.copytree(trained, tmp_path / "shop"))


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], str]:
    """Writes a file of placements."""

    def written(text: str) -> str:
        path = tmp_path / "placements.toml"
        path.write_text(text)
        return str(path)

    return written


Written = Callable[[str], str]


def published(home: Path) -> list[int]:
    """The numbers of the versions."""
    return [version.number for version in PlacementRepository(ShopFolder(home).placements).versions()]


def test_a_file_goes_from_check_to_force_and_back(home: Path, terminal: Terminal, file: Written) -> None:
    """What check lets through is published with who and why; a second version is rolled back to the first."""
    words = ("--home", str(home))
    assert terminal("placements", "check", file(GOOD), *words)[:2] == (
        0,
        f"{file(GOOD)} can be published; lists of 21 customers were made at each of: default, home, crime\n",
    )
    assert published(home) == []
    assert "nothing was published yet" in terminal("placements", "list", *words)[1]
    code, out, err = terminal("placements", "publish", file(GOOD), "--by", "ann", "--why", "a calmer home", *words)
    assert (code, out, err) == (0, "version 1 of the placements is in force\n", "")
    terminal("placements", "publish", file("# nothing\n"), "--why", "a mistake", *words)
    assert terminal("placements", "show", *words)[1] == "# nothing\n"
    assert terminal("placements", "show", "1", *words)[1] == GOOD
    out = terminal("placements", "roll-back", "--by", "bob", "--why", "a mistake indeed", *words)[1]
    assert out == "version 3 of the placements is in force: version 1 again\n"
    listed = orjson.loads(terminal("placements", "list", *words, "--json")[1])
    assert [(each["number"], each["why"], each["rolled_back_to"], each["in_force"]) for each in listed] == [
        (1, "a calmer home", None, False),
        (2, "a mistake", None, False),
        (3, "a mistake indeed", 1, True),
    ]
    assert listed[1]["by"] not in ("", "ann")
    table = terminal("placements", "list", *words)[1]
    assert "version 1 again" in next(line for line in table.splitlines() if "▶" in line)
    audited = orjson.loads(terminal("audit", "--json", *words)[1])
    assert [(line["act"], line["subjects"]) for line in audited] == [
        ("placements.published", ["1"]),
        ("placements.published", ["2"]),
        ("placements.rolled_back", ["3"]),
    ]
    shown = orjson.loads(terminal("placements", "show", "2", "--json", *words)[1])
    assert (shown["text"], shown["number"]) == ("# nothing\n", 2)


@pytest.mark.parametrize("command", [("check",), ("publish", "--why", "a try")])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (EMPTYING, r"line 3: placements.home: it empties the lists of 1 of 38 customers (keen: removed by "),
        ("[placements.home]\nsources = []\n", "line 2: placements.home.sources: it names no source"),
        ("[placements.home]\npins = [{ item = 'c9', slot = 1 }]\n", "line 2: placements.home.pins[0].item: the item"),
        ("[placements.home]\npins = [{ item = 'c5', slot = 1 }]\n", "is not available"),
        ("[placements.home]\npins = [{ item = 'c4', slot = 1, until = 2020-01-01 }]\n", "it is over since 2020-01-01"),
        ("[placements.home]\ndiversity = [{ by = 'auhtor', at_most = 1 }]\n", "did you mean author?"),
        (
            "[filters]\nsome = 'price < 3'\nother = 'colour = 3'\n",
            "line 3: filters.other: the filter, at character 1: ",
        ),
        ("[placements.home]\nboosts = [\n{ where = 'auhtor = 3', factor = 2 }]\n", "line 3: placements.home.boosts[0]"),
        (
            "[experiments.x]\nplacement = 'default'\narms = { control = { bundle = 'gone' } }\nholdout = 0.5\n",
            "line 3: experiments.x.arms.control.bundle: the bundle 'gone', which does not exist",
        ),
    ],
)
def test_a_file_that_does_not_fit_the_shop_is_refused(
    home: Path, terminal: Terminal, file: Written, command: tuple[str, ...], text: str, says: str
) -> None:
    """Check and publish end with exit code 1 and the line, and nothing is published."""
    words = (command[0], file(text), *command[1:], "--sample", "100", "--home", str(home))
    code, _, err = terminal("placements", *words)
    assert code == 1
    assert says in err
    assert published(home) == []


def test_check_tells_programs_every_fault(home: Path, terminal: Terminal, file: Written) -> None:
    """With --json the faults come as a document, and the exit code says that there are some."""
    words = ("--sample", "100", "--home", str(home), "--json")
    code, out, err = terminal("placements", "check", file(EMPTYING), *words)
    document = orjson.loads(out)
    assert (code, err, document["ok"]) == (1, "", False)
    assert [(fault["line"], fault["field"]) for fault in document["faults"]] == [(3, "placements.home")]
    code, out, _ = terminal("placements", "check", file(GOOD), *words)
    assert (code, orjson.loads(out)["faults"]) == (0, [])


def test_force_publishes_what_empties_lists_and_records_it(home: Path, terminal: Terminal, file: Written) -> None:
    """With --force a file that empties lists is published, and its version says so; one with a fault never is."""
    words = ("--sample", "100", "--home", str(home), "--force", "--why", "a try")
    code, _, err = terminal("placements", "publish", file(EMPTYING), *words)
    assert code == 0
    assert "published all the same" in err
    terminal("placements", "publish", file(GOOD), *words)
    versions = PlacementRepository(ShopFolder(home).placements).versions()
    assert [version.forced for version in versions] == [True, False]
    assert "although the check refused it" in terminal("placements", "list", "--home", str(home))[1]
    assert terminal("placements", "publish", file("[placements.x]\nsources = []"), *words)[0] == 1
    assert published(home) == [1, 2]


@pytest.mark.parametrize(
    "fault",
    [
        "filter = 'prise < 3'",
        "diversity = [{ by = 'prise', at_most = 1 }]",
        "pins = [{ item = 'c5', slot = 1 }]",
        "[experiments.w]\nplacement = 'home'\narms = { control = { placement = 'home' }, b = { bundle = 'nosuch' } }",
    ],
)
def test_force_goes_past_empty_lists_alone(home: Path, terminal: Terminal, file: Written, fault: str) -> None:
    """What does not fit the shop would be refused by the service, or show nothing to anybody: no --force publishes it,
    also where lists are empty besides."""
    words = ("--sample", "100", "--home", str(home), "--force", "--why", "a try")
    assert terminal("placements", "publish", file(EMPTYING + fault), *words)[0] == 1
    assert published(home) == []


def test_diff_shows_what_changes_rule_by_rule(home: Path, terminal: Terminal, file: Written) -> None:
    """A file is compared with the version in force, that one with the one before, and either with any other."""
    words = ("--home", str(home))
    terminal("placements", "publish", file(GOOD), "--why", "x", *words)
    other = GOOD.replace('["purchase"]', '["own"]').replace("crime", "thrillers")
    found = orjson.loads(terminal("placements", "diff", file(other), "--json", *words)[1])
    assert found == [
        {"where": "placements.crime", "rule": None, "before": "", "after": None},
        {"where": "placements.crime", "rule": "sources", "before": '["item_item"]', "after": None},
        {"where": "placements.home", "rule": "hide_after", "before": '["purchase"]', "after": '["own"]'},
        {"where": "placements.thrillers", "rule": None, "before": None, "after": ""},
        {"where": "placements.thrillers", "rule": "sources", "before": None, "after": '["item_item"]'},
    ]
    assert "nothing differs" in terminal("placements", "diff", file(GOOD + "\n# a remark"), *words)[1]
    terminal("placements", "publish", file(other), "--why", "x", *words)
    assert orjson.loads(terminal("placements", "diff", "--json", *words)[1]) == found
    assert "nothing differs from version 1" in terminal("placements", "diff", file(GOOD), "--against", "1", *words)[1]
    table = terminal("placements", "diff", "--against", "0", *words)[1]
    assert "from the built-in placements to version 2" in table
    assert ("~" in table, "+" in table) == (False, True)


def test_preview_shows_real_lists_before_and_after(home: Path, terminal: Terminal, file: Written) -> None:
    """For a customer and a changed placement both lists stand side by side, with titles and what was left out."""
    words = ("--customer", "u8", "--limit", "10", "--home", str(home))
    text = '[placements.default]\nhide_after = ["view"]\n\n[placements.home]\n'
    document = orjson.loads(terminal("placements", "preview", file(text), *words, "--json")[1])
    assert [(each["placement"], each["customer_id"]) for each in document["lists"]] == [
        ("default", "u8"),
        ("home", "u8"),
    ]
    both, new = document["lists"]
    now = orjson.loads(terminal("recommend", "u8", "--limit", "10", "--home", str(home), "--json")[1])
    assert both["before"]["items"] == now["items"]
    assert both["after"]["masked"]["seen"] == 0 < both["before"]["masked"]["seen"]
    assert (new["before"], new["after"]["items"]) == (None, now["items"])
    assert document["titles"]["c4"] == "The Quiet Cellar"
    shown = terminal("placements", "preview", file(text), *words, "--placement", "default")[1]
    assert "default, customer u8" in shown
    assert "home, customer" not in shown
    assert "The Quiet Cellar" in shown
    assert re.search(r"was \d", shown)
    assert "new" in shown
    assert "before: left out: " in shown


EVERY_RULE = """
[placements.home]
sources = { item_item = 1.0, als = 0.5 }
fallback = ["rising", "popular"]
filter = "customer.club = 'crime' OR customer.club IS NULL OR author IS NULL"
diversity = [{ by = "author", at_most = 2 }]
rotation = { after = 2, step = 3, days = 14 }
pins = [{ item = "bestseller", slot = 2 }]
boosts = [{ where = "author = 'Ann Ash'", factor = 2 }]
"""


@pytest.mark.parametrize("customer", ["u8", "u9", "u10", "keen", "somebody"])
def test_preview_is_what_the_service_answers_then(home: Path, terminal: Terminal, file: Written, customer: str) -> None:
    """After publishing, the service lists for a customer, and for one with impressions, just what preview showed."""
    now = int(time.time() * 1000)
    store = open_store(ShopFolder(home).store, create=False)
    authors = [{"item_id": f"c{book}", "author": "Ann Ash"} for book in range(5)]
    store.catalog.put(pl.DataFrame(authors, schema=ITEM_SCHEMA))
    club = {"customer_id": "u10", "attributes": '{"club": "gardening"}'}
    store.customers.put(pl.DataFrame([club], schema=CUSTOMER_SCHEMA))
    seen = [Event(f"i{n}", "u8", EventKind.IMPRESSION, "c4", now - 3_600_000 + n) for n in range(4)]
    store.events.append([*seen, Event("s", "somebody", EventKind.SEARCH, timestamp=now)])
    store.close()
    words = (file(EVERY_RULE), "--home", str(home))
    shown = orjson.loads(terminal("placements", "preview", *words, "--customer", customer, "--json")[1])
    (preview,) = shown["lists"]
    terminal("placements", "publish", *words, "--why", "x")
    with Service(Settings(home=home), FakeClock(now)) as service:
        reply = service.get(f"/v1/customers/{customer}/recommendations?limit=10&placement=home")
    served = [(each["item_id"], each["score"], each["reason"]["code"]) for each in reply.json()["items"]]
    assert served == [(each["item_id"], each["score"], each["reason"]["code"]) for each in preview["after"]["items"]]
    assert reply.served_from["masked"] == preview["after"]["masked"]
    assert preview["after"]["moved"].keys() >= {"diversity"}
    assert len(served) > 2
    assert (preview["after"]["masked"]["filtered"] > 0) == (customer == "u10")


def test_preview_of_nothing_new_says_so(home: Path, terminal: Terminal, file: Written) -> None:
    """Where no placement changes there is nothing to show, unless one is named."""
    words = ("--home", str(home))
    assert "no placement's rules change" in terminal("placements", "preview", file("# nothing\n"), *words)[1]
    shown = terminal("placements", "preview", file(""), *words, "--placement", "default", "--sample", "2")[1]
    assert shown.count("default, customer") == 2
    assert "somebody of whom nothing is known" in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("preview", "{file}", "--customer", "nobody"), "customer 'nobody' is not known"),
        (("preview", "{file}", "--placement", "cart"), "there is no placement 'cart'"),
        (("check", "gone.toml"), "gone.toml cannot be read"),
        (("show",), "nothing was published yet"),
        (("show", "3"), "there is no version 3"),
        (("roll-back",), "no earlier placements"),
        (("roll-back", "7"), "there is no version 7"),
        (("diff", "--against", "4"), "there is no version 4"),
    ],
)
def test_what_is_not_there_is_told(
    home: Path, terminal: Terminal, file: Written, words: tuple[str, ...], says: str
) -> None:
    """Customers, placements, files and versions that are not there end with exit code 1 and what there is."""
    code, _, err = terminal("placements", *(word.format(file=file("")) for word in words), "--home", str(home))
    assert code == 1
    assert says in err


def test_what_does_not_fit_today_is_rolled_back_to_by_force_alone(home: Path, terminal: Terminal) -> None:
    """A version was right when it was published; a pin of it is over since. It is refused as a new file would be."""
    words, repository = ("--home", str(home)), PlacementRepository(ShopFolder(home).placements)
    over = "[placements.home]\npins = [{ item = 'c4', slot = 1, until = 2020-01-01 }]\n"
    repository.publish(over, by="ann", why="the new year", now=0)
    repository.publish("# nothing\n", by="ann", why="it is over", now=1)
    for number in ((), ("1",)):
        code, _, err = terminal("placements", "roll-back", *number, *words)
        assert code == 1
        assert "version 1, line 2: placements.home.pins[0].until: it is over since 2020-01-01" in err
        assert "--force" in err
    assert repository.current_id() == 2
    code, out, err = terminal("placements", "roll-back", "--force", *words)
    assert (code, out) == (0, "version 3 of the placements is in force: version 1 again\n")
    assert "it is over since" in err
    assert [version.forced for version in repository.versions()] == [False, False, True]


def test_a_list_is_shown_as_its_placement_makes_it(home: Path, terminal: Terminal) -> None:
    """`bookmatch recommend` shows what the service would, at the spot that is named; a filter holds beside its own."""
    text = (
        "[placements.home]\nfilter = \"author = 'Ann Ash'\"\n[placements.default]\npins = [{ item = 'g1', slot = 1 }]\n"
    )
    PlacementRepository(ShopFolder(home).placements).publish(text, by="ann", why="a try", now=0)
    words = ("recommend", "u8", "--home", str(home), "--json")

    def listed(*more: str) -> tuple[list[str], dict[str, object]]:
        told = orjson.loads(terminal(*words, *more)[1])
        return [each["item_id"] for each in told["items"]], told["placement"]

    assert listed("--placement", "home") == (["c4"], {"name": "home", "moved": {}})
    assert listed("--placement", "home", "--filter", "author <> 'Ann Ash'")[0] == []
    shown, placement = listed()
    assert (shown[0], placement) == ("g1", {"name": "default", "moved": {"pins": 1}})
    with Service(Settings(home=home), FakeClock()) as service:
        assert shown == service.get("/v1/customers/u8/recommendations?limit=10").items
    code, _, err = terminal(*words, "--placement", "hom")
    assert (code, "there is no placement 'hom'" in err) == (1, True)


def test_without_a_model_only_force_publishes(tmp_path: Path, terminal: Terminal, file: Written) -> None:
    """Before the first training no list can be made: check says what to do, and --force publishes all the same."""
    open_store(ShopFolder(tmp_path / "new").store).close()
    words = ("--home", str(tmp_path / "new"))
    code, _, err = terminal("placements", "check", file(GOOD), *words)
    assert (code, "train one with" in err) == (1, True)
    assert terminal("placements", "publish", file(GOOD), "--why", "x", *words)[0] == 1
    assert terminal("placements", "publish", file(GOOD), "--why", "x", "--force", *words)[0] == 0
    assert published(tmp_path / "new") == [1]
