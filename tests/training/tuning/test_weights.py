"""Weights of the blend, found on what the sources say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recsys.metrics.ranking import Relevant
from recsys.models.blend import LENGTHS
from recsys.models.ranking_kernels import blended_gains
from tests.oracles import blended_gain
from training.tuning.judging import OBJECTIVE
from training.tuning.weights import (
    LEAST_CUSTOMERS,
    PAYS,
    STEPS,
    Bench,
    Candidates,
    best_step,
    learn_weights,
    pruned,
)

WIDTH = 30
DISCOUNT = 1.0 / np.log2(np.arange(2, 6, dtype=np.float64))
SHAPE = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 8))
QUARTERS = st.sampled_from([-0.5, -0.25, 0.0, 0.25, 0.5, 1.0])


@given(st.data())
def test_the_kernel_puts_candidates_in_order_as_written_out(data: st.DataObject) -> None:
    """Ties, absent candidates, scores against an item, more or fewer candidates than places, any subset of rows."""
    sources, customers, width = data.draw(SHAPE)
    said = data.draw(arrays(np.float32, (sources, customers, width), elements=QUARTERS))
    popular = data.draw(arrays(np.float32, (customers, width), elements=st.sampled_from([0.0, 0.25, 1.0])))
    wanted, there = (data.draw(arrays(np.bool_, (customers, width))) for _ in range(2))
    weight = data.draw(arrays(np.float32, sources, elements=st.sampled_from([0.0, 0.5, 1.0, 2.0])))
    common = data.draw(st.sampled_from([0.0, 0.5, 2.0]))
    rows = np.array(data.draw(st.lists(st.integers(0, customers - 1), max_size=5)), dtype=np.int64)
    gains = blended_gains(rows, said, weight, popular, common, wanted, there, DISCOUNT)
    expected = [
        blended_gain(said[:, row], weight.tolist(), popular[row], common, wanted[row], there[row], DISCOUNT)
        for row in rows
    ]
    np.testing.assert_allclose(gains, expected, rtol=1e-12)


def sources(customers: int, seed: int = 0) -> dict[str, npt.NDArray[np.float32]]:
    """What sources say that know nothing of each other, in units of spread and in part against an item."""
    rng = np.random.default_rng(seed)
    names = ("item_item", "als", "spectral", "content", "popular")
    return {name: rng.normal(0.5, 1.0, (customers, WIDTH)).astype(np.float32) for name in names}


def wanted_by(said: Mapping[str, npt.NDArray[np.float32]], truth: Mapping[str, float], noise: float) -> Relevant:
    """Each customer wants the two items that this blend, and some chance, puts first."""
    total = sum(weight * said[name].astype(np.float64) for name, weight in truth.items())
    total = total + noise * np.random.default_rng(7).normal(size=total.shape)  # type: ignore[operator]
    top = np.sort(np.argsort(-total, axis=1)[:, :2], axis=1).astype(np.int32)
    return Relevant(np.arange(len(top) + 1, dtype=np.int64) * 2, top.ravel(), np.full(len(top), 2, dtype=np.int64))


def bench_of(said: Mapping[str, npt.NDArray[np.float32]], relevant: Relevant, lengths: npt.NDArray[np.int64]) -> Bench:
    """A bench on which every item is everybody's candidate."""
    item = np.tile(np.arange(WIDTH, dtype=np.int32), (len(lengths), 1))
    return Bench.of(Candidates(item, said, lengths), relevant)


START = {"item_item": 1.0, "als": 0.0, "spectral": 0.0, "content": 0.0, "popular": 0.0, "repeat": 300.0}
SEARCHED = ("als", "spectral", "content", "popular")
CLASSES = [START] * (len(LENGTHS) + 1)


