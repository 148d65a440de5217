"""Training is reproducible, says what it cost, and refuses too little."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest

from recsys.bundle import BundleRepository
from recsys.data.events import EventKind
from recsys.errors import InputError, NotEnoughDataError
from recsys.stores import open_store
from recsys.stores.protocols import Store
from tests.worlds import event_frame, published, run_of, titled, two_tastes
from training.fitting import SHIPPED_BLEND, TrainingConfig
from training.pipeline import train
from training.stages import StageLog

TWICE = """
import sys
from pathlib import Path
from tests.worlds import run_of, published, two_tastes
from training.fitting import SHIPPED_BLEND, TrainingConfig
frame = two_tastes(30).sample(fraction=1.0, shuffle=True, seed=int(sys.argv[2]))
print(published(Path(sys.argv[1]), frame, TrainingConfig(threads=int(sys.argv[3]))).bundle_id)
"""


def test_two_processes_make_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the order of rows, the process and the number of threads, every file but build.json is the same."""
    root = Path(__file__).resolve().parents[2]
    ids = [
        subprocess.run(
            [sys.executable, "-c", TWICE, str(tmp_path / name), seed, threads],
            env=os.environ | {"PYTHONPATH": str(root), "PYTHONHASHSEED": seed},
            cwd=root,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for name, seed, threads in (("one", "1", "1"), ("two", "2", "2"))
    ]
    assert ids[0] == ids[1]
    one, two = (tmp_path / name / ids[0] for name in ("one", "two"))
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file() and path.name != "build.json")
    assert len(files) > 5
    for path in files:
        assert (one / path).read_bytes() == (two / path).read_bytes(), path


def test_a_store_becomes_a_bundle_in_force(tmp_path: Path) -> None:
    """Training reads the store, publishes, and says how long each stage took and how much memory it held."""
    store = open_store(tmp_path / "store.db")
    store.events.ingest(two_tastes())
    repository = BundleRepository(tmp_path / "models")
    trained = train(store, repository, TrainingConfig(), run_of(tmp_path, host="a-machine"), StageLog())
    store.close()
    assert repository.current_id() == trained.bundle_id
    expected = [
        "read",
        "compile",
        "popularity",
        "item-item",
        "als",
        "content",
        "repeat",
        "related",
        "publish",
    ]
    assert [cost.name for cost in trained.costs] == expected
    assert all(cost.seconds >= 0 and cost.peak_bytes > 1_000_000 for cost in trained.costs)
    assert repository.load(trained.bundle_id).manifest.data["events"] == len(two_tastes())
    assert repository.build(trained.bundle_id)["host"] == "a-machine"


def test_the_store_and_the_frame_give_the_same_bundle(tmp_path: Path) -> None:
    """Nothing is lost or invented between a frame of events and what the store hands out."""
    store = open_store(tmp_path / "store.db")
    store.events.ingest(two_tastes())
    repository = BundleRepository(tmp_path / "models")
    trained = train(store, repository, TrainingConfig(), run_of(tmp_path), StageLog())
    store.close()
    assert trained.bundle_id == published(tmp_path / "direct", two_tastes()).bundle_id


def test_an_empty_store_says_how_much_is_needed(tmp_path: Path) -> None:
    """No events: the message names the least there has to be and the command that brings it."""
    store = open_store(tmp_path / "store.db")
    repository = BundleRepository(tmp_path / "models")
    with pytest.raises(NotEnoughDataError, match=r"at least 5 customers.*bookmatch import"):
        train(store, repository, TrainingConfig(), run_of(tmp_path), StageLog())
    store.close()
    assert repository.current_id() is None


def test_customers_with_one_item_each_teach_nothing(tmp_path: Path) -> None:
    """A hundred customers with one purchase each cannot say what goes together."""
    frame = event_frame([(f"u{number}", f"i{number % 7}", EventKind.PURCHASE, 0) for number in range(100)])
    with pytest.raises(NotEnoughDataError, match="0 of 100 customers"):
        _train_frame(tmp_path, frame)


def _train_frame(folder: Path, frame: object) -> None:
    store = open_store(folder / "store.db")
    try:
        store.events.ingest(frame)  # type: ignore[arg-type]
        train(store, BundleRepository(folder / "models"), TrainingConfig(), run_of(folder), StageLog())
    finally:
        store.close()


