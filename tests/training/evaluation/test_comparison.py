"""Many models on one test: every number against the metric itself, and what is said of differences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from recsys.metrics.ranking import NOTHING, Ranked, Relevant
from recsys.metrics.stability import rank_biased_overlap
from recsys.metrics.uncertainty import Interval, Verdict, holm, intervals
from tests.training.evaluation.divided_worlds import BUY, DAY, Row, rules, timed
from training.evaluation.comparison import Comparison, Measured, compare, conclude, measure
from training.evaluation.differences import judged_together, verdict_of
from training.evaluation.facts import Facts, facts_of
from training.evaluation.held_out import HeldOut, hold_out
from training.evaluation.measuring import OVERALL, PER_CUSTOMER, Measures
from training.evaluation.protocols import cut_in_time

CUSTOMERS, ITEMS, WIDTH, KS = 50, 24, 6, (2, 5)
UNIT = {"recall", "ndcg", "hit_rate", "mrr", "precision", "map", "revenue_recall", "margin_recall", "debiased_recall"}
UNIT |= {"hard_to_find_recall", "serendipity", "intra_list_diversity", "stability", "coverage", "gini"}


class World(NamedTuple):
    """A small shop whose data allow every metric."""

    held_out: HeldOut
    facts: Facts
    lists: dict[str, Ranked | None]


@pytest.fixture(scope="module")
def world() -> World:
    """Its customers buy at random; `blend` knows half of what they will buy, `popular` nothing."""
    rng = np.random.default_rng(3)
    history: list[Row] = [
        (f"u{customer:02}", f"i{item:02}", BUY, int(rng.integers(1, 20)))
        for customer in range(CUSTOMERS)
        for item in rng.permutation(ITEMS)[: rng.integers(4, 12)]
    ]
    catalogue = pl.DataFrame(
        [
            {
                "item_id": f"i{item:02}",
                "price": 1.0 + item,
                "category": f"c{item % 3}",
                "author": f"Ann Bee{item % 7}",
                "attributes": orjson.dumps({"margin": item / 2}).decode(),
            }
            for item in range(ITEMS)
        ],
        schema=ITEM_SCHEMA,
    )
    customers = pl.DataFrame(
        [
            {"customer_id": f"u{each:02}", "attributes": orjson.dumps({"sex": "fm"[each % 2]}).decode()}
            for each in range(CUSTOMERS)
        ],
        schema=CUSTOMER_SCHEMA,
    )
    part = cut_in_time(timed(history), 14 * DAY, [BUY]).test
    held_out = hold_out(part, rules(), pl.Series("item_id", [], dtype=pl.String))
    facts = facts_of(held_out, part.rows, catalogue, customers)
    items = len(held_out.training.items)
    popular = np.array([rng.permutation(items)[:WIDTH] for _ in held_out.row], dtype=np.int32)
    blend = np.array([_knowing(row, popular[row], held_out.relevant) for row in range(len(popular))], dtype=np.int32)
    return World(held_out, facts, {"blend": blend, "popular": popular, "als": None, "production": popular[:, ::-1]})


def _knowing(row: int, others: npt.NDArray[np.int32], relevant: Relevant) -> list[int]:
    known = relevant.item[relevant.indptr[row] : relevant.indptr[row + 1]][:2].tolist()
    return [*known, *(item for item in others.tolist() if item not in known)][:WIDTH]


@pytest.fixture(scope="module")
def found(world: World) -> Comparison:
    """Its comparison."""
    return compare(world.lists, world.held_out, world.facts, KS, seed=1, reference="production", resamples=400)


def test_every_metric_is_there(found: Comparison) -> None:
    """At every k, for every model that there is, and with its interval; none is not applicable here."""
    names = {f"{metric}@{k}" for metric in PER_CUSTOMER for k in KS}
    assert found.models["blend"] is not None
    assert set(found.models["blend"]) == names | {f"{metric}@{k}" for metric in OVERALL for k in KS}
    assert set(found.intervals["popular"]) == names
    assert found.models["als"] is None
    assert "als" not in found.intervals
    assert set(found.differences) == {"popular", "production"}
    assert set(found.not_applicable) <= {"customer", "history"}


def test_every_metric_and_dimension_is_explained() -> None:
    """In the tables of docs/evaluation.md."""
    page = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()
    missing = [metric for metric in (*PER_CUSTOMER, *OVERALL) if f"`{metric}@k`" not in page]
    missing += [
        each
        for each in ("customer", "history", "customer.NAME", "popularity", "category")
        if f"| `{each}` |" not in page
    ]
    assert not missing


def test_differences_are_paired_and_corrected_together(world: World, found: Comparison) -> None:
    """Each is the interval of the first model's values less the other's. Holm's families are recall and NDCG at the
    largest k, and all others, at half of the error each."""
    measures = Measures(world.held_out, world.facts, KS, world.lists["production"])
    each = {name: measures.per_customer(ranked) for name, ranked in world.lists.items() if ranked is not None}
    columns = [
        (name, metric) for name in found.differences for metric in each[name] if not metric.startswith("stability")
    ]
    paired = np.stack([each["blend"][metric] - each[name][metric] for name, metric in columns], axis=1)
    expected = intervals(paired, seed=1, resamples=400)
    main = [metric in (f"recall@{max(KS)}", f"ndcg@{max(KS)}") for _, metric in columns]
    corrected = np.zeros(len(columns))
    for family in (np.flatnonzero(main), np.flatnonzero(~np.array(main))):
        corrected[family] = np.minimum(1.0, 2 * np.array(holm([expected[place].p for place in family])))
    assert sum(map(len, found.differences.values())) == len(columns)
    for (name, metric), interval, p in zip(columns, expected, corrected, strict=True):
        difference = found.differences[name][metric]
        assert difference.interval.mean == pytest.approx(interval.mean)
        if np.ptp(paired[:, columns.index((name, metric))][~np.isnan(paired[:, columns.index((name, metric))])]):
            assert difference.interval.low == pytest.approx(interval.low)
            assert difference.p_holm == pytest.approx(p, abs=1e-9)
        assert difference.main is (metric in (f"recall@{max(KS)}", f"ndcg@{max(KS)}"))
        assert found.models[name] is not None
        assert found.intervals[name][metric].mean == pytest.approx(found.models[name][metric])  # type: ignore[index]


def test_a_model_that_knows_more_is_better(found: Comparison) -> None:
    """And says so in words, as do its slices."""
    assert found.differences["popular"]["recall@5"].verdict is Verdict.BETTER
    assert found.slices["customer.sex"]["f"].differences["popular"]["recall@5"].interval.mean > 0
    assert sum(each.customers for each in found.slices["customer.sex"].values()) == found.customers


def test_stability_is_measured_against_the_named_lists(world: World, found: Comparison) -> None:
    """With a list itself it is 1, and nobody's difference of it is told; without such lists it is not applicable."""
    blend, production = world.lists["blend"], world.lists["production"]
    assert blend is not None
    assert production is not None
    assert found.models["production"]["stability@5"] == 1.0  # type: ignore[index]
    expected = rank_biased_overlap(blend[:, :5], production[:, :5]).mean()
    assert found.models["blend"]["stability@5"] == pytest.approx(expected)  # type: ignore[index]
    assert "stability@5" not in found.differences["popular"]
    without = compare(world.lists, world.held_out, world.facts, KS, seed=1, resamples=10)
    assert "stability" in without.not_applicable
    assert "stability@5" not in without.models["blend"]  # type: ignore[operator]


