"""What is similar, bought together and bought after an item, as the `Recommender` answers."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recsys.bundle import ModelBundle
from recsys.data.catalog import ITEM_SCHEMA, Catalog
from recsys.data.events import EventKind
from recsys.errors import UnknownItemError
from recsys.models.related import RelatedConfig, Relation
from recsys.models.similarity import SimilarityConfig, SimilarityScore
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Answer, Request
from tests.worlds import START, event_frame, published
from training.fitting import TrainingConfig

NOW = START + 1


def cameras() -> pl.DataFrame:
    """Everybody buys a camera with a strap, and a card or a bag a week later; others buy other things."""
    rows: list[tuple[str, str, EventKind, int | None]] = []
    for number in range(12):
        rows += [(f"u{number}", item, EventKind.PURCHASE, number) for item in ("camera", "strap")]
        rows.append((f"u{number}", "card" if number % 3 else "bag", EventKind.PURCHASE, number + 7))
        rows += [(f"v{number}", f"{item}{number % 4}", EventKind.PURCHASE, day) for day, item in ((1, "x"), (2, "y"))]
    return event_frame(rows)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """A bundle with the shipped settings."""
    return published(tmp_path_factory.mktemp("cameras"), cameras())


def catalog(bundle: ModelBundle, *gone: str) -> Catalog:
    """All items available but for those named."""
    frame = pl.DataFrame([{"item_id": name, "available": False} for name in gone], schema=ITEM_SCHEMA)
    return Catalog.from_items(frame, bundle.items, (1, 1))


def related(bundle: ModelBundle, item: str, relation: Relation, request: Request | None = None, *gone: str) -> Answer:
    """The answer for one item."""
    return Recommender(bundle).related(item, catalog(bundle, *gone), request or Request(limit=10, now=NOW), relation)


def ids(answer: Answer) -> list[str]:
    """The items of an answer."""
    return [item.item_id for item in answer.items]


def test_only_given_items_go_with_an_item(bundle: ModelBundle) -> None:
    """The list is the same without what is not given, and masks count among the given ones."""
    full = related(bundle, "camera", Relation.AFTER)
    request = Request(limit=10, now=NOW, among=frozenset({"bag", "x1", "strap"}))
    answer = related(bundle, "camera", Relation.AFTER, request, "x1", "y2")
    assert answer.items == tuple(item for item in full.items if item.item_id == "bag")
    assert answer.masked == {"unknown": 0, "unavailable": 1, "seen": 0, "excluded": 0}


def test_each_relation_answers_its_own_question(bundle: ModelBundle) -> None:
    """The strap is bought with the camera, card and bag after it; nothing comes after a card."""
    assert ids(related(bundle, "camera", Relation.BOUGHT_TOGETHER)) == ["strap"]
    assert ids(related(bundle, "camera", Relation.AFTER)) == ["card", "bag"]
    assert ids(related(bundle, "card", Relation.AFTER)) == []
    assert {"strap", "card"} < set(ids(related(bundle, "camera", Relation.SIMILAR)))


def test_an_answer_says_where_it_comes_from_and_why(bundle: ModelBundle) -> None:
    """The source is the relation; the whole score is the asked item's word; the list says why it is short."""
    answer = related(bundle, "camera", Relation.AFTER)
    assert answer.sources == ("after",)
    assert answer.short == "items that may be shown and are known to be bought after this one: 2"
    for item in answer.items:
        assert item.reason.code == "related"
        assert [(part.item_id, part.kind, part.share) for part in item.reason.evidence] == [
            ("camera", "item", item.score)
        ]
    assert [item.score for item in answer.items] == sorted((item.score for item in answer.items), reverse=True)
    assert related(bundle, "card", Relation.AFTER).sources == ()
    assert related(bundle, "camera", Relation.AFTER, Request(limit=2, now=NOW)).short is None


def test_what_may_not_be_shown_is_not(bundle: ModelBundle) -> None:
    """Sold out and excluded items leave the list, and the next one moves up."""
    assert ids(related(bundle, "camera", Relation.AFTER, Request(limit=1, now=NOW), "card")) == ["bag"]
    excluded = Request(limit=9, now=NOW, exclude=frozenset({"bag"}))
    assert ids(related(bundle, "camera", Relation.AFTER, excluded)) == ["card"]


def test_an_unknown_item_is_an_error_for_every_relation(bundle: ModelBundle) -> None:
    """It is named."""
    for relation in Relation:
        with pytest.raises(UnknownItemError, match="tripod"):
            related(bundle, "tripod", relation)


def test_a_score_of_its_own_ranks_similar_items(tmp_path: Path) -> None:
    """Trained with a score, similar items come from it alone; the manifest says which."""
    config = TrainingConfig(related=RelatedConfig(similar=SimilarityConfig(score=SimilarityScore.EXPECTED)))
    bundle = published(tmp_path, cameras(), config)
    answer = related(bundle, "camera", Relation.SIMILAR)
    assert answer.sources == ("similar",)
    assert ids(answer)[0] == "strap"
    assert set(ids(answer)) == {"strap", "card", "bag"}
    assert bundle.manifest.models["similar"]["score"] == "expected"


def test_the_manifest_says_how_lists_were_made(bundle: ModelBundle) -> None:
    """Settings and sizes; whether baskets or histories were counted; no score for similar items unless chosen."""
    models = bundle.manifest.models
    assert models["together"]["over"] == "baskets"
    assert models["after"]["pairs"] == len(bundle.related.after.weight) > 0
    assert "similar" not in models
    assert bundle.related.similar is None
