"""The lists of an item's page as one value: fitted, stored and read again."""

from __future__ import annotations

import pytest

from recsys.data.events import EventKind
from recsys.data.interactions import Interactions
from recsys.data.signals import EventWeights
from recsys.models.related import Related, RelatedConfig, Relation, fit_related
from recsys.models.similarity import SimilarityConfig, SimilarityScore, fit_similarity
from tests.worlds import event_frame, event_table


def interactions() -> Interactions:
    """Kettle and tea in one basket, a cup a week later."""
    rows: list[tuple[str, str, EventKind, int | None]] = []
    for number in range(6):
        rows += [(f"u{number}", item, EventKind.PURCHASE, number) for item in ("kettle", "tea")]
        rows.append((f"u{number}", "cup", EventKind.PURCHASE, number + 7))
        rows += [(f"v{number}", f"{item}{number % 2}", EventKind.PURCHASE, day) for day, item in ((1, "x"), (2, "y"))]
    return Interactions.from_events(event_table(event_frame(rows)))


def fitted(config: RelatedConfig) -> tuple[Related, dict[str, dict[str, object]], Interactions]:
    """The lists, what the manifest says, and what they were fitted on."""
    learned = interactions()
    weights = EventWeights()
    return *fit_related(learned, learned.tastes(weights.unfading()), weights, config, 1), learned


def listed(related: Related, learned: Interactions, relation: Relation, item: str) -> list[str]:
    """The ids on one list."""
    lists = related.of(relation)
    assert lists is not None
    return [learned.items[int(each)] for each in lists.row(learned.items.position(item))[0]]


def test_each_relation_has_its_own_list() -> None:
    """Tea is bought with the kettle, the cup after it; the score says what is similar."""
    related, found, learned = fitted(RelatedConfig(similar=SimilarityConfig(score=SimilarityScore.EXPECTED)))
    assert listed(related, learned, Relation.BOUGHT_TOGETHER, "kettle") == ["tea"]
    assert listed(related, learned, Relation.AFTER, "kettle") == ["cup"]
    assert listed(related, learned, Relation.AFTER, "cup") == []
    assert set(listed(related, learned, Relation.SIMILAR, "kettle")) == {"tea", "cup"}
    assert found["together"]["over"] == "baskets"
    assert found["similar"]["score"] == "expected"
    assert {name: entry["pairs"] for name, entry in found.items()} == {
        "together": len(related.together.weight),
        "after": len(related.after.weight),
        "similar": 0 if related.similar is None else len(related.similar.weight),
    }


@pytest.mark.parametrize("score", [None, *SimilarityScore])
def test_arrays_give_the_same_lists_again(score: SimilarityScore | None) -> None:
    """With and without a score of its own for similar items."""
    config = RelatedConfig(similar=None if score is None else SimilarityConfig(score=score))
    related, _, learned = fitted(config)
    again = Related.from_arrays(related.arrays())
    for relation in Relation:
        one, other = related.of(relation), again.of(relation)
        assert (one is None) == (other is None) == (relation is Relation.SIMILAR and score is None)
        if one is not None and other is not None:
            assert all(one.arrays()[name].tobytes() == array.tobytes() for name, array in other.arrays().items())
    if config.similar is not None and related.similar is not None:
        alone = fit_similarity(learned.tastes(EventWeights().unfading()), config.similar, 1)
        assert related.similar.weight.tobytes() == alone.weight.tobytes()


def test_without_settings_there_are_no_lists() -> None:
    """Where only recommendations are asked for, every list is empty and the manifest has nothing to say."""
    learned = interactions()
    weights = EventWeights()
    related, found = fit_related(learned, learned.tastes(weights.unfading()), weights, None, 1)
    assert found == {}
    assert related.similar is None
    for lists in (related.together, related.after):
        assert lists.indptr.tolist() == [0] * (len(learned.items) + 1)
