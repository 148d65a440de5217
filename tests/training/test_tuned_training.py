"""Training with tuning: in the manifest, the same again, and the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from recsys.bundle import BundleRepository
from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.events import EventKind
from recsys.stores import open_store
from recsys.stores.protocols import Store
from tests.training.tuning.tuned_worlds import shelves
from tests.worlds import event_frame, run_of
from training.fitting import TrainingConfig
from training.pipeline import Trained, train
from training.stages import StageLog
from training.tuning import plan, tuning

BUDGET = 300.0

IN_A_PROCESS = """
import sys
from dataclasses import replace
from pathlib import Path
from recsys.bundle import BundleRepository
from tests.training.test_tuned_training import BUDGET, catalogue, shop, trained_with
from training.tuning import plan, tuning
plan.MOST_TRIALS = 12
judged = tuning.judged
def told(settings, *asked):
    trial = judged(settings, *asked)
    print(sorted(settings.items()), trial.fading, trial.each.tolist())
    return trial
tuning.judged = told
home, seed, threads = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
home.mkdir()
print(trained_with(home, shop(home, seed), threads).bundle_id)
"""


def catalogue() -> pl.DataFrame:
    """Titles for some of the items, and two that nobody bought."""
    rows = [{"item_id": f"i{item:02}", "title": f"volume {item // 4} of series {item % 4}"} for item in range(0, 35, 2)]
    return pl.DataFrame(rows, schema=ITEM_SCHEMA)


def of_many_kinds() -> pl.DataFrame:
    """Purchases and, in equal parts, views, things laid into the cart and likes."""
    frame, further = shelves(70), pl.Series(["view", "add_to_cart", "like"])
    other = further.gather(pl.int_range(frame.height, eager=True) % 3)
    return frame.with_columns(kind=pl.when(pl.col("kind") == "view").then(other).otherwise("kind"))


def shop(home: Path, seed: int | None = None, frame: pl.DataFrame | None = None) -> Store:
    """A store that got events and titles in the order that the seed gives."""
    store, frame, titles = open_store(home / "store.db"), of_many_kinds() if frame is None else frame, catalogue()
    if seed is not None:
        frame, titles = (each.sample(fraction=1.0, shuffle=True, seed=seed) for each in (frame, titles))
    for part in frame.iter_slices(200):
        store.events.ingest(part)
    store.catalog.put(titles)
    return store


def trained_with(home: Path, store: Store, threads: int = 1, budget: float = BUDGET) -> Trained:
    """Trains and closes the store."""
    try:
        config = TrainingConfig(threads=threads)
        return train(store, BundleRepository(home / "models"), config, run_of(home, budget=budget), StageLog())
    finally:
        store.close()


@pytest.fixture
def few_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three trials are the most."""
    monkeypatch.setattr(plan, "MOST_TRIALS", 3)


def test_two_processes_tune_to_the_same_bytes(tmp_path: Path) -> None:
    """Another hash seed, other orders of rows, one thread or two: the same trials, manifest and arrays."""
    root = Path(__file__).resolve().parents[2]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", IN_A_PROCESS, str(tmp_path / name), seed, threads],
            env=os.environ | {"PYTHONPATH": str(root), "PYTHONHASHSEED": seed},
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, seed, threads in (("one", "1", "1"), ("two", "2", "2"))
    ]
    told = [each.communicate()[0].splitlines() for each in running]
    assert [each.returncode for each in running] == [0, 0]
    assert told[0] == told[1]
    assert len(told[0]) == 12 + 1
    ids = [lines[-1] for lines in told]
    one, two = (tmp_path / name / "models" / ids[0] for name in ("one", "two"))
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file() and path.name != "build.json")
    assert len(files) > 5
    for path in files:
        assert (one / path).read_bytes() == (two / path).read_bytes(), path
    tuned = BundleRepository(tmp_path / "one" / "models").load(ids[0]).manifest.tuning
    assert (tuned["settings"], tuned["trials"]) == ("tuned", 12)