def test_the_same_lists_do_not_differ(world: World) -> None:
    """Every verdict is that there is no clear difference, in slices too."""
    twice = {"blend": world.lists["blend"], "copy": world.lists["blend"]}
    found = compare(twice, world.held_out, world.facts, KS, seed=0, resamples=50)
    verdicts = {each.verdict for each in found.differences["copy"].values()}
    sliced = {
        each.verdict
        for values in found.slices.values()
        for part in values.values()
        for each in part.differences.get("copy", {}).values()
    }
    assert verdicts | sliced == {Verdict.NO_CLEAR_DIFFERENCE}


def test_what_is_not_known_of_items_is_not_applicable(world: World) -> None:
    """Metrics that need it are left out, with the cause under their own names."""
    items = replace(world.facts.items, price=None, category=None)
    facts = replace(
        world.facts, items=items, not_applicable={"revenue": "no item has a known price", "category": "none"}
    )
    found = compare(world.lists, world.held_out, facts, KS, seed=0, resamples=10)
    assert found.not_applicable["revenue_recall"] == "no item has a known price"
    assert found.not_applicable["miscalibration"] == "none"
    assert not {"revenue@2", "revenue_recall@2", "miscalibration@5"} & set(found.models["blend"] or {})
    assert "category" not in found.slices