def test_a_planted_weight_is_found_and_noise_gets_none() -> None:
    """Wishes follow item-item and twice ALS: ALS gets about that, what knows nothing gets 0, and it is said why."""
    said, lengths = sources(1500), np.full(1500, 5)
    relevant = wanted_by(said, {"item_item": 1.0, "als": 2.0}, 0.3)
    bench = bench_of(said, relevant, lengths)
    found = learn_weights(bench, lengths, CLASSES, SEARCHED)
    weights = found.weights.at(5)
    assert weights["als"] in (1.5, 2.0, 3.0)
    assert (weights["item_item"], weights["repeat"]) == (1.0, 300.0)
    assert weights["spectral"] + weights["content"] + weights["popular"] <= 0.1
    noise = [name for name in ("spectral", "content", "popular") if weights[name] == 0]
    assert noise
    for name in noise:
        assert found.causes[name].startswith("weight 0: ")
        assert f"{OBJECTIVE} of 1500 validation customers" in found.causes[name]
    assert found.causes["als"].startswith(f"without it {OBJECTIVE} of 1500 validation customers would be lower by 0.")
    assert set(found.causes) == set(SEARCHED)
    truth = bench.objective({"item_item": 1.0, "als": 2.0}, np.arange(1500)).mean()
    assert found.before < found.after
    assert found.after > 0.98 * truth


def test_what_is_of_no_use_is_taken_away() -> None:
    """Started with weights for sources that know nothing, the search ends with weight 0 for each of them."""
    said, lengths = sources(1500, seed=3), np.full(1500, 5)
    said["content"] = np.zeros_like(said["content"])
    bench = bench_of(said, wanted_by(said, {"item_item": 1.0}, 0.2), lengths)
    start = START | {"als": 1.0, "content": 1.0, "spectral": 0.5}
    found = learn_weights(bench, lengths, [start] * 4, SEARCHED)
    assert {name: found.weights.at(5)[name] for name in ("als", "content", "spectral")} == {
        "als": 0.0,
        "content": 0.0,
        "spectral": 0.0,
    }
    assert found.after > found.before
    assert "weight 0" in found.causes["content"]


def test_sources_are_left_out_only_as_far_as_all_of_them_do_not_pay() -> None:
    """Sources that say the same in small parts: each is of no use beside the others, all together are of use."""
    copies = tuple(f"copy{number}" for number in range(40))
    said = sources(1500, seed=5)
    said |= dict.fromkeys(copies, said["als"])
    everyone = np.arange(1500)
    bench = bench_of(said, wanted_by(said, {"item_item": 1.0, "als": 1.0}, 0.5), np.full(1500, 5))
    start = {"item_item": 1.0} | dict.fromkeys(copies, 1 / len(copies))
    whole, found = bench.objective(start, everyone).mean(), pruned(bench, start, copies, everyone)
    assert min(found.values()) == 0.0
    assert bench.objective(found, everyone).mean() > (1 - PAYS) * whole


def test_a_weight_moves_no_further_than_a_standard_error_asks() -> None:
    """Among steps that are as good as the best the nearest to the old weight is taken, from both sides."""
    said, everyone = sources(25), np.arange(25)
    bench = bench_of(said, wanted_by(said, {"item_item": 1.0, "als": 1.0}, 4.0), np.full(25, 5))
    by_step = {step: bench.objective(START | {"als": step}, everyone) for step in STEPS}
    best = max(by_step.values(), key=np.mean)
    good = [step for step in STEPS if (loss := best - by_step[step]).mean() <= loss.std(ddof=1) / np.sqrt(len(loss))]
    assert len(good) > 1
    for old, nearest in ((0.0, min(good)), (10.0, max(good)), (good[0], good[0])):
        weights, each = best_step(bench, START | {"als": old}, "als", everyone)
        assert weights == START | {"als": nearest}
        np.testing.assert_array_equal(each, by_step[nearest])


