"""What the rules of a placement that are applied while a list is ranked do to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.bundle import ModelBundle
from recsys.data.catalog import ITEM_SCHEMA, Catalog
from recsys.data.events import EventKind
from recsys.data.history import History, StoredHistory
from recsys.data.item_table import ItemTable
from recsys.data.packed import HistoryRow
from recsys.models.blend import BlendWeights
from recsys.models.relevance import Relevance
from recsys.recommend.filters import NOBODY, AskerFacts
from recsys.recommend.placement import DEFAULT_PLACEMENT, Boost, Fallback, Placement
from recsys.recommend.recommender import Recommender
from recsys.recommend.rules import Rules
from recsys.recommend.types import Answer, Request
from tests.worlds import DAY, START, event_frame, published
from training.fitting import TrainingConfig

NOW = START + 100 * DAY
BUY = EventKind.PURCHASE
SETTINGS = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=30
)


def books() -> pl.DataFrame:
    """Two shelves; of `late` and `later` nothing was heard for a long time, then they were bought every day."""
    rows = [
        (f"u{user:02}", f"{'cg'[user % 2]}{book}", BUY, (user * 7 + book * 3) % 60)
        for user in range(40)
        for book in range(8)
        if (user + book) % 3
    ]
    rows += [(f"r{user}", "late", BUY, 50 + user % 10) for user in range(30)]
    rows += [(f"r{user}", "later", BUY, 55 + user % 5) for user in range(25)]
    return event_frame(rows)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The shop's models, in which all that is foreseen is known."""
    config = TrainingConfig(blend=BlendWeights.constant({"item_item": 1.0, "als": 0.3, "popular": 0.2}))
    made = published(tmp_path_factory.mktemp("rules"), books(), config)
    edges, chance = np.array([0.0, 0.5, 1.0]), np.array([0.01, 0.1, 0.3])
    few, rare = np.array([0.0, 1.0]), np.array([0.02, 0.05])
    learned = Relevance.of_curves((BUY,), 30, (), ((edges, chance), (few, rare), (few, rare)))
    return replace(made, relevance=learned)


def catalog(bundle: ModelBundle, *gone: str, **appeared: int) -> Catalog:
    """A catalogue in which some items cannot be had and some have a date, in days."""
    rows = [{"item_id": item, "available": False} for item in gone]
    rows += [{"item_id": item, "published": START + day * DAY} for item, day in appeared.items()]  # type: ignore[misc]
    return Catalog.from_items(pl.DataFrame(rows, schema=ITEM_SCHEMA), bundle.items, 1)


def history(bundle: ModelBundle, *items: str) -> History:
    """Purchases a day apart."""
    rows = [HistoryRow(item, BUY.code, START + day * DAY, None, 1.0, None) for day, item in enumerate(items)]
    return History.from_stored(StoredHistory.of(len(rows), rows), bundle.items)


def spot(**rules: object) -> Placement:
    """The default placement with these rules."""
    return replace(DEFAULT_PLACEMENT, name="spot", **rules)  # type: ignore[arg-type]


def ask(
    bundle: ModelBundle, placement: Placement, past: History, limit: int = 50, where: Catalog | None = None
) -> Answer:
    """The placement's list."""
    request = Request(limit=limit, now=NOW)
    return Recommender(bundle, placement).recommend(past, where or catalog(bundle), request)


def ids(answer: Answer, code: str | None = None) -> list[str]:
    """The listed items, those of one reason or all."""
    return [item.item_id for item in answer.items if code in (None, item.reason.code)]


def sums(answer: Answer) -> None:
    """Shares sum to scores, and scores descend."""
    scores = [item.score for item in answer.items]
    assert scores == sorted(scores, reverse=True)
    for item in answer.items:
        assert sum(part.share for part in item.reason.evidence) == pytest.approx(item.score, abs=1e-9)


def test_popular_filling_is_that_of_every_list(bundle: ModelBundle) -> None:
    """Filled up here or by the kernel: the same items with the same scores; a boost of 1 changes nothing."""
    plain, known = Recommender(bundle), history(bundle, "c1", "c2")
    fillings = Recommender(bundle, spot(minimum_relevance=0.01)).rules.now(catalog(bundle), NOW).fillings
    for past in (known, History.empty(), history(bundle, "g1")):
        for rules in (Rules(fillings=fillings), Rules(boost=np.ones(len(bundle.items)), fillings=fillings)):
            for limit in (1, 5, 12, 50):
                request = Request(limit=limit, now=NOW, exclude=frozenset({"late", "c3"}))
                made = plain.recommend(past, catalog(bundle, "g2"), request, rules)
                assert made == plain.recommend(past, catalog(bundle, "g2"), request)


