"""What weights are learned on is what the service ranks."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.bundle import ModelBundle
from recsys.bundle.bundle import assembled
from recsys.data.catalog import Catalog
from recsys.data.vocabulary import UNKNOWN
from recsys.models.blend import LENGTHS, BlendWeights
from recsys.recommend.batch import Histories, rank_many, repeat_probabilities
from recsys.recommend.recommender import Recommender
from recsys.recommend.sources import POPULAR, REPEAT, in_units_of_spread
from recsys.recommend.types import Request
from tests.oracles import Dense
from tests.training.tuning.tuned_worlds import TARGET, held_out, shelves
from tests.worlds import titled
from training.evaluation.held_out import HeldOut, Repeats
from training.fitting import TrainingConfig, fit
from training.stages import StageLog
from training.tuning import candidates as gathering
from training.tuning.candidates import DEPTH, gather
from training.tuning.judging import Jury, K
from training.tuning.weights import Bench, Candidates

LIMIT = 20
BLEND = BlendWeights(
    LENGTHS,
    {
        "item_item": (1.0, 1.0, 1.0, 1.0),
        "als": (0.5, 0.0, 0.4, 0.3),
        "spectral": (0.0, 0.3, 0.2, 0.1),
        "rp3beta": (0.2, 0.1, 0.3, 0.4),
        "content": (0.3, 0.2, 0.0, 0.1),
        "popular": (0.2, 0.1, 0.3, 0.0),
        "repeat": (200.0, 100.0, 300.0, 50.0),
    },
)
World = tuple[HeldOut, ModelBundle, Jury, Candidates]


@pytest.fixture(scope="module", params=[Repeats.EXCLUDE, Repeats.ALLOW], ids=str)
def world(request: pytest.FixtureRequest) -> World:
    """Validation customers of a small shop with titles, one of whom training does not know, and their candidates."""
    part = held_out(shelves(90), request.param)
    row = part.row.copy()
    row[3] = UNKNOWN
    part = HeldOut(**{name: getattr(part, name) for name in part.__slots__} | {"row": row})
    titles = titled({f"i{item:02}": f"volume {item // 4} of series {item % 5}" for item in range(32)})
    config = TrainingConfig(target_kinds=TARGET, blend=BLEND)
    bundle = assembled("t", *fit(part.training, titles, config, StageLog()))
    jury = Jury.drawn(part, 1000, 0)
    return part, bundle, jury, gathered(bundle, jury)


def gathered(bundle: ModelBundle, jury: Jury, threads: int = 1) -> Candidates:
    """The candidates, with the bundle's popularity."""
    return gather(bundle, jury, {POPULAR: in_units_of_spread(bundle.popularity.score)}, threads)


def blended(candidates: Candidates) -> tuple[Dense, Dense]:
    """The personal score and the whole score of each candidate by the weights of the customer's class."""
    personal = np.zeros(candidates.item.shape)
    whole = np.zeros(candidates.item.shape)
    for row, length in enumerate(candidates.lengths):
        weights = BLEND.at(int(length)) if length else {}
        for name, said in candidates.said.items():
            if name != POPULAR:
                personal[row] += weights.get(name, 0.0) * said[row]
        whole[row] = personal[row] + weights.get(POPULAR, 0.0) * candidates.said[POPULAR][row]
    return personal, whole


def everything(bundle: ModelBundle) -> Catalog:
    """A catalogue in which all may be shown."""
    return Catalog.from_items(titled({}), bundle.items, 1)


def test_candidates_in_the_order_of_their_weights_are_the_lists_of_the_service(world: World) -> None:
    """For every customer the first 20, from candidates, from `rank_many` and from `Recommender.rank` are one list."""
    part, bundle, jury, candidates = world
    strengths = jury.of(part.training.strengths(bundle.manifest.event_weights))
    repeats = None
    if part.rules.placement.repeats(bundle.repeat.kinds):
        repeats = jury.of(repeat_probabilities(bundle, part.training, part.now))
    showable = np.ones(len(bundle.items), dtype=np.bool_)
    many = rank_many(bundle, Histories(strengths, jury.masked, repeats), showable, LIMIT, 1).item
    recommender = Recommender(bundle, part.rules.placement)
    personal, whole = blended(candidates)
    count, compared = bundle.popularity.count, 0
    for row, customer in enumerate(part.row):
        known = (candidates.item[row] >= 0) & (np.round(personal[row], 4) > 0)
        items, scores = candidates.item[row][known], np.round(whole[row][known], 4)
        listed = items[np.lexsort((items, -count[items], -scores))][:LIMIT]
        if len(np.unique(scores)) < len(scores):
            continue  # Rounded, two of them are equal: the order then hangs on the last digit.
        if customer != UNKNOWN:
            compared += 1
            request = Request(limit=LIMIT, now=part.now)
            alone = recommender.rank(part.training.history(int(customer)), everything(bundle), request)
            assert alone[: len(listed)].tolist() == listed.tolist()
        assert many[row, : len(listed)].tolist() == listed.tolist()
    assert compared > len(part.row) / 2


