"""What holds for every answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.bundle import ModelBundle
from recsys.data.catalog import ITEM_SCHEMA, Catalog
from recsys.data.events import EventKind
from recsys.data.history import History, StoredHistory
from recsys.data.packed import HistoryRow
from recsys.errors import UnknownItemError
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Answer, Request
from tests.worlds import DAY, START, published, two_tastes

NOW = START + 100 * DAY
ALL = [f"{shelf}{book}" for shelf in "cg" for book in range(6)] + ["bestseller"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """A bundle of the shop with two tastes."""
    return published(tmp_path_factory.mktemp("models"), two_tastes(36))


def catalog(bundle: ModelBundle, *unavailable: str, **published_days: int) -> Catalog:
    """A catalogue in which these items cannot be had, and these appear some days from now."""
    rows = [{"item_id": item, "available": False} for item in unavailable]
    rows += [{"item_id": item, "published": NOW + days * DAY} for item, days in published_days.items()]  # type: ignore[misc]
    return Catalog.from_items(pl.DataFrame(rows, schema=ITEM_SCHEMA), bundle.items, 1)


def history(bundle: ModelBundle, *did: tuple[str, EventKind]) -> History:
    """A history of these events, a day apart."""
    rows = [HistoryRow(item, kind.code, START + day * DAY, None, 1.0, None) for day, (item, kind) in enumerate(did)]
    return History.from_stored(StoredHistory.of(len(rows), rows), bundle.items)


def ask(bundle: ModelBundle, past: History, limit: int = 5, exclude: frozenset[str] = frozenset()) -> Answer:
    """An answer with everything available."""
    request = Request(limit=limit, now=NOW, exclude=exclude)
    return Recommender(bundle).recommend(past, catalog(bundle), request)


def ids(answer: Answer) -> list[str]:
    """The listed items."""
    return [item.item_id for item in answer.items]


def test_the_missing_book_comes_first(bundle: ModelBundle) -> None:
    """Who bought four of the six crime novels is shown the other two before anything else."""
    past = history(bundle, *[(f"c{book}", EventKind.PURCHASE) for book in range(4)])
    answer = ask(bundle, past, limit=2)
    assert set(ids(answer)) == {"c4", "c5"}
    assert answer.fallback is None
    assert set(answer.sources) == {"item_item", "als", "popular"}


def test_one_view_changes_the_answer(bundle: ModelBundle) -> None:
    """A customer with no past is shown gardening after looking at one gardening book."""
    answer = ask(bundle, history(bundle, ("g0", EventKind.VIEW)), limit=5)
    shelves = [item[0] for item in ids(answer)]
    assert shelves.count("g") == 4 or shelves.count("g") == 5
    assert "c" not in shelves


def test_what_was_viewed_may_be_shown_and_what_was_had_or_refused_may_not(bundle: ModelBundle) -> None:
    """Purchases, ratings, owned, returned and refused items are left out, counted, and viewed ones are not."""
    past = history(
        bundle,
        ("c0", EventKind.PURCHASE),
        ("c1", EventKind.RATE),
        ("c2", EventKind.OWN),
        ("c3", EventKind.NOT_INTERESTED),
        ("g1", EventKind.RETURN),
        ("c4", EventKind.VIEW),
    )
    answer = ask(bundle, past, limit=50)
    assert set(ids(answer)) == set(ALL) - {"c0", "c1", "c2", "c3", "g1"}
    assert answer.masked == {"unavailable": 0, "seen": 5, "excluded": 0}
    assert answer.short is not None
    assert "5 seen" in answer.short


def test_a_sell_out_leaves_the_others_as_they_were(bundle: ModelBundle) -> None:
    """Without the best item, the rest of the list has the same items, scores and reasons as before."""
    past = history(bundle, ("c0", EventKind.PURCHASE), ("g0", EventKind.VIEW))
    recommender, request = Recommender(bundle), Request(limit=6, now=NOW)
    before = recommender.recommend(past, catalog(bundle), request)
    after = recommender.recommend(past, catalog(bundle, before.items[0].item_id), request)
    assert after.items[:5] == before.items[1:]


def test_given_items_are_all_ranked_and_nothing_else(bundle: ModelBundle) -> None:
    """The other crime novels first, then what the history does not speak for; what is had, unknown or excluded is left
    out and counted."""
    past = history(bundle, *[(f"c{book}", EventKind.PURCHASE) for book in range(4)])
    given = frozenset({"g1", "c5", "g3", "c4", "c0", "g2", "no such book"})
    request = Request(limit=9, now=NOW, exclude=frozenset({"g2", "g5"}), among=given)
    answer = Recommender(bundle).recommend(past, catalog(bundle, "g3", "g4"), request)
    assert set(ids(answer)[:2]) == {"c4", "c5"}
    assert ids(answer)[2:] == ["g1"]
    assert answer.masked == {"unknown": 1, "unavailable": 1, "seen": 1, "excluded": 1}
    assert answer.short == (
        "of the 7 given items, the models know and may show: 3 (left out: 1 unknown, 1 unavailable, 1 seen, 1 excluded)"
    )
    normal = {item.item_id: item for item in ask(bundle, past, limit=2).items}
    assert [normal[item.item_id] for item in answer.items[:2]] == list(answer.items[:2])
    assert Recommender(bundle).rank(past, catalog(bundle, "g3", "g4"), request).tolist() == [
        bundle.items.position(item) for item in ids(answer)
    ]


def test_no_given_items_make_an_empty_answer(bundle: ModelBundle) -> None:
    """An empty set of candidates is not the same as none named, with a history and without."""
    request = Request(limit=3, now=NOW, among=frozenset())
    for past in (history(bundle, ("c0", EventKind.VIEW)), History.empty()):
        answer = Recommender(bundle).recommend(past, catalog(bundle), request)
        assert answer.items == ()
        assert answer.short == "of the 0 given items, the models know and may show: 0"


def test_an_unknown_customer_gets_popular_items_and_is_told_so(bundle: ModelBundle) -> None:
    """The bestseller comes first, every reason says popular, and the fallback names the cause."""
    answer = ask(bundle, History.empty())
    assert ids(answer)[0] == "bestseller"
    assert {item.reason.code for item in answer.items} == {"popular"}
    assert (answer.fallback, answer.sources) == ("unknown_customer", ("popular",))


def test_a_history_without_known_items_says_so(bundle: ModelBundle) -> None:
    """Events on items newer than the model make no personal list, and no error."""
    rows = [HistoryRow("brand-new", EventKind.PURCHASE.code, START, None, 1.0, None)]
    past = History.from_stored(StoredHistory.of(9, rows), bundle.items)
    assert past.unknown_items == 1
    assert ask(bundle, past).fallback == "no_usable_history"


def test_what_was_bought_long_ago_is_not_shown_again(bundle: ModelBundle) -> None:
    """A purchase or a refusal older than the events that taste is read from still keeps its item off the list."""
    rows = [HistoryRow("c0", EventKind.PURCHASE.code, START, None, 1.0, None)]
    long_ago = [
        ("c1", EventKind.PURCHASE.code),
        ("c1", EventKind.VIEW.code),
        ("c2", EventKind.NOT_INTERESTED.code),
        ("c3", EventKind.VIEW.code),
        ("no longer in the model", EventKind.PURCHASE.code),
    ]
    past = History.from_stored(StoredHistory.of(9, rows, long_ago), bundle.items)
    answer = ask(bundle, past)
    assert "c3" in ids(answer)
    assert not {"c0", "c1", "c2"} & set(ids(answer))
    assert answer.masked["seen"] == 3


def test_whoever_has_everything_is_not_said_to_have_no_history(bundle: ModelBundle) -> None:
    """A history speaks, but all it speaks for is had: another cause than a history that says nothing."""
    past = history(bundle, *[(item, EventKind.PURCHASE) for item in bundle.items])
    answer = ask(bundle, past)
    assert (answer.items, answer.fallback) == ((), "nothing_left")
    assert answer.short is not None
    assert answer.short.startswith("items that may be shown and that anybody has shown interest in: 0 (left out: ")


def test_a_gift_is_not_shown_again_but_says_nothing_about_taste(bundle: ModelBundle) -> None:
    """One crime novel for oneself and one gardening book for a friend: the list is crime."""
    past = history(
        bundle,
        ("c0", EventKind.PURCHASE),
        ("g0", EventKind.PURCHASE),
        ("g0", EventKind.IGNORE_FOR_RECOMMENDATIONS),
    )
    answer = ask(bundle, past, limit=5)
    assert {item[0] for item in ids(answer)} <= {"c", "b"}


def test_related_items_share_the_shelf(bundle: ModelBundle) -> None:
    """What goes with a crime novel is crime and the bestseller everybody has, never gardening or the item itself."""
    answer = Recommender(bundle).related("c0", catalog(bundle), Request(limit=5, now=NOW))
    assert set(ids(answer)) < {"c1", "c2", "c3", "c4", "c5", "bestseller"}
    assert all(item.reason.code == "related" and item.reason.evidence[0].item_id == "c0" for item in answer.items)


def test_related_says_why_it_is_short(bundle: ModelBundle) -> None:
    """Weak items are not filled in; the answer says how many there are."""
    answer = Recommender(bundle).related("c0", catalog(bundle, "c1"), Request(limit=50, now=NOW))
    assert "c1" not in ids(answer)
    assert answer.short == f"items that may be shown and are known to go with this one: {len(answer.items)}"


def test_related_to_an_unknown_item_is_an_error(bundle: ModelBundle) -> None:
    """The error names the item."""
    with pytest.raises(UnknownItemError, match="'c77'"):
        Recommender(bundle).related("c77", catalog(bundle), Request(limit=5, now=NOW))


def test_items_not_yet_published_wait(bundle: ModelBundle) -> None:
    """An item published tomorrow is not shown today; one published yesterday is."""
    recommender = Recommender(bundle)
    coming, there = catalog(bundle, c4=1), catalog(bundle, c4=-1)
    past = history(bundle, *[(f"c{book}", EventKind.PURCHASE) for book in range(4)])
    assert "c4" not in ids(recommender.recommend(past, coming, Request(limit=20, now=NOW)))
    assert "c4" in ids(recommender.recommend(past, there, Request(limit=20, now=NOW)))


KINDS = st.sampled_from(
    [
        EventKind.PURCHASE,
        EventKind.VIEW,
        EventKind.ADD_TO_CART,
        EventKind.RETURN,
        EventKind.NOT_INTERESTED,
        EventKind.LIKE,
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([*ALL, "newer-than-the-model"]), KINDS), max_size=12),
    st.integers(1, 20),
    st.sets(st.sampled_from([*ALL, "no such item"]), max_size=6),
    st.sets(st.sampled_from(ALL), max_size=6),
)
def test_what_holds_for_every_answer(
    bundle: ModelBundle, did: list[tuple[str, EventKind]], limit: int, exclude: set[str], unavailable: set[str]
) -> None:
    """No id twice, never more than asked, nothing masked, descending scores, shares that sum to the score, a cause
    whenever the list is short, and the same answer again."""
    past, shop = history(bundle, *did), catalog(bundle, *unavailable)
    request = Request(limit=limit, now=NOW, exclude=frozenset(exclude))
    recommender = Recommender(bundle)
    answer = recommender.recommend(past, shop, request)
    listed = ids(answer)
    assert len(listed) == len(set(listed)) <= limit
    assert not set(listed) & (exclude | unavailable)
    masked = {EventKind.PURCHASE, EventKind.RETURN, EventKind.NOT_INTERESTED}
    assert not set(listed) & {item for item, kind in did if kind in masked}
    scores = [item.score for item in answer.items]
    assert scores == sorted(scores, reverse=True)
    assert all(score > 0 for score in scores)
    for item in answer.items:
        assert sum(part.share for part in item.reason.evidence) == pytest.approx(item.score, rel=1e-9)
    assert (answer.short is None) == (len(listed) == limit)
    assert sum(answer.masked.values()) + len(listed) <= len(ALL)
    assert recommender.recommend(past, shop, request) == answer
    assert [bundle.items[int(place)] for place in recommender.rank(past, shop, request)] == listed
    shorter = recommender.recommend(past, shop, replace(request, limit=max(1, limit // 2)))
    assert ids(shorter) == listed[: max(1, limit // 2)]


def test_evidence_names_what_the_customer_did(bundle: ModelBundle) -> None:
    """The strongest event on the item that speaks is named: bought, not merely viewed."""
    past = history(bundle, ("c0", EventKind.VIEW), ("c0", EventKind.PURCHASE), ("c1", EventKind.VIEW))
    first = ask(bundle, past, limit=1).items[0]
    kinds = {part.item_id: part.kind for part in first.reason.evidence}
    assert kinds["c0"] == "purchase"
    assert kinds["c1"] == "view"


def test_the_score_is_the_weighted_sum_of_the_manifest(bundle: ModelBundle) -> None:
    """Each source is scaled to its spread over all items, weighted as the manifest says, and added."""
    past = history(bundle, ("c0", EventKind.PURCHASE), ("g0", EventKind.VIEW))
    items, strengths, _ = past.speakers(bundle.manifest.event_weights)
    sources = [
        (factors.scores(factors.coordinates(items, strengths)), bundle.manifest.blend.weights[name][0])
        for name, factors in (("als", bundle.als.factors()),)
    ]
    sources.append((strengths @ bundle.item_item.matrix()[items], 1.0))
    expected = sum(weight * said / np.sqrt(np.mean(said**2)) for said, weight in sources)
    popular = bundle.popularity.score.astype(np.float64)
    weight = bundle.manifest.blend.weights["popular"][0]
    expected = np.where(expected > 0, expected + weight * popular / np.sqrt(np.mean(popular**2)), expected)
    for item in ask(bundle, past, limit=50).items:
        if item.reason.code == "history":
            assert item.score == pytest.approx(expected[bundle.items.position(item.item_id)], abs=2e-5)
