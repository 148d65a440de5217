"""Every example of docs/placements.md is read, tried on a simulated shop, and does what the page says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from recsys.bundle import BundleRepository, ModelBundle
from recsys.data.catalog import UNREAD, Catalog
from recsys.data.events import KIND_BY_CODE, EventKind
from recsys.data.history import HISTORY_LIMIT, History
from recsys.data.importers import importing
from recsys.data.importers.options import build_options
from recsys.data.item_table import ItemTable
from recsys.data.shown import NOTHING_SHOWN, Shown
from recsys.experiments import assign
from recsys.models.relevance import Relevance
from recsys.recommend.filters import AskerFacts, parse
from recsys.recommend.placement import DEFAULT_PLACEMENT, Exploration
from recsys.recommend.placements import PlacementsFile, PlacementsFileError, read_placements
from recsys.recommend.placements.trial import NOBODY, Customer, Trial
from recsys.recommend.placements.words import RULES, SECTIONS
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Answer
from recsys.shop import ShopFolder
from recsys.simulation.folder import write_shop
from recsys.simulation.spec import ShopSpec
from recsys.stores import open_store
from tests.serving.shop import train_shop

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "placements.md").read_text()
LIMIT = 10
Did = Mapping[str, Mapping[EventKind, set[str]]]


def at(*day: int) -> int:
    """A moment, in milliseconds UTC."""
    return int(datetime(*day, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type, misc]


NOVEMBER, DECEMBER = at(2026, 11, 15), at(2026, 12, 10)


def examples() -> dict[str, str]:
    """The examples of the page, by heading and number."""
    found = {}
    for section in PAGE.split("\n## ")[1:]:
        heading = section.splitlines()[0]
        for number, block in enumerate(re.findall(r"```toml\n(.*?)```", section, re.S), start=1):
            found[f"{heading} {number}"] = block
    return found


@dataclass(frozen=True)
class SampleShop:
    """A simulated shop with its models, and some of its customers."""

    bundle: ModelBundle
    catalog: Catalog
    table: ItemTable
    items: Mapping[str, Mapping[str, Any]]
    customers: Mapping[str, Customer]
    did: Did


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SampleShop:
    """Simulated, imported and trained as `make run` does it, but smaller."""
    home = ShopFolder(tmp_path_factory.mktemp("sample") / "shop")
    files = home.home / "sample"
    write_shop(ShopSpec(books=300, customers=400, events=8_000), files)
    for subject, names in (("items", "items*"), ("customers", "customers*"), (None, "events-*")):
        options = build_options(now=NOVEMBER, subject=subject)
        importing.import_files(sorted(files.glob(f"{names}.parquet")), options, home, open_store, lambda *_: None)
    train_shop(home.home)
    repository = BundleRepository(home.models)
    bundle = repository.load(repository.current_id() or "")
    store = open_store(home.store, create=False)
    changes = store.catalog.changes(UNREAD)
    stored = {who: store.histories.get(who, HISTORY_LIMIT) for who in store.customers.sample(80, seed=0)}
    did: dict[str, dict[EventKind, set[str]]] = {}
    for who, past in stored.items():
        did[who] = {}
        for row in past.rows:
            did[who].setdefault(KIND_BY_CODE[row.kind], set()).add(row.item_id)
    rows = store.catalog.read().to_dicts()
    store.close()
    return SampleShop(
        bundle,
        Catalog.of(changes, bundle.items),
        ItemTable.of(changes, bundle.items),
        {row["item_id"]: row | orjson.loads(row["attributes"] or "{}") for row in rows},
        {
            who: Customer(AskerFacts(History.from_stored(past, bundle.items)), NOTHING_SHOWN)
            for who, past in stored.items()
        }
        | {NOBODY: Customer(AskerFacts(History.empty()), NOTHING_SHOWN)},
        did,
    )


def customer(history: History) -> Customer:
    """Of whom only a history is known."""
    return Customer(AskerFacts(history), NOTHING_SHOWN)


@dataclass(frozen=True)
class Tried:
    """An example and the shop that it is tried in."""

    file: PlacementsFile
    shop: SampleShop

    def trial(self, now: int = NOVEMBER) -> Trial:
        """The shop's customers at a moment."""
        shop = self.shop
        return Trial(shop.bundle, shop.catalog, shop.table, shop.customers, LIMIT, now)

    def answers(self, name: str, now: int = NOVEMBER) -> Mapping[str, Answer]:
        """Every customer's list."""
        found = self.trial(now).lists(self.file.placements[name])
        return {who: each.answer for who, each in found.items()}

    def lists(self, name: str, now: int = NOVEMBER) -> dict[str, list[str]]:
        """The items on them."""
        return {who: [item.item_id for item in answer.items] for who, answer in self.answers(name, now).items()}

    def plain(self, now: int = NOVEMBER) -> dict[str, list[str]]:
        """The lists without any rule."""
        return {
            who: [each.item_id for each in found.answer.items]
            for who, found in self.trial(now).lists(DEFAULT_PLACEMENT).items()
        }

    def had(self, who: str, *kinds: EventKind) -> set[str]:
        """With which items a customer did one of these."""
        did = self.shop.did.get(who, {})
        return set().union(*(did.get(kind, set()) for kind in kinds))