def test_the_objective_is_that_of_the_service(world: World) -> None:
    """Weighed on the bench, lists are as good as those that the service gives, up to what fills short lists."""
    part, bundle, jury, candidates = world
    strengths = jury.of(part.training.strengths(bundle.manifest.event_weights))
    bench = Bench.of(candidates, jury.relevant)
    near = bundle.item_item.matrix().astype(np.float64)
    each = bench.objective({"item_item": 1.0}, np.arange(len(jury.rows)))
    np.testing.assert_allclose(each, jury.of_lists(strengths.astype(np.float64), near, 1), atol=0.02)
    assert np.isclose(each, jury.of_lists(strengths.astype(np.float64), near, 1), atol=1e-6).mean() > 0.9
    assert LIMIT == K


def test_repeats_speak_only_where_they_may_be_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what customers have is masked the source is not asked; else it speaks of what they bought."""
    part, bundle, jury, candidates = world
    said = candidates.said[REPEAT]
    if part.rules.repeats is Repeats.EXCLUDE:
        assert not said.any()
        monkeypatch.delattr(gathering, "repeat_probabilities")
        assert gathered(bundle, jury).lengths.tolist() == candidates.lengths.tolist()
        return
    bought = part.training.pairs_with(TARGET)
    tastes = part.training.tastes(TrainingConfig().event_weights)
    owner = np.repeat(np.arange(len(tastes.indptr) - 1), np.diff(tastes.indptr))
    had = set(zip(owner[bought].tolist(), tastes.item[bought].tolist(), strict=True))
    found = {
        (int(part.row[jury.rows[row]]), int(candidates.item[row, column]))
        for row, column in zip(*np.nonzero(said), strict=True)
    }
    assert found
    assert found <= had


def test_candidates_are_ascending_unmasked_and_silent_where_there_is_none(world: World) -> None:
    """Positions ascend, -1 comes last, nothing is said there, and nothing masked is among them."""
    _, _, jury, candidates = world
    masked = jury.masked.toarray()
    for row, items in enumerate(candidates.item):
        there = items[items >= 0]
        assert (np.diff(there) > 0).all()
        assert (items[len(there) :] == UNKNOWN).all()
        assert not masked[row, there].any()
        assert all(not said[row, len(there) :].any() for said in candidates.said.values())


def test_a_customer_unknown_to_training_has_no_history(world: World) -> None:
    """Nobody's tastes are taken for theirs: no source speaks, popularity alone puts items there."""
    _, _, _, candidates = world
    assert candidates.lengths[3] == 0
    assert all(not said[3].any() for name, said in candidates.said.items() if name != POPULAR)
    assert (np.delete(candidates.lengths, 3) > 0).all()


def test_the_best_of_every_source_are_candidates(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a depth of 3, a customer's candidates are the best three of each source and no others."""
    _, bundle, jury, whole = world
    assert whole.item.max() < DEPTH
    monkeypatch.setattr(gathering, "DEPTH", 3)
    few = gathered(bundle, jury)
    for row, items in enumerate(few.item):
        there = whole.item[row] >= 0
        best = set()
        for said in whole.said.values():
            scores = said[row][there]
            kth = np.sort(scores)[::-1][:3].min(initial=np.inf)
            best |= set(whole.item[row][there][(scores >= kth) & (scores > 0)].tolist())
        found = set(items[items >= 0].tolist())
        assert found <= best
        assert len(found) >= min(3, len(best))


@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_and_threads_change_nothing(world: World, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """A few customers at a time, on two threads: the same to the last bit."""
    _, bundle, jury, whole = world
    monkeypatch.setattr(gathering, "_CELLS", 7 * len(bundle.items))
    again = gathered(bundle, jury, threads)
    np.testing.assert_array_equal(again.item, whole.item)
    np.testing.assert_array_equal(again.lengths, whole.lengths)
    for name, said in whole.said.items():
        np.testing.assert_array_equal(again.said[name], said, name)