def test_revenue_counts_what_has_no_position(world: World) -> None:
    """A wanted item that training does not know brings nothing, and counts in the whole."""
    wanted = pl.concat(
        [world.held_out.wanted, pl.DataFrame({"customer_id": [world.held_out.customer_ids[0]], "item_id": ["i99"]})]
    )
    items = replace(world.facts.items, price_of={**world.facts.items.price_of, "i99": 1e6})
    before = Measures(world.held_out, world.facts, KS).per_customer(world.lists["blend"])  # type: ignore[arg-type]
    after = Measures(replace(world.held_out, wanted=wanted), replace(world.facts, items=items), KS).per_customer(
        world.lists["blend"]
    )  # type: ignore[arg-type]
    assert after["revenue@5"].tolist() == before["revenue@5"].tolist()
    assert after["revenue_recall@5"][0] < 1e-3 < before["revenue_recall@5"][0]
    assert after["revenue_recall@5"][1:].tolist() == before["revenue_recall@5"][1:].tolist()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_metrics_keep_to_their_bounds_and_to_their_customers(world: World, data: st.DataObject) -> None:
    """Shares are from 0 to 1, nothing is below 0; another order of customers moves their values along with them."""
    items = len(world.held_out.training.items)
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    ranked = np.array([rng.permutation(items)[:WIDTH] for _ in world.held_out.row], dtype=np.int32)
    ranked[np.arange(WIDTH) >= rng.integers(0, WIDTH + 1, len(ranked))[:, None]] = NOTHING
    measures = Measures(world.held_out, world.facts, KS, world.lists["production"])
    found = measures.per_customer(ranked)
    for metric, values in found.items():
        known = values[~np.isnan(values)]
        assert (known >= 0).all(), metric
        assert metric.partition("@")[0] not in UNIT or (known <= 1 + 1e-12).all(), metric
    assert all(0 <= each <= 1 for each in measures.overall(ranked).values())
    order = rng.permutation(len(ranked))
    moved = _in_order(world, order)
    again = Measures(moved.held_out, moved.facts, KS, moved.lists["production"]).per_customer(ranked[order])
    for metric, values in found.items():
        np.testing.assert_allclose(again[metric], values[order], atol=1e-12, err_msg=metric)


def _in_order(world: World, order: npt.NDArray[np.int64]) -> World:
    """The same with its customers in another order; ids keep theirs, so that they ascend."""
    held_out, facts = world.held_out, world.facts
    parts = [held_out.relevant.item[held_out.relevant.indptr[row] : held_out.relevant.indptr[row + 1]] for row in order]
    relevant = Relevant(
        np.cumsum([0, *map(len, parts)]).astype(np.int64), np.concatenate(parts), held_out.relevant.size[order]
    )
    new_id = dict(zip(held_out.customer_ids.gather(order), held_out.customer_ids, strict=True))
    wanted = held_out.wanted.with_columns(pl.col("customer_id").replace_strict(new_id))
    assert facts.customers.mix is not None
    customers = replace(facts.customers, mix=facts.customers.mix[order])
    lists = {name: None if ranked is None else ranked[order] for name, ranked in world.lists.items()}
    return World(replace(held_out, relevant=relevant, wanted=wanted), replace(facts, customers=customers), lists)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_further_hit_never_lowers_a_recall(world: World, data: st.DataObject) -> None:
    """Whatever place of a list it takes from something that nobody wanted."""
    blend = world.lists["popular"]
    assert blend is not None
    row = data.draw(st.integers(0, len(blend) - 1))
    relevant = world.held_out.relevant
    own = relevant.item[relevant.indptr[row] : relevant.indptr[row + 1]].tolist()
    missing = [item for item in own if item not in blend[row]]
    misses = [place for place, item in enumerate(blend[row].tolist()) if item not in own]
    if not missing or not misses:
        return
    better = blend.copy()
    better[row, data.draw(st.sampled_from(misses))] = data.draw(st.sampled_from(missing))
    measures = Measures(world.held_out, world.facts, KS)
    before, after = measures.per_customer(blend), measures.per_customer(better)
    for metric in before:
        if metric.partition("@")[0] in UNIT - {"serendipity", "intra_list_diversity"}:
            assert not (after[metric] < before[metric] - 1e-12).any(), metric