def test_histories_of_different_lengths_get_their_own_weights() -> None:
    """ALS knows what short histories want, the spectral model what long ones want: each class hears whom it should."""
    lengths = np.repeat([2, 20], 800)
    said = sources(1600)
    short, long = (wanted_by(said, {name: 1.0}, 0.2).item.reshape(-1, 2) for name in ("als", "spectral"))
    item = np.where((lengths < LENGTHS[0])[:, None], short, long)
    relevant = Relevant(np.arange(1601, dtype=np.int64) * 2, item.ravel(), np.full(1600, 2, dtype=np.int64))
    found = learn_weights(bench_of(said, relevant, lengths), lengths, CLASSES, SEARCHED)
    assert found.weights.at(2)["als"] > 3 * found.weights.at(2)["spectral"]
    assert found.weights.at(20)["spectral"] > 3 * found.weights.at(20)["als"]
    # Nobody is in the classes between: they have what is best for all.
    assert found.weights.at(5) == found.weights.at(10)


@pytest.mark.parametrize("customers", [LEAST_CUSTOMERS - 1, LEAST_CUSTOMERS])
def test_small_classes_have_the_weights_of_all(customers: int) -> None:
    """A class speaks for itself from `LEAST_CUSTOMERS` on."""
    lengths = np.concatenate([np.full(customers, 2), np.full(900, 20)])
    said = sources(len(lengths))
    short, long = (wanted_by(said, {name: 1.0}, 0.0).item.reshape(-1, 2) for name in ("als", "spectral"))
    item = np.where((lengths < LENGTHS[0])[:, None], short, long)
    size = np.full(len(item), 2, dtype=np.int64)
    relevant = Relevant(np.arange(len(item) + 1, dtype=np.int64) * 2, item.ravel(), size)
    found = learn_weights(bench_of(said, relevant, lengths), lengths, CLASSES, SEARCHED)
    assert (found.weights.at(2) == found.weights.at(5)) == (customers < LEAST_CUSTOMERS)


def test_weights_that_are_not_searched_stay_class_by_class() -> None:
    """Each class keeps its own weight of a source that is not searched."""
    said, lengths = sources(50), np.full(50, 5)
    bench = bench_of(said, wanted_by(said, {"item_item": 1.0}, 0.1), lengths)
    start = [START | {"repeat": weight} for weight in (1.0, 2.0, 3.0, 4.0)]
    found = learn_weights(bench, lengths, start, SEARCHED)
    assert [found.weights.at(length)["repeat"] for length in (0, 4, 8, 16)] == [1.0, 2.0, 3.0, 4.0]


def test_customers_without_a_history_count_but_teach_no_class() -> None:
    """Whoever has no history is in the objective with what they get, which is nothing."""
    lengths = np.concatenate([np.zeros(300, dtype=np.int64), np.full(300, 5)])
    said = {name: np.where((lengths > 0)[:, None], each, 0).astype(np.float32) for name, each in sources(600).items()}
    bench = bench_of(said, wanted_by(sources(600), {"als": 1.0}, 0.1), lengths)
    found = learn_weights(bench, lengths, CLASSES, SEARCHED)
    with_history = bench.objective(found.weights.at(5), np.arange(300, 600)).mean()
    assert found.after == pytest.approx(with_history / 2)


def test_no_weights_are_tried_under_which_nothing_speaks() -> None:
    """Popularity alone is no blend: with no other source left, the weights stay."""
    said, lengths = sources(20), np.full(20, 5)
    bench = bench_of(said, wanted_by(said, {"popular": 1.0}, 0.1), lengths)
    only = {"item_item": 0.0, "als": 1.0, "popular": 1.0}
    weights, _ = best_step(bench, only, "als", np.arange(20))
    assert weights["als"] > 0
    assert weights["als"] in STEPS


def test_the_objective_is_that_of_the_wanted_items_alone() -> None:
    """One wanted item in the second place, one that is no candidate: NDCG over the best there is."""
    said = {"item_item": np.array([[3.0, 2.0, 1.0]], dtype=np.float32), "popular": np.zeros((1, 3), dtype=np.float32)}
    item = np.array([[4, 6, -1]], dtype=np.int32)
    relevant = Relevant(np.array([0, 1]), np.array([6], dtype=np.int32), np.array([2]))
    bench = Bench.of(Candidates(item, said, np.array([5])), relevant)
    found = bench.objective({"item_item": 1.0}, np.array([0]))
    assert found == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))