def first(tried: Tried) -> None:
    """A placement without rules lists as the default one does, for everybody, whether anything is known or not."""
    assert tried.lists("home") == tried.plain()
    assert all(len(items) == LIMIT for items in tried.plain().values())


def sources(tried: Tried) -> None:
    """No source but those named has a say, but for what fills lists up."""
    for answer in tried.answers("similar-taste").values():
        assert {"item_item", "als", "popular"} >= set(answer.sources)
    assert tried.lists("similar-taste") != tried.plain()


def weights(tried: Tried) -> None:
    """Content counts three times as much as what others did."""
    recommender = Recommender(tried.shop.bundle, tried.file.placements["more-of-the-same"])
    found = [recommender.weights(asker.history) for asker, _ in tried.shop.customers.values() if len(asker.history)]
    assert all(each["content"] == 3 * each["item_item"] for each in found if each)
    assert any(found)


def fallback(tried: Tried) -> None:
    """One of whom nothing is known gets what rises first, and says so."""
    codes = [item.reason.code for item in tried.answers("home")[NOBODY].items]
    assert codes == ["rising"] * codes.count("rising") + ["popular"] * codes.count("popular")
    assert codes.count("rising") > 0


def no_fallback(tried: Tried) -> None:
    """Nothing is listed for everybody."""
    answers = tried.answers("only-personal")
    assert answers[NOBODY].items == ()
    assert {item.reason.code for answer in answers.values() for item in answer.items} == {"history"}


def filters(tried: Tried) -> None:
    """Saved or written, a filter keeps out all that does not pass."""
    items = tried.shop.items
    bargains, paperbacks = (set().union(*tried.lists(name).values()) for name in ("bargains", "paperbacks"))
    assert bargains
    assert paperbacks
    assert all(items[each]["price"] < 12 for each in bargains)
    assert {items[each]["format"] for each in paperbacks} == {"paperback"}
    assert "Forgotten Wars" not in {items[each]["category"] for each in paperbacks}


def repeat(tried: Tried) -> None:
    """Never what was had; what was bought may come again; nothing but what was bought."""
    bought, unwanted = EventKind.PURCHASE, (EventKind.RETURN, EventKind.NOT_INTERESTED)
    again = 0
    carts, onlys = tried.lists("cart"), tried.lists("buy-again")
    for who, items in tried.lists("home").items():
        assert not set(items) & tried.had(who, *DEFAULT_PLACEMENT.mask_kinds)
        cart, only = set(carts[who]), set(onlys[who])
        again += len(cart & tried.had(who, bought))
        assert not (cart | only) & tried.had(who, *unwanted)
        assert only <= tried.had(who, bought, EventKind.OWN)
    assert again > 0
    assert any(onlys.values())


def hidden(tried: Tried) -> None:
    """What was looked at is not there."""
    kinds = (EventKind.VIEW, EventKind.PURCHASE, EventKind.OWN, EventKind.RETURN, EventKind.NOT_INTERESTED)
    lists = tried.lists("fresh")
    assert not any(set(items) & tried.had(who, *kinds) for who, items in lists.items())
    assert any(set(items) & tried.had(who, EventKind.VIEW) for who, items in tried.plain().items())


def relevance(tried: Tried) -> None:
    """This shop's data cannot tell relevance, so the file is refused; where it can, nothing below it is listed."""
    with pytest.raises(PlacementsFileError, match=r"line 1: placements\.banner: it empties the lists"):
        tried.trial().check(tried.file)
    edges = np.linspace(0.0, 20.0, 200)
    chance = edges / 5_000
    learned = Relevance.of_curves((EventKind.PURCHASE,), 28, (), ((edges, chance),) * 3)
    bundle = replace(tried.shop.bundle, relevance=learned)
    told = replace(tried, shop=replace(tried.shop, bundle=bundle))
    likely = [item.relevance for answer in told.answers("banner").values() for item in answer.items]
    assert likely
    assert all(each is not None and each >= 0.001 for each in likely)
    every = [item.relevance for found in told.trial().lists(DEFAULT_PLACEMENT).values() for item in found.answer.items]
    assert any(each is not None and each < 0.001 for each in every)


def diversity(tried: Tried) -> None:
    """No author is there three times, and no series twice; without the rule some are."""
    items = tried.shop.items

    def most(lists: Mapping[str, list[str]], attribute: str) -> int:
        """How often a value is on one list, at most."""
        counts = (Counter(items[each].get(attribute) for each in listed) for listed in lists.values())
        return max(number for count in counts for value, number in count.items() if value is not None)

    assert (most(tried.lists("home"), "author"), most(tried.lists("home"), "series")) == (2, 1)
    assert most(tried.plain(), "author") > 2
    assert all(len(listed) == LIMIT for listed in tried.lists("home").values())


