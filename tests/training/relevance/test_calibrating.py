"""Relevance from a validation slice: what was listed before the cut, beside what was bought after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest

from recsys.bundle import BundleRepository, ModelBundle
from recsys.bundle.bundle import assembled
from recsys.data.catalog import Catalog
from recsys.data.events import EventKind
from recsys.data.history import History, HistoryRow, StoredHistory
from recsys.models.blend import LENGTHS, BlendWeights
from recsys.recommend.placement import DEFAULT_PLACEMENT, Placement
from recsys.recommend.recommender import Recommender
from recsys.recommend.sources import in_units_of_spread
from recsys.recommend.types import Request
from recsys.stores import open_store
from tests.worlds import DAY, START, event_frame, event_table, no_catalogue, run_of
from training.evaluation.soon import Soon
from training.fitting import SHIPPED_BLEND, TrainingConfig, fit
from training.pipeline import Trained, train
from training.relevance import calibrating, curves, listed
from training.relevance.calibrated import Calibrated
from training.relevance.calibrating import _crossed, calibrate
from training.relevance.listed import Listed, listed_for_customers, listed_for_newcomers
from training.stages import StageLog
from training.tuning import Validation
from training.validation import validation_of

BUY, VIEW = EventKind.PURCHASE, EventKind.VIEW
TARGET = frozenset({BUY})
KNOWN, STRANGERS, SEEN = 300, 120, 96
"""Customers from before the cut, after it, and of these so many within the window: a day that just begins is not."""


def reading_shop() -> pl.DataFrame:
    """Customers who buy on days 0 to 90 what is next to what they have; two of three buy one thing more on days 95 to
    99, and strangers appear who look, and buy one time in four."""
    rng = np.random.default_rng(3)
    rows: list[tuple[str, str, EventKind, int | None]] = []
    for user in range(KNOWN):
        first = int(rng.integers(0, 40))
        rows += [
            (f"u{user:03}", f"i{(first + 2 * place) % 40:02}", BUY, (user + 11 * place) % 91) for place in range(7)
        ]
        if user % 3:
            rows.append((f"u{user:03}", f"i{(first + 1 + 2 * int(rng.integers(0, 6))) % 40:02}", BUY, 95 + user % 5))
    for stranger in range(STRANGERS):
        rows.append((f"x{stranger:03}", f"i{stranger % 40:02}", VIEW, 95 + stranger % 5))
        if stranger % 4 == 0:
            rows.append((f"x{stranger:03}", f"i{stranger % 8:02}", BUY, 95 + stranger % 5))
    return event_frame(rows)


@pytest.fixture(scope="module")
def slice_() -> Validation:
    """The validation of that shop."""
    found = validation_of(event_table(reading_shop()), TARGET, 0)
    assert not isinstance(found, str), found
    return found


@pytest.fixture(scope="module")
def bundle(slice_: Validation) -> ModelBundle:
    """Its models before the cut, with a blend that has classes of history length."""
    blend = BlendWeights(LENGTHS, {name: (weight,) * 4 for name, weight in SHIPPED_BLEND.items()})
    config = TrainingConfig(blend=blend, related=None)
    return assembled("before", *fit(slice_.lists.training, no_catalogue(), config, StageLog()))


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little data is enough."""
    for module in (curves, calibrating):
        monkeypatch.setattr(module, "LEAST_BOUGHT", 20)
    monkeypatch.setattr(curves.fit_relevance, "__defaults__", (20,))


def test_the_window_is_the_validation_s(slice_: Validation) -> None:
    """Whole days from the cut to the newest event, in which everybody counts who did anything."""
    assert isinstance(slice_.soon, Soon)
    frame = reading_shop()
    cut = slice_.lists.until
    assert cut is not None
    newest = frame["timestamp"].max()
    assert isinstance(newest, int)
    assert slice_.soon.days == (newest + 1 - cut) // DAY
    assert slice_.soon.days > 0
    within = frame.filter(pl.col("timestamp").is_between(cut, cut + slice_.soon.days * DAY, closed="left"))
    before = set(frame.filter(pl.col("timestamp") < cut)["customer_id"])
    assert slice_.soon.newcomers.to_list() == sorted(set(within["customer_id"]) - before)
    bought = within.filter(pl.col("kind") == "purchase").select("customer_id", "item_id")
    assert set(slice_.soon.wanted.iter_rows()) == set(bought.iter_rows())


@pytest.mark.parametrize(("last", "days"), [(0, None), (1, 1), (89, 89), (90, 90), (400, 90)])
def test_a_window_has_from_one_day_to_ninety(last: int, days: int | None) -> None:
    """An event a millisecond before the day is over completes it; what comes after the window does not count."""
    rows = event_frame([("a", "x", BUY, 0), ("b", "y", BUY, last)])
    moved = rows.with_columns(
        timestamp=pl.when(pl.col("item_id") == "y").then(pl.col("timestamp") - 1).otherwise("timestamp")
    )
    soon = Soon.after(moved, START, TARGET)
    assert (soon.days if soon else None) == days
    if soon:
        assert set(soon.wanted["customer_id"]) == ({"a", "b"} if last <= 90 else {"a"})