@pytest.mark.usefixtures("few_trials")
def test_the_manifest_says_how_settings_were_found(tmp_path: Path) -> None:
    """What validation was, the plan, the trials, the weights and why; and what was found is what was fitted with."""
    trained = trained_with(tmp_path, shop(tmp_path))
    manifest = BundleRepository(tmp_path / "models").load(trained.bundle_id).manifest
    assert manifest.tuning == trained.tuning
    assert set(trained.tuning) == {
        "settings",
        "validation",
        "objective",
        "budget_seconds",
        "plan",
        "trials",
        "stopped",
        "started_from",
        "item_item",
        "popularity_days",
        "blend",
    }
    found = trained.tuning["item_item"]["settings"]
    for name in ("penalty", "customer_exponent", "dropout", "after", "before"):
        assert manifest.models["item_item"][name] == found[name]
    assert manifest.models["item_item"]["neighbours"] == TrainingConfig().item_item.neighbours
    assert manifest.models["item_item"]["other_targets"] == found["other_targets"]
    assert manifest.event_weights.kinds[EventKind.VIEW].weight == found["weight.view"]
    assert manifest.event_weights.half_life_steps == trained.tuning["item_item"]["half_life_steps"]
    assert manifest.models["popularity"]["half_life_days"] == trained.tuning["popularity_days"]
    for name, cause in trained.tuning["blend"]["sources"].items():
        assert any(manifest.blend.weights[name]) != cause.startswith("weight 0")


@pytest.mark.usefixtures("few_trials")
def test_an_unchanged_shop_gives_the_same_bundle_and_a_changed_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained again without a trial it is the same bundle; with new events the study starts from the last record."""
    first = trained_with(tmp_path, shop(tmp_path))
    with monkeypatch.context() as patched:
        patched.delattr(tuning, "judged")
        again = trained_with(tmp_path, open_store(tmp_path / "store.db"))
    assert (again.bundle_id, again.tuning) == (first.bundle_id, first.tuning)
    store = open_store(tmp_path / "store.db")
    more = event_frame([("new", f"i{item:02}", EventKind.PURCHASE, item) for item in (3, 7, 11)])
    store.events.ingest(more.with_columns(("new" + pl.col("event_id")).alias("event_id")))
    changed = trained_with(tmp_path, store)
    assert changed.bundle_id != first.bundle_id
    assert changed.tuning["started_from"] == "the last record"


@pytest.mark.usefixtures("few_trials")
def test_the_rating_scale_is_that_of_all_ratings(tmp_path: Path) -> None:
    """Ratings that validation holds out count for the scale that customers are answered with."""
    rated = shelves(60, views=False).with_columns(
        pl.lit("rate").alias("kind"), pl.lit(3.0).alias("rating"), pl.lit(None, pl.Int64).alias("timestamp")
    )
    rated = rated.with_columns(position=pl.int_range(pl.len()))
    last = pl.col("position") == pl.col("position").max().over("customer_id")
    rated = rated.with_columns(rating=pl.when(last).then(10.0).otherwise(1.0 + pl.col("position") % 5))
    trained = trained_with(tmp_path, shop(tmp_path, frame=rated))
    manifest = BundleRepository(tmp_path / "models").load(trained.bundle_id).manifest
    assert trained.tuning["settings"] == "tuned"
    assert manifest.event_weights.rating_scale == (1.0, 10.0)


def test_a_shop_too_small_for_validation_is_trained_as_shipped(tmp_path: Path) -> None:
    """No customer has five items: the manifest says why nothing was tuned."""
    rows = [
        (f"u{user}", f"i{(user + place) % 5}", EventKind.PURCHASE, place) for user in range(9) for place in range(3)
    ]
    trained = trained_with(tmp_path, shop(tmp_path, frame=event_frame(rows)))
    assert trained.tuning == {"settings": "shipped", "cause": "no customer has enough items for validation"}


def test_a_configuration_is_described_alike_in_every_process() -> None:
    """What decides the result is in it, threads are not, and a set of kinds has one order whatever the hash seed."""
    both = TrainingConfig(target_kinds=frozenset({EventKind.PURCHASE, EventKind.VIEW, EventKind.LIKE}))
    assert both.described().endswith("['like', 'purchase', 'view']")
    assert both.described() == replace(both, threads=7).described()
    others = [replace(both, seed=1), replace(both, other_targets=0.5), TrainingConfig()]
    assert len({each.described() for each in (both, *others)}) == 4