def rotation(tried: Tried) -> None:
    """Five places down with the fourth time, ten with the fifth; what was shown long ago counts no more."""
    day = 86_400_000
    who, first, *_ = next((who, *items) for who, items in tried.plain().items() if tried.shop.did.get(who))
    position = tried.shop.bundle.items.position(first)

    def place(times: int, ago: int) -> int | None:
        """Where the first item stands when it was shown so often, so many days ago."""
        known = tried.shop.customers[who]
        shown = Shown(np.full(times, position, dtype=np.int32), np.full(times, NOVEMBER - ago * day))
        again = replace(tried, shop=replace(tried.shop, customers={who: known._replace(shown=shown)}))
        items = again.lists("home")[who]
        return items.index(first) if first in items else None

    assert [place(times, 1) for times in range(6)] == [0, 0, 0, 0, 5, None]
    assert place(5, 20) == 0


def pins(tried: Tried) -> None:
    """Each pin is in its place while it holds, but for those who had it."""
    berlin = [at(2026, 11, 30, 23), at(2026, 12, 23, 22, 59), at(2026, 12, 23, 23)]
    for now, pinned in zip([berlin[0] - 1, *berlin], [False, True, True, False], strict=True):
        plain = tried.plain(now)
        for who, items in tried.lists("home", now).items():
            had = tried.had(who, *DEFAULT_PLACEMENT.mask_kinds)
            if "B0000004" not in had:
                assert (items[0] == "B0000004") == pinned or plain[who][0] == "B0000004"
            assert items[2] == "B0000009" or "B0000009" in had


def boosts(tried: Tried) -> None:
    """More paperbacks and fewer dear books, until the day before Christmas; dear books less ever after."""

    def share(lists: Mapping[str, list[str]]) -> tuple[int, int]:
        """How many paperbacks and how many dear books."""
        listed = [tried.shop.items[each] for items in lists.values() for each in items]
        return sum(each["format"] == "paperback" for each in listed), sum(each["price"] > 30 for each in listed)

    plain, boosted, later = share(tried.plain()), share(tried.lists("home")), share(tried.lists("home", at(2027, 1, 5)))
    assert boosted[0] > later[0]
    assert boosted[0] > plain[0]
    assert later[1] < plain[1]


def exploring(tried: Tried) -> None:
    """What the numbers stand for."""
    assert tried.file.placements["home"].exploration == Exploration(share=0.1, cost=0.02)


def experiments(tried: Tried) -> None:
    """Everybody is in one arm, half each after the holdout, and stays there; before and after nobody is in any."""
    (experiment,) = tried.file.experiments
    drawn = [assign(experiment, f"c{number}", DECEMBER) for number in range(10_000)]
    assert drawn == [assign(experiment, f"c{number}", DECEMBER + 1) for number in range(10_000)]
    count = Counter(arm.name for arm in drawn if arm is not None)
    assert 350 < count["holdout"] < 650
    assert 4_500 < count["control"] < 5_000
    assert 4_500 < count["calm"] < 5_000
    assert assign(experiment, "c1", NOVEMBER) is assign(experiment, "c1", at(2027, 1, 15)) is None
    assert {arm.placement for arm in drawn if arm is not None} == {"home", "home-calm", None}


def default(tried: Tried) -> None:
    """Where no placement is named the rule holds."""
    items = tried.shop.items
    for listed in tried.lists("default").values():
        assert max(Counter(items[each]["author"] for each in listed).values()) <= 3


CLAIMS: dict[str, Callable[[Tried], None]] = {
    "A first placement 1": first,
    "Sources: whose word counts 1": sources,
    "Sources: whose word counts 2": weights,
    "What fills a list up 1": fallback,
    "What fills a list up 2": no_fallback,
    "Filters 1": filters,
    "Repeat: what customers had already 1": repeat,
    "Repeat: what customers had already 2": hidden,
    "Least relevance 1": relevance,
    "Diversity 1": diversity,
    "Rotation 1": rotation,
    "Pins 1": pins,
    "Boosts 1": boosts,
    "Exploring new items 1": exploring,
    "Experiments 1": experiments,
    "Another default 1": default,
}


def test_every_example_has_a_claim() -> None:
    """No example stands on the page without a test of what is said of it, and none is tested that is gone."""
    assert list(CLAIMS) == list(examples())


@pytest.mark.parametrize("name", CLAIMS)
def test_the_example_does_what_the_page_says(shop: SampleShop, name: str) -> None:
    """It is read with nothing to find fault with, could be published, and its lists are as described."""
    columns = shop.table.kinds
    file = read_placements(examples()[name], name, check=lambda text: parse(text, columns), now=NOVEMBER)
    tried = Tried(file, shop)
    if name != "Least relevance 1":
        tried.trial().check(file)
    CLAIMS[name](tried)


def test_the_page_has_every_key() -> None:
    """Each key of a placement has a row in the table, and each table of the file is named."""
    table = PAGE.split("## All rules")[1].split("\n## ")[0]
    assert re.findall(r"^\| `([a-z_]+)` \|", table, re.M) == list(RULES)
    assert [name for name in SECTIONS if not re.search(rf"`\[?{name}\b", PAGE)] == []
