"""Which part of the blend speaks, about what, and which is not even asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.bundle import ModelBundle
from recsys.data.catalog import ITEM_SCHEMA, Catalog
from recsys.data.events import EventKind
from recsys.data.history import History, StoredHistory
from recsys.data.interactions import Interactions
from recsys.data.packed import HistoryRow
from recsys.errors import InputError
from recsys.models.blend import BlendWeights
from recsys.models.repeat import Repeat
from recsys.recommend.batch import Histories, rank_many, repeat_probabilities
from recsys.recommend.placement import DEFAULT_PLACEMENT, Placement
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Answer, Request
from tests.worlds import DAY, START, event_frame, event_table, no_catalogue, published, two_tastes
from training.fitting import TrainingConfig

NOW = START + 40 * DAY
AGAIN = Placement("again", frozenset({EventKind.NOT_INTERESTED}))
BUY, VIEW, RETURN = EventKind.PURCHASE, EventKind.VIEW, EventKind.RETURN
EVERY = {"item_item": 1.0, "als": 0.4, "spectral": 0.3, "rp3beta": 0.2, "content": 0.2, "popular": 0.5, "repeat": 200.0}
CONFIG = TrainingConfig(blend=BlendWeights.constant(EVERY))
Did = tuple[str, EventKind, int]


def groceries() -> pl.DataFrame:
    """Everybody buys milk and bread every week, and one pan and one knife ever; half of them looked at a kettle."""
    rows: list[tuple[str, str, EventKind, int | None]] = []
    for user in range(24):
        start = user % 7
        rows += [(f"u{user:02}", item, BUY, start + 7 * week) for week in range(5) for item in ("milk", "bread")]
        rows += [(f"u{user:02}", item, BUY, start + 1) for item in (f"pan{user % 3}", f"knife{user % 2}")]
        rows += [(f"u{user:02}", "kettle", VIEW, start + 2)] if user % 2 else []
    return event_frame(rows)


def titles() -> pl.DataFrame:
    """Two series of books; one of each nobody has bought yet, and one item of which nothing is known."""
    names = {
        f"{shelf}{book}": word for shelf, word in (("c", "Cellar Murders"), ("g", "Garden Year")) for book in range(7)
    }
    rows = [{"item_id": item, "title": f"{name} volume {item[1:]}", "category": name} for item, name in names.items()]
    return pl.DataFrame([*rows, {"item_id": "blank"}], schema=ITEM_SCHEMA)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The grocer's."""
    return published(tmp_path_factory.mktemp("grocer"), groceries(), CONFIG)


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The shop of two tastes, with titles; c6, g6 and blank have no history."""
    return published(tmp_path_factory.mktemp("books"), two_tastes(36), CONFIG, titles())


def weighed(bundle: ModelBundle, weights: dict[str, float]) -> ModelBundle:
    """The same models with other weights."""
    return replace(bundle, manifest=replace(bundle.manifest, blend=BlendWeights.constant(weights)))


def everything(bundle: ModelBundle) -> Catalog:
    """All items may be shown."""
    return Catalog.from_items(pl.DataFrame(schema=ITEM_SCHEMA), bundle.items, 1)


def history(bundle: ModelBundle, *did: Did) -> History:
    """A history of what was done on which day."""
    rows = [HistoryRow(item, kind.code, START + day * DAY, None, 1.0, None) for item, kind, day in did]
    return History.from_stored(StoredHistory.of(len(rows), rows), bundle.items)


def ask(bundle: ModelBundle, past: History, placement: Placement = DEFAULT_PLACEMENT, limit: int = 50) -> Answer:
    """An answer."""
    return Recommender(bundle, placement).recommend(past, everything(bundle), Request(limit=limit, now=NOW))


def spoken_for(answer: Answer) -> list[str]:
    """The items for which the history speaks, in order."""
    return [item.item_id for item in answer.items if item.reason.code == "history"]


DID = st.lists(
    st.tuples(
        st.sampled_from([f"{shelf}{book}" for shelf in "cg" for book in range(7)] + ["bestseller", "blank"]),
        st.sampled_from([BUY, VIEW, RETURN, EventKind.NOT_INTERESTED, EventKind.IGNORE_FOR_RECOMMENDATIONS]),
        st.integers(0, 30),
    ),
    min_size=1,
    max_size=8,
).map(lambda did: sorted(did, key=lambda each: each[2]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(did=DID, weight=st.sampled_from([0.1, 1.0, 10.0]))
def test_popularity_only_reorders_what_the_history_speaks_for(
    books: ModelBundle, did: list[Did], weight: float
) -> None:
    """Whatever its weight, the same items are there for the history's sake; without it no part of a score is its."""
    past = history(books, *did)
    without, with_it = (ask(weighed(books, EVERY | {"popular": each}), past) for each in (0.0, weight))
    assert set(spoken_for(with_it)) == set(spoken_for(without))
    assert without.fallback == with_it.fallback
    for item in without.items:
        if item.reason.code == "history":
            assert all(part.kind != "popular" for part in item.reason.evidence)