def test_the_rating_scale_is_taken_from_the_data(tmp_path: Path) -> None:
    """Ratings from 2 to 10 are read on a scale from 2 to 10."""
    import polars as pl

    frame = two_tastes().with_columns(
        pl.lit("rate").alias("kind"), (2.0 + pl.int_range(pl.len()) % 9).cast(pl.Float64).alias("rating")
    )
    _train_frame(tmp_path, frame)
    repository = BundleRepository(tmp_path / "models")
    assert repository.load(repository.current_id() or "").manifest.event_weights.rating_scale == (2.0, 10.0)


def test_a_rating_beyond_single_precision_makes_no_scale(tmp_path: Path) -> None:
    """One absurd rating in a store does not make the scale infinite, nor any strength no number."""
    import polars as pl

    rated = two_tastes().with_columns(
        pl.lit("rate").alias("kind"), (1.0 + pl.int_range(pl.len()) % 5).cast(pl.Float64).alias("rating")
    )
    _train_frame(tmp_path, rated.with_columns(rating=rated["rating"].scatter(0, 1e39)))
    repository = BundleRepository(tmp_path / "models")
    bundle = repository.load(repository.current_id() or "")
    assert bundle.manifest.event_weights.rating_scale == (1.0, 5.0)
    assert np.isfinite(bundle.item_item.weight).all()
    assert bundle.als is not None
    assert np.isfinite(bundle.als.item_factors).all()


def test_the_manifest_holds_what_answering_and_people_need(tmp_path: Path) -> None:
    """Weights, blend, model settings and the data's fingerprint stand in the manifest, times and hosts do not."""
    bundle = published(tmp_path, two_tastes())
    written = orjson.loads((tmp_path / bundle.bundle_id / "manifest.json").read_bytes())
    assert written["blend"]["weights"] == {name: [weight] for name, weight in SHIPPED_BLEND.items()}
    assert written["data"]["customers"] == 12
    assert len(written["data"]["fingerprint"]) == 64
    assert written["event_weights"]["kinds"]["purchase"] == {"weight": 1.0, "half_life_days": 365.0}
    assert set(written["models"]) == {
        "popularity",
        "item_item",
        "spectral",
        "als",
        "content",
        "repeat",
        "rp3beta",
        "together",
        "after",
    }
    assert not {"at", "host", "threads"} & set(written)


def test_impossible_settings_are_refused() -> None:
    """A seed that no generator takes says what was found."""
    for seed in (-1, 2**32):
        with pytest.raises(InputError, match=f"seed {seed}"):
            TrainingConfig(seed=seed)


def test_one_absurd_rating_does_not_set_the_scale(tmp_path: Path) -> None:
    """Among hundreds of ratings from 1 to 5, one of 1000 changes nothing."""
    import polars as pl

    rating = pl.when(pl.int_range(pl.len()) == 0).then(1000.0).otherwise(1.0 + pl.int_range(pl.len()) % 5)
    _train_frame(tmp_path, two_tastes(60).with_columns(pl.lit("rate").alias("kind"), rating.alias("rating")))
    repository = BundleRepository(tmp_path / "models")
    assert repository.load(repository.current_id() or "").manifest.event_weights.rating_scale == (1.0, 5.0)


def test_thumbs_up_and_down_are_enough_to_learn_from(tmp_path: Path) -> None:
    """Whether there is enough is judged on the shop's own rating scale: ratings of 0 and 1 are tastes, too."""
    import polars as pl

    thumbs = (pl.int_range(pl.len()) % 7 > 0).cast(pl.Float64)
    _train_frame(tmp_path, two_tastes().with_columns(pl.lit("rate").alias("kind"), thumbs.alias("rating")))
    assert BundleRepository(tmp_path / "models").current_id() is not None


def test_a_run_that_goes_on_learns_from_the_catalogue_as_it_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after its content stage and started again with other titles, it gives what a fresh run gives."""

    def shop(home: Path, series: int) -> Store:
        store = open_store(home / "store.db")
        store.events.ingest(two_tastes())
        store.catalog.put(titled({f"c{book}": ("crime", "garden", "travel")[book % series] for book in range(6)}))
        return store

    def bundle(home: Path, store: Store) -> str:
        return train(store, BundleRepository(home / "models"), TrainingConfig(), run_of(home), StageLog()).bundle_id

    with monkeypatch.context() as stopped:
        stopped.setattr("training.fitting.fit_repeat", _stop)
        with pytest.raises(KeyboardInterrupt):
            bundle(tmp_path / "a", shop(tmp_path / "a", 2))
    fresh = bundle(tmp_path / "b", shop(tmp_path / "b", 3))
    assert bundle(tmp_path / "a", shop(tmp_path / "a", 3)) == fresh


def _stop(*_: object) -> None:
    raise KeyboardInterrupt