def test_lists_are_those_of_the_recommender_and_labels_what_was_bought(slice_: Validation, bundle: ModelBundle) -> None:
    """Customer by customer: the items, their scores, and whether each was bought; those who never came back as well."""
    history, now = slice_.lists.training, slice_.lists.now
    placement = slice_.lists.rules.placement
    assert isinstance(slice_.soon, Soon)
    found = listed_for_customers(bundle, placement, history, now, slice_.soon, 0, 2)
    assert set(found.customer.tolist()) == set(range(KNOWN))
    recommender = Recommender(bundle, placement)
    catalog = Catalog.from_items(no_catalogue(), bundle.items, 0)
    wanted = set(slice_.soon.wanted.iter_rows())
    for customer in (0, 1, 2, 150):
        past = replace(history.history(customer), version=1)
        answer = recommender.recommend(past, catalog, Request(limit=listed.DEPTH, now=now))
        own = found.only(found.customer == customer)
        assert own.bought.tolist() == [(history.customers[customer], each.item_id) in wanted for each in answer.items]
        personal = [each for each in answer.items if each.reason.code == "history"]
        assert own.personal.sum() == len(personal)
        assert own.score[own.personal].tolist() == pytest.approx([each.score for each in personal])
        filling = [bundle.items.position(each.item_id) for each in answer.items if each.reason.code == "popular"]
        assert own.score[~own.personal].tolist() == in_units_of_spread(bundle.popularity.score)[filling].tolist()
    assert found.bought.any()
    assert not found.personal.all()


def test_newcomers_are_those_who_appear_after_the_cut(slice_: Validation, bundle: ModelBundle) -> None:
    """Each is shown what is popular, and counts whether they bought or not."""
    history = slice_.lists.training
    assert isinstance(slice_.soon, Soon)
    new = slice_.soon.newcomers
    assert {each[0] for each in new} == {"x"}
    assert len(new) == SEEN
    found = listed_for_newcomers(bundle, slice_.lists.rules.placement, history, slice_.soon, 0)
    assert len(set(found.customer.tolist())) == SEEN
    assert not found.personal.any()
    answer = Recommender(bundle).recommend(
        History.empty(), Catalog.from_items(no_catalogue(), bundle.items, 0), Request(limit=listed.DEPTH, now=0)
    )
    shown = [each.item_id for each in answer.items]
    bought = {customer for customer, item in slice_.soon.wanted.iter_rows() if item in shown and customer in set(new)}
    assert found.bought.sum() == len(bought) == SEEN // 4