def test_popularity_does_reorder(books: ModelBundle) -> None:
    """With a large weight what the history speaks for is in the order of popularity."""
    past = history(books, ("c0", VIEW, 1), ("g0", VIEW, 2))
    plain, popular = (spoken_for(ask(weighed(books, EVERY | {"popular": each}), past)) for each in (0.0, 1000.0))
    score = books.popularity.score
    wanted = [float(score[books.items.position(item)]) for item in popular]
    assert wanted == sorted(wanted, reverse=True)
    assert popular != plain


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(did=DID, limit=st.integers(1, 20), placement=st.sampled_from([DEFAULT_PLACEMENT, AGAIN]))
def test_shares_add_up_with_every_source_at_work(
    books: ModelBundle, did: list[Did], limit: int, placement: Placement
) -> None:
    """Largest first, the evidence sums to the score; what popularity adds is its weight times the item's popularity."""
    answer = ask(books, history(books, *did), placement, limit)
    score = books.popularity.score.astype(np.float64)
    units = score / np.sqrt(np.mean(score**2))
    for item in answer.items:
        parts = item.reason.evidence
        assert sum(part.share for part in parts) == pytest.approx(item.score, rel=1e-9)
        if item.reason.code == "history":
            popular = [part.share for part in parts if part.kind == "popular"]
            assert popular == pytest.approx(
                [EVERY["popular"] * units[books.items.position(item.item_id)]][: len(popular)], abs=5e-5
            )
            assert len(popular) == (units[books.items.position(item.item_id)] > 0)
            known = [part.share for part in parts if part.kind != "other"]
            assert known == sorted(known, reverse=True)


def test_what_is_bought_again_comes_first_where_it_may_be_shown(shop: ModelBundle) -> None:
    """A spot that shows what customers have begins with the milk that is due; discovery never shows it."""
    past = history(shop, ("milk", BUY, 20), ("milk", BUY, 27), ("milk", BUY, 34), ("pan0", BUY, 20))
    again = ask(shop, past, AGAIN)
    assert again.items[0].item_id == "milk"
    assert "repeat" in again.sources
    assert again.items[0].reason.evidence[0].item_id == "milk"
    discovery = ask(shop, past)
    assert "milk" not in [item.item_id for item in discovery.items]
    assert "repeat" not in discovery.sources