def test_a_list_is_filled_up_in_the_order_of_the_placement(bundle: ModelBundle) -> None:
    """First what rises, then what is new, each saying so; never an item twice, and nothing when nothing is wanted."""
    past = history(bundle, "c1", "c2")
    shelf = catalog(bundle, "g3", g1=99, g5=98, c7=10)
    answer = ask(
        bundle, spot(sources=frozenset({"item_item"}), fallback=(Fallback.RISING, Fallback.NEW)), past, 50, shelf
    )
    codes = [item.reason.code for item in answer.items]
    order = {"history": 0, "rising": 1, "new": 2}
    assert [order[code] for code in codes] == sorted(order[code] for code in codes)
    assert set(ids(answer, "rising")) == {"late", "later"}
    assert [item for item in ids(answer, "new") if item in {"g1", "g5"}] == ["g1", "g5"]
    assert "g3" not in ids(answer)
    assert len(set(ids(answer))) == len(ids(answer))
    assert set(answer.sources) >= {"rising", "new"}
    assert all(item.relevance is None for item in answer.items if item.reason.code != "history")
    sums(answer)
    alone = ask(bundle, spot(sources=frozenset({"item_item"}), fallback=()), past)
    assert set(ids(alone)) == set(ids(answer, "history"))
    assert "the history speaks for" in (alone.short or "")
    assert ask(bundle, spot(fallback=()), History.empty()).items == ()


def test_what_is_not_likely_enough_is_not_shown(bundle: ModelBundle) -> None:
    """Neither a personal item nor a popular one; the answer counts them, and the others stay as they were."""
    past = history(bundle, "c1", "c2")
    whole = ask(bundle, DEFAULT_PLACEMENT, past)
    for least in (0.015, 0.03, 0.1, 0.2, 0.9):
        answer = ask(bundle, spot(minimum_relevance=least), past)
        kept = [item for item in whole.items if item.relevance is not None and item.relevance >= least]
        assert [item for item in answer.items if item.reason.code == "history"] == [
            item for item in kept if item.reason.code == "history"
        ]
        assert set(ids(answer)) == {item.item_id for item in kept}
        assert answer.masked["unlikely"] >= len(whole.items) - len(kept)
        assert ("unlikely" in (answer.short or "")) == (len(kept) < len(whole.items))
    rising = spot(minimum_relevance=0.01, fallback=(Fallback.RISING,))
    assert "rising" not in {item.reason.code for item in ask(bundle, rising, past).items}


def test_unknown_relevance_is_not_enough(bundle: ModelBundle) -> None:
    """A placement of other sources has none: with a minimum nothing is shown, and the answer says why."""
    answer = ask(bundle, spot(sources=frozenset({"als"}), minimum_relevance=0.001), history(bundle, "c1"))
    assert not answer.items
    assert answer.masked["unlikely"] > 0
    assert "unlikely" in (answer.short or "")


@SETTINGS
@given(
    bought=st.lists(st.sampled_from([f"{shelf}{book}" for shelf in "cg" for book in range(8)]), max_size=4),
    factor=st.sampled_from([0.1, 0.5, 2.0, 30.0]),
    limit=st.integers(1, 20),
)
def test_a_boost_multiplies_scores_and_shares(
    bundle: ModelBundle, bought: list[str], factor: float, limit: int
) -> None:
    """The list is that of all scores multiplied and sorted; relevance stays; popular filling is multiplied as well."""
    past, plain = history(bundle, *bought), Recommender(bundle)
    boost = np.array([factor if item.startswith("g") else 1.0 for item in bundle.items])
    fillings = Recommender(bundle, spot(minimum_relevance=0.01)).rules
    popular, _ = fillings._filled_with(catalog(bundle), boost)
    whole = plain.recommend(past, catalog(bundle), Request(limit=50, now=NOW))
    answer = plain.recommend(past, catalog(bundle), Request(limit=limit, now=NOW), Rules(boost=boost, fillings=popular))
    by_id = {item.item_id: item for item in whole.items}
    times = {item.item_id: factor if item.item_id.startswith("g") else 1.0 for item in whole.items}
    personal = [item for item in whole.items if item.reason.code == "history"]
    scores = sorted((item.score * times[item.item_id] for item in personal), reverse=True)
    own = [item for item in answer.items if item.reason.code == "history"]
    assert len(own) == min(limit, len(personal))
    np.testing.assert_allclose([item.score for item in own], scores[: len(own)], atol=2e-5 * max(1.0, factor))
    for item in own:
        assert item.score == pytest.approx(by_id[item.item_id].score * times[item.item_id], abs=2e-5 * max(1.0, factor))
        assert item.relevance == pytest.approx(by_id[item.item_id].relevance or 0.0, abs=1e-9)
    sums(answer)