def test_a_customer_of_several_windows_counts_once(world: World) -> None:
    """With the mean of what the windows found; two windows that are the same are as one."""
    one = measure(world.lists, world.held_out, world.facts, KS, "production")
    alone, twice = conclude([one], 0, 200), conclude([one, one], 0, 200)
    assert twice.customers == alone.customers
    assert twice.models["blend"] == pytest.approx(alone.models["blend"], nan_ok=True)
    assert twice.differences["popular"]["recall@5"].interval.low == pytest.approx(
        alone.differences["popular"]["recall@5"].interval.low
    )
    assert twice.slices["customer.sex"]["f"].customers == alone.slices["customer.sex"]["f"].customers
    half = _of_rows(one, np.arange(0, len(one.customer_ids), 2))
    pooled = conclude([one, half], 0, 50)
    recall = one.models["blend"].each["recall@5"]  # type: ignore[union-attr]
    assert pooled.models["blend"]["recall@5"] == pytest.approx(recall.mean())  # type: ignore[index]


def _of_rows(window: Measured, rows: npt.NDArray[np.int64]) -> Measured:
    models = {
        name: None if each is None else replace(each, each={metric: of[rows] for metric, of in each.each.items()})
        for name, each in window.models.items()
    }
    return replace(window, customer_ids=window.customer_ids.gather(rows), models=models, slices={})


def test_a_model_that_a_window_lacks_is_none(world: World) -> None:
    """Else its mean would be over other customers than the others'."""
    one = measure(world.lists, world.held_out, world.facts, KS)
    other = replace(one, models={**one.models, "popular": None})
    found = conclude([one, other], 0, 20)
    assert found.models["popular"] is None
    assert set(found.differences) == {"production"}


def test_words_follow_what_is_better() -> None:
    """Less miscalibration is better, more popular items are neither better nor worse, and what is not clear is not."""
    assert verdict_of("recall@10", 0.1, 0.01) is Verdict.BETTER
    assert verdict_of("miscalibration@10", 0.1, 0.01) is Verdict.WORSE
    assert verdict_of("miscalibration@10", -0.1, 0.01) is Verdict.BETTER
    assert verdict_of("average_popularity@10", 0.1, 0.01) is Verdict.HIGHER
    assert verdict_of("novelty@10", -0.1, 0.01) is Verdict.LOWER
    assert verdict_of("recall@10", 0.1, 0.06) is Verdict.NO_CLEAR_DIFFERENCE
    assert verdict_of("recall@10", 0.1, float("nan")) is Verdict.NO_CLEAR_DIFFERENCE


def test_a_family_is_corrected_as_a_whole() -> None:
    """Slices of all dimensions together: what is clear alone need not be among many."""
    clear = Interval(0.1, 0.01, 0.2, 0.03)
    alone = judged_together({"a": {"popular": {"recall@10": clear}}})["a"]["popular"]["recall@10"]
    assert (alone.p_holm, alone.verdict) == (0.03, Verdict.BETTER)
    among = judged_together({"a": {"popular": {"recall@10": clear}}, "b": {"popular": {"recall@10": clear}}})
    assert among["a"]["popular"]["recall@10"].p_holm == 0.06
    assert among["b"]["popular"]["recall@10"].verdict is Verdict.NO_CLEAR_DIFFERENCE