@pytest.mark.usefixtures("little")
def test_what_is_learned_adds_up_to_what_was_bought(slice_: Validation, bundle: ModelBundle) -> None:
    """The sum of all probabilities is the number of bought items; the report says how it was learned and
    how good it is on the other half of the customers."""
    found = calibrate(bundle, slice_.lists, slice_.soon, 0, 2)
    assert found.relevance is not None
    assert isinstance(slice_.soon, Soon)
    lists = listed_for_customers(
        bundle, slice_.lists.rules.placement, slice_.lists.training, slice_.lists.now, slice_.soon, 0, 1
    )
    lists = lists.only(lists.personal)
    assert lists.relevance(found.relevance).sum() == pytest.approx(lists.bought.sum())
    report = found.report
    assert (report["kinds"], report["days"], report["customers"]) == (["purchase"], slice_.soon.days, KNOWN)
    assert report["newcomers"] == {"customers": SEEN, "who_bought_nothing": SEEN * 3 // 4}
    personal = report["calibration"]["personal"]
    assert personal["brier"] < 1.1 * personal["brier_of_base_rate"]
    assert personal["expected_calibration_error"] < personal["base_rate"]
    assert found.relevance.of_popular(np.array([1.0]), np.array([0]))[0] > 0
    assert calibrate(bundle, slice_.lists, slice_.soon, 0, 1).to_json() == found.to_json()
    back = Calibrated.from_json(orjson.loads(orjson.dumps(found.to_json())))
    assert back.to_json() == found.to_json()


def test_calibration_is_measured_on_the_other_half() -> None:
    """Where one half of the customers buys nothing, nothing can be said of the other half, and too much of this one."""
    buys = np.repeat(np.random.default_rng(0).permutation(400) % 2 == 0, 10)
    customer, score = np.repeat(np.arange(400), 10), np.tile(np.arange(10.0), 400)
    lists = Listed(customer, np.full(4000, 20), np.ones(4000, dtype=bool), score, buys & (score >= 8))
    nobody = pl.Series([], dtype=pl.String)
    soon = Soon((BUY,), 7, pl.DataFrame({"customer_id": nobody, "item_id": nobody}), nobody)
    found = _crossed(lists, LENGTHS, soon, 0)["personal"]
    assert (found["items"], found["bought"]) == (2000, 0)
    assert found["expected_calibration_error"] == pytest.approx(0.2)


@pytest.mark.usefixtures("little")
def test_nothing_is_said_of_newcomers_where_only_buyers_are_seen(slice_: Validation, bundle: ModelBundle) -> None:
    """In a shop that records purchases alone everybody who is seen buys, which says nothing of those who do not."""
    assert isinstance(slice_.soon, Soon)
    bought = slice_.soon.wanted["customer_id"].implode()
    buyers = replace(slice_.soon, newcomers=slice_.soon.newcomers.filter(slice_.soon.newcomers.is_in(bought)))
    found = calibrate(bundle, slice_.lists, buyers, 0, 1)
    assert found.relevance is not None
    assert np.isnan(found.relevance.of_popular(np.array([1.0]), np.array([0]))[0])
    assert found.report["newcomers"]["who_bought_nothing"] == 0


def test_too_few_bought_items_are_a_cause(slice_: Validation, bundle: ModelBundle) -> None:
    """The report says how many there were and how many it takes."""
    assert isinstance(slice_.soon, Soon)
    nobody = replace(slice_.soon, wanted=slice_.soon.wanted.clear())
    found = calibrate(bundle, slice_.lists, nobody, 0, 1)
    assert found.relevance is None
    assert found.report["cause"].startswith("0 of ")
    assert found.report["cause"].endswith("50 are needed")


@pytest.mark.parametrize(("change", "cause"), [("untimed", "not all events have times"), ("few", "200 are needed")])
def test_what_cannot_be_told_has_a_cause(change: str, cause: str) -> None:
    """Without times, and with few customers, there is no time that all have in common."""
    frame = reading_shop()
    frame = (
        frame.with_columns(timestamp=pl.lit(None, pl.Int64))
        if change == "untimed"
        else frame.filter(pl.col("customer_id") < "u100")
    )
    found = validation_of(event_table(frame), TARGET, 0)
    assert not isinstance(found, str)
    assert isinstance(found.soon, str)
    assert cause in found.soon


def trained(home: Path, budget: float) -> tuple[Trained, ModelBundle]:
    """Trains on that shop."""
    home.mkdir(exist_ok=True)
    store = open_store(home / "store.db")
    try:
        store.events.ingest(reading_shop())
        made = train(
            store, BundleRepository(home / "models"), TrainingConfig(), run_of(home, budget=budget), StageLog()
        )
    finally:
        store.close()
    return made, BundleRepository(home / "models").load(made.bundle_id)


@pytest.mark.usefixtures("little")
def test_training_publishes_it_and_the_record_gives_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Learned with the blend that was chosen, it is in the bundle, the manifest and the report; a second training finds
    it in the record and makes the same bundle; answers carry it, those of another placement do not."""
    monkeypatch.setattr("training.tuning.plan.MOST_TRIALS", 2)
    asked = []

    def told(chosen: ModelBundle, *rest: Any) -> Calibrated:
        asked.append(chosen.manifest.blend)
        return calibrate(chosen, *rest)

    monkeypatch.setattr("training.tuning.tuning.calibrate", told)
    made, bundle = trained(tmp_path, 300.0)
    assert asked == [bundle.manifest.blend]
    assert bundle.relevance is not None
    described: Mapping[str, object] = made.relevance
    assert described == bundle.manifest.relevance
    assert described["days"] == bundle.relevance.days
    assert trained(tmp_path, 300.0)[0].bundle_id == made.bundle_id
    catalog = Catalog.from_items(no_catalogue(), bundle.items, 0)
    history = two_purchases(bundle)
    answer = Recommender(bundle).recommend(history, catalog, Request(limit=5, now=START))
    expected = bundle.relevance.of_personal(np.array([each.score for each in answer.items]), np.full(5, 2))
    assert [each.relevance for each in answer.items] == pytest.approx(expected, abs=1e-5)
    other = Recommender(bundle, Placement("all", DEFAULT_PLACEMENT.mask_kinds - {EventKind.RATE}))
    assert {each.relevance for each in other.recommend(history, catalog, Request(limit=5, now=START)).items} == {None}


def two_purchases(bundle: ModelBundle) -> History:
    """Somebody who bought two things."""
    rows = [HistoryRow(item, BUY.code, START, None, 1.0, None) for item in ("i02", "i04")]
    return History.from_stored(StoredHistory.of(1, rows), bundle.items)


def test_without_tuning_there_is_none_and_the_manifest_says_why(tmp_path: Path) -> None:
    """The cause stands where the window would, and the bundle has no curves."""
    made, bundle = trained(tmp_path, 0.0)
    assert bundle.relevance is None
    assert made.relevance == {"cause": "no tuning was asked for"}
    assert not [name for name in bundle.manifest.arrays if name.startswith("relevance")]