@pytest.mark.parametrize(
    ("factor", "number", "together"), [(100.0, 2, 1e4), (100.0, 200, 1e4), (0.01, 200, 1e-4), (1.5, 2, 2.25)]
)
def test_many_boosts_of_one_item_do_not_lose_the_order(
    bundle: ModelBundle, factor: float, number: int, together: float
) -> None:
    """Two hundred of them would make scores infinite, or nothing; together they do so much at most."""
    every = catalog(bundle, "c0")
    table = ItemTable.from_items(pl.DataFrame([{"item_id": "c1", "price": 1.0}], schema=ITEM_SCHEMA), bundle.items)
    several = (Boost(where="price < 2", factor=factor),) * number
    rules = Recommender(bundle, spot(boosts=several)).rules.now(every, NOW, table)
    assert rules.boost is not None
    assert {round(each, 9) for each in rules.boost.tolist()} == {1.0, together}


def test_whom_boosts_are_told_of_matters_for_what_is_known_already(bundle: ModelBundle) -> None:
    """The same history is asked once as itself and once as nobody's: what a boost says of it counts the first time
    alone, in either order; and what was made for it once is not made again."""
    frame = pl.DataFrame([{"item_id": item, "price": 1.0} for item in bundle.items], schema=ITEM_SCHEMA)
    every, table = Catalog.from_items(frame, bundle.items), ItemTable.from_items(frame, bundle.items)
    boosts = (Boost(where="bought_within('999d')", factor=4.0), Boost(where="price < 9", factor=2.0))
    rules = Recommender(bundle, spot(boosts=boosts)).rules
    asker = AskerFacts(history(bundle, "c1"))
    at = bundle.items.position("c1")
    for liked, factor in ((None, 8.0), (NOBODY, 2.0), (asker, 8.0), (NOBODY, 2.0)):
        made = rules.now(every, START + 9 * DAY, table, asker, liked)
        assert made.boost is not None
        assert made.boost[at] == factor
        assert rules.now(every, START + 9 * DAY, table, asker, liked) is made


def test_what_may_be_bought_again_and_nothing_else(tmp_path: Path) -> None:
    """The likeliest first, whatever else the history speaks for; nothing is filled in."""
    rows = [
        (f"u{user}", item, BUY, user % 5 + 7 * week)
        for user in range(20)
        for week in range(6)
        for item in ("milk", "bread")
    ]
    rows += [(f"u{user}", f"pan{user % 3}", BUY, 3) for user in range(20)]
    config = TrainingConfig(blend=BlendWeights.constant({"item_item": 1.0, "repeat": 5.0}))
    grocer = published(tmp_path, event_frame(rows), config)
    again = Placement("again", frozenset({EventKind.NOT_INTERESTED}), only_again=True)
    rows_of = [HistoryRow(item, BUY.code, START + 42 * DAY, None, 1.0, None) for item in ("milk", "pan0")]
    past = History.from_stored(StoredHistory.of(2, rows_of), grocer.items)
    request = Request(limit=50, now=START + 45 * DAY)
    answer = Recommender(grocer, again).recommend(past, catalog(grocer), request)
    assert ids(answer)[0] == "milk"
    assert set(ids(answer)) <= {"milk", "pan0"}
    assert "bought again" in (answer.short or "")
    assert answer.sources == ("repeat",)
    for sources in (frozenset({"item_item"}), frozenset({"als"})):
        of_others = Recommender(grocer, replace(again, sources=sources)).recommend(past, catalog(grocer), request)
        assert set(ids(of_others)) <= {"milk", "pan0"}
    assert ask(grocer, again, History.empty()).items == ()


def test_own_weights_are_the_lists(bundle: ModelBundle) -> None:
    """A table of weights is taken as it is, for histories of every length."""
    past = history(bundle, "c1", "c2")
    weighed = ask(
        bundle, spot(sources=frozenset({"item_item", "popular"}), weights=(("item_item", 3.0), ("popular", 0.5))), past
    )
    other = replace(
        bundle,
        manifest=replace(bundle.manifest, blend=BlendWeights.constant({"item_item": 3.0, "popular": 0.5})),
        relevance=None,
    )
    assert weighed.items == ask(other, DEFAULT_PLACEMENT, past).items
    assert all(item.relevance is None for item in weighed.items)
