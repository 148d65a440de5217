"""`bookmatch evaluate --replay` on a shop whose storefront quotes what exploration told it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import orjson
import pytest

from recsys.bundle import BundleRepository
from recsys.data.catalog import UNREAD, Catalog
from recsys.data.events import Event, EventKind
from recsys.data.history import History
from recsys.recommend.placements import PlacementRepository
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Request
from recsys.shop import ShopFolder
from recsys.stores import open_store
from serving.http.tokens import AnswerIdentity, RecommendationTokens
from tests.cli.conftest import Terminal
from tests.serving.shop import CUSTOMERS, DAY, START, shop_events
from tests.worlds import run_of
from training.fitting import TrainingConfig
from training.pipeline import train
from training.stages import StageLog

ANSWERED = START + 20 * DAY
SLOTS, TRIED = 4, "new-book"
CHANCE = 0.25

FILE = """
[placements.home]
explore = { share = 0.3, cost = 0.1 }
[placements.plain]
fallback = []
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop that showed every customer its own list a few times, with another book in one slot by chance; the listed
    books are clicked by half of the customers, the tried one by nobody."""
    home = tmp_path_factory.mktemp("shop")
    shop = ShopFolder(home)
    with closing(open_store(shop.store)) as store:
        store.events.append(shop_events())
        train(store, BundleRepository(shop.models), TrainingConfig(), run_of(home), StageLog())
        PlacementRepository(shop.placements).publish(FILE, by="a test", why="to see", now=START)
        bundle = BundleRepository(shop.models).load(str(BundleRepository(shop.models).current_id()))
        tokens = RecommendationTokens(store.secret())
        spot = Recommender(bundle).at(PlacementRepository(shop.placements).current().placements["home"])
        catalog = Catalog.of(store.catalog.changes(UNREAD), bundle.items)
        rng = np.random.default_rng(0)
        for number in range(CUSTOMERS * 8):
            who, moment = f"c{number % CUSTOMERS}", ANSWERED + number * 1000
            past = History.from_stored(store.histories.get(who, 500), bundle.items)
            listed = [each.item_id for each in spot.recommend(past, catalog, Request(limit=SLOTS, now=moment)).items]
            token = tokens.sign(AnswerIdentity(bundle.bundle_id, "home", "", f"seed{number}", moment))
            store.events.append(_seen(rng, who, listed, token, moment))
    return home


def _seen(rng: np.random.Generator, who: str, listed: list[str], token: str, moment: int) -> list[Event]:
    """What the storefront tells of one answer: in the second slot the tried book stood with probability `CHANCE`."""
    shown, propensity = list(listed), [1.0] * len(listed)
    tried = rng.random() < CHANCE
    shown[1] = TRIED if tried else shown[1]
    propensity[1] = CHANCE if tried else 1 - CHANCE
    events = []
    for place, item_id in enumerate(shown):
        context = orjson.dumps({"slot": place + 1, "propensity": propensity[place]}).decode()
        common = {"customer_id": who, "item_id": item_id, "recommendation_id": token, "timestamp": moment + 10}
        events.append(
            Event(event_id=f"i{token}{place}", kind=EventKind.IMPRESSION, context=context, **common)  # type: ignore[arg-type]
        )
        if item_id != TRIED and int(who[1:]) % 2:
            events.append(Event(event_id=f"k{token}{place}", kind=EventKind.CLICK, **common))  # type: ignore[arg-type]
    return events


def replayed(terminal: Terminal, home: Path, policy: str, *words: str) -> dict[str, object]:
    """The command's JSON."""
    code, out, err = terminal("evaluate", "--home", str(home), "--replay", policy, "--json", *words)
    assert code == 0, err
    found: dict[str, object] = json.loads(out)
    return found


def test_the_lists_without_chance_are_worth_what_they_are(home: Path, terminal: Terminal) -> None:
    """Half of the slots of the shop's own lists are clicked; what was shown brought less, as the tried book was not."""
    found = replayed(terminal, home, "bundle:current")
    assert (found["slots"], found["answers"], found["customers"]) == (CUSTOMERS * 8 * SLOTS, CUSTOMERS * 8, CUSTOMERS)
    assert (found["logged"], found["verdict"], found["cause"]) == ("home", "better", None)
    estimates, support = found["estimates"], found["support"]
    assert isinstance(estimates, dict)
    assert isinstance(support, dict)
    assert support["mean"] == pytest.approx(1.0, abs=0.05)
    assert estimates["snips"]["mean"] == pytest.approx(0.5, abs=0.01)
    for name in ("ips", "snips", "doubly_robust"):
        assert estimates[name]["low"] <= 0.5 <= estimates[name]["high"]
    assert estimates["logged"]["mean"] < 0.48


def test_histories_are_those_of_the_moment(home: Path, terminal: Terminal) -> None:
    """What customers did after an answer changes nothing of what the policy would have listed there."""
    before = replayed(terminal, home, "bundle:current")
    with closing(open_store(ShopFolder(home).store)) as store:
        store.events.append(
            [
                Event(event_id=f"later{n}", customer_id=f"c{n}", kind=EventKind.PURCHASE, item_id=f"s{n % 4}/b05",
                      timestamp=ANSWERED + 30 * DAY)
                for n in range(CUSTOMERS)
            ]
        )  # fmt: skip
    after = replayed(terminal, home, "bundle:current")
    assert {**after, "until": 0} == {**before, "until": 0}


def test_other_lists_cannot_be_told_of(home: Path, terminal: Terminal, tmp_path: Path) -> None:
    """One model alone lists other books: most of its places are not in the log, and the report says so."""
    folder = tmp_path / "report"
    code, out, err = terminal(
        "evaluate", "--home", str(home), "--replay", "model:popular,placement:home", "--output", str(folder)
    )
    assert code == 0, err
    assert "nothing can be said of the lists of home" in out
    assert "by popular alone" in out
    written = json.loads((folder / "metrics.json").read_text())
    assert (written["verdict"], written["lift"], written["policy"]["model"]) == (None, None, "popular")
    assert written["support"]["high"] < 0.95
    assert "doubly robust" in (folder / "replay.md").read_text()
    assert terminal("evaluate", "--home", str(home), "--replay", "model:als", "--output", str(folder))[0] == 1


def test_what_cannot_be_replayed_is_refused(home: Path, terminal: Terminal) -> None:
    """Unknown names, placements without a log, and options that have no effect."""
    for words, told in (
        (["--replay", "placement:nowhere"], "there is no placement 'nowhere'"),
        (["--replay", "placement:plain"], "no slot of the placement plain was seen"),
        (["--replay", "bundle:0123456789abcdef"], "there is no bundle"),
        (["--replay", "model:als", "--clip", "0"], "weights clipped at 0.0"),
        (["--replay", "model:als", "--k", "3"], "--k beside --replay"),
        (["--logged", "home"], "--logged without --replay"),
    ):
        code, _, err = terminal("evaluate", "--home", str(home), *words)
        assert (code, told in err) == (1, True), err