def test_repeats_are_not_computed_where_they_may_not_be_shown(
    shop: ModelBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a spot that masks purchases the model of repeats is not asked."""

    def refused(*_: object) -> NoReturn:
        raise AssertionError("repeats were computed")

    monkeypatch.setattr(Repeat, "score", refused)
    past = history(shop, ("milk", BUY, 27), ("milk", BUY, 34))
    assert ask(shop, past).items
    with pytest.raises(AssertionError, match="repeats were computed"):
        ask(shop, past, AGAIN)


@pytest.mark.parametrize(
    ("after", "speaks"),
    [
        ([], True),
        ([("milk", VIEW, 35)], True),
        ([("milk", RETURN, 35)], False),
        ([("milk", RETURN, 35), ("milk", VIEW, 36)], False),
        ([("milk", RETURN, 35), ("milk", BUY, 36)], True),
        ([("milk", EventKind.NOT_INTERESTED, 35)], False),
        ([("milk", EventKind.IGNORE_FOR_RECOMMENDATIONS, 35)], False),
    ],
    ids=["bought", "and viewed", "returned", "returned, then viewed", "returned, bought anew", "refused", "a gift"],
)
def test_repeats_never_speak_for_what_went_back_or_was_refused(
    shop: ModelBundle, after: list[Did], speaks: bool
) -> None:
    """What was returned, refused or a gift does not come back; what was bought anew, or looked at meanwhile, does."""
    past = history(shop, ("milk", BUY, 34), ("pan0", VIEW, 34), *after)
    answer = ask(shop, past, AGAIN)
    assert ("repeat" in answer.sources) == speaks
    only = ask(weighed(shop, {"repeat": 300.0}), past, AGAIN)
    assert spoken_for(only) == (["milk"] if speaks else [])


@pytest.mark.parametrize("weights", [EVERY, {"repeat": 300.0}], ids=["all", "repeats alone"])
def test_many_lists_hear_repeats_as_one_does(shop: ModelBundle, weights: dict[str, float]) -> None:
    """Returned, refused, given away or kept: the batch gives each customer the list that is given alone."""
    ways: list[list[Did]] = [
        [("milk", BUY, 34)],
        [("milk", BUY, 34), ("milk", RETURN, 35), ("milk", VIEW, 36)],
        [("milk", BUY, 34), ("milk", EventKind.NOT_INTERESTED, 35), ("bread", BUY, 35)],
        [("milk", BUY, 34), ("milk", EventKind.IGNORE_FOR_RECOMMENDATIONS, 35), ("pan1", VIEW, 35)],
        [("milk", BUY, 20), ("milk", BUY, 27), ("milk", BUY, 34), ("knife0", BUY, 34)],
    ]
    bundle, items = weighed(shop, weights), pl.Series(list(shop.items))
    frame = event_frame([(f"w{number}", *did) for number, way in enumerate(ways) for did in way])
    position = {item: place for place, item in enumerate(items)}
    table = event_table(frame)
    events = table.events.with_columns(frame["item_id"].replace_strict(position, return_dtype=pl.Int32).alias("item"))
    interactions = Interactions.from_events(replace(table, events=events, item_ids=items))
    strengths = interactions.strengths(bundle.manifest.event_weights)
    masked = sparse.lil_matrix(strengths.shape, dtype=np.bool_)
    for row in range(len(ways)):
        masked[row, interactions.history(row).items_of(AGAIN.mask_kinds)] = True
    repeats = repeat_probabilities(bundle, interactions, NOW)
    showable = np.ones(len(items), dtype=np.bool_)
    lists = rank_many(bundle, Histories(strengths, sparse.csr_matrix(masked), repeats), showable, 8, 1).item
    for row in range(len(ways)):
        request = Request(limit=8, now=NOW)
        alone = Recommender(bundle, AGAIN).rank(interactions.history(row), everything(bundle), request)
        assert lists[row][lists[row] >= 0].tolist() == alone.tolist(), row
    if weights.keys() == {"repeat"}:
        first = [items[int(row[0])] for row in lists]
        assert first[0] == first[4] == "milk"
        assert first[2] == "bread"


class Broken:
    """A model that must not be asked."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"{name} was asked of a source without weight")


def without(bundle: ModelBundle, name: str) -> ModelBundle:
    """The bundle where a source has weight 0 and fails when asked."""
    silent = weighed(bundle, EVERY | {name: 0.0})
    if name == "content":
        return replace(silent, content=replace(silent.content, neighbours=Broken()))  # type: ignore[arg-type]
    return replace(silent, **{name: Broken()})


@pytest.mark.parametrize("name", ["als", "spectral", "rp3beta", "content", "item_item", "repeat"])
def test_a_source_without_weight_is_not_computed(books: ModelBundle, name: str) -> None:
    """Neither for one list nor for many; and the list is what the others say."""
    past = history(books, ("c0", BUY, 1), ("g0", VIEW, 2))
    broken = without(books, name)
    placement = AGAIN if name == "repeat" else DEFAULT_PLACEMENT
    answer = ask(broken, past, placement)
    assert answer == ask(weighed(books, EVERY | {name: 0.0}), past, placement)
    assert name not in answer.sources
    strengths = sparse.csr_matrix(np.eye(2, len(books.items), dtype=np.float32))
    nothing = sparse.csr_matrix(strengths.shape, dtype=np.bool_)
    showable = np.ones(len(books.items), dtype=np.bool_)
    own = Histories(strengths, nothing)
    whole = rank_many(weighed(books, EVERY | {name: 0.0}), own, showable, 5, 1).item
    np.testing.assert_array_equal(rank_many(broken, own, showable, 5, 1).item, whole)
    with pytest.raises(AssertionError, match="was asked of a source without weight"):
        ask(weighed(broken, EVERY), past, placement)


def test_factors_without_weight_are_not_asked_for_related_items(books: ModelBundle) -> None:
    """An item's page does not ask ALS or the spectral model when they do not count."""
    request = Request(limit=5, now=NOW)
    for name in ("als", "spectral", "rp3beta"):
        answer = Recommender(without(books, name)).related("c0", everything(books), request)
        assert answer.items
        assert name not in answer.sources


def test_content_answers_for_an_item_nobody_bought(books: ModelBundle) -> None:
    """Its page shows the volumes of its own series, and says that it is the catalogue that knows; also at weight 0."""
    for weight in (0.2, 0.0):
        bundle = weighed(books, EVERY | {"content": weight})
        answer = Recommender(bundle).related("c6", everything(bundle), Request(limit=5, now=NOW))
        assert len(answer.items) == 5
        assert {item.item_id[0] for item in answer.items} == {"c"}
        assert set(answer.sources) <= {"content", "popular"}
        assert "content" in answer.sources
        for item in answer.items:
            assert sum(part.share for part in item.reason.evidence) == pytest.approx(item.score, rel=1e-9)
            assert item.reason.evidence[0].item_id == "c6"
    blank = Recommender(books).related("blank", everything(books), Request(limit=5, now=NOW))
    assert (blank.items, blank.sources) == ((), ())
    assert blank.short == "items that may be shown and are known to go with this one: 0"


def test_a_placement_chooses_among_the_named_sources(tmp_path: Path) -> None:
    """Asked for one source, only that one speaks, whatever its weight; a name that not every bundle has is refused."""
    blend = BlendWeights.constant({"item_item": 1.0, "als": 0.0, "popular": 0.2})
    bundle = published(tmp_path, two_tastes(), TrainingConfig(blend=blend))
    past = Interactions.from_events(event_table(two_tastes())).history(0)
    catalog = Catalog.from_items(no_catalogue(), bundle.items)
    for name in ("item_item", "als"):
        spot = Placement("spot", frozenset(), sources=frozenset({name}))
        assert Recommender(bundle, spot).recommend(past, catalog, Request(limit=4, now=START)).sources[:1] == (name,)
    with pytest.raises(InputError, match="spectral"):
        Placement("spot", frozenset(), sources=frozenset({"spectral"}))
