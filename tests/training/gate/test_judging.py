"""The gate lets a bundle pass that is as good as the one in force, and none that is clearly worse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys.bundle import ModelBundle
from recsys.data.events import EventKind
from recsys.data.interactions import Interactions
from recsys.data.vocabulary import Vocabulary
from tests.training.gate.shelves import CONFIG, LEARNED_UNTIL, ONLY_POPULAR, shelves, tuned
from tests.worlds import DAY, START, event_frame, event_table, no_catalogue, published
from training.fitting import TrainingConfig
from training.gate import LEAST_COVERAGE, Budget, Verdict, judge, judging, latency
from training.stages import StageLog


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are timed as often as is needed to compare like with like: what bundles here foresee is asked, not how fast
    they are."""
    monkeypatch.setattr(latency, "MOST_ROUNDS", latency.LEAST_ROUNDS)
    monkeypatch.setattr(judging, "FAST_ENOUGH", float("inf"))


def judged(frame: pl.DataFrame, candidate: ModelBundle, in_force: ModelBundle, config: TrainingConfig) -> Verdict:
    """What the gate says of a candidate that was fitted on all of `frame`."""
    table, budget = event_table(frame), Budget(fit=60.0)
    return judge(table, no_catalogue(), candidate, in_force, tuned(config), [], budget, StageLog())


@pytest.fixture(scope="module")
def in_force(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """Trained two months after the start."""
    return published(tmp_path_factory.mktemp("models"), shelves(LEARNED_UNTIL), CONFIG)


def test_the_same_settings_on_more_history_are_let_pass(in_force: ModelBundle, tmp_path: Path) -> None:
    """Quality is compared on what came since, and both are good at it."""
    frame = shelves(80)
    candidate = published(tmp_path, frame, CONFIG)
    verdict = judged(frame, candidate, in_force, CONFIG)
    assert verdict.admits, verdict.refused
    quality = verdict.judged["quality"]
    assert quality["since"] > START + (LEARNED_UNTIL - 1) * DAY
    for metric in ("recall@20", "ndcg@20"):
        assert min(quality["metrics"][metric][each] for each in ("candidate", "in_force")) > 0.3
        assert quality["metrics"][metric]["verdict"] != "worse"


def test_settings_that_know_no_taste_are_refused(in_force: ModelBundle, tmp_path: Path) -> None:
    """Popular items for everybody: worse at foreseeing, and most of the shop is never shown."""
    frame = shelves(80)
    candidate = published(tmp_path, frame, ONLY_POPULAR)
    verdict = judged(frame, candidate, in_force, ONLY_POPULAR)
    told = ("lists show", "recall@20 falls from", "ndcg@20 falls from")
    assert all(each in reason for each, reason in zip(told, verdict.refused, strict=True)), verdict.refused
    shown = verdict.judged["coverage@20"]
    assert shown["candidate"] < LEAST_COVERAGE * shown["in_force"]


def test_the_worse_bundle_in_force_gives_way(tmp_path: Path) -> None:
    """What is better passes; the other way round it would not."""
    poor = published(tmp_path / "poor", shelves(LEARNED_UNTIL), ONLY_POPULAR)
    frame = shelves(80)
    candidate = published(tmp_path / "good", frame, CONFIG)
    assert judged(frame, candidate, poor, CONFIG).admits


def test_a_shop_that_lost_most_of_its_items_is_refused(in_force: ModelBundle, tmp_path: Path) -> None:
    """An import that went wrong: lists are of one shelf, and too short."""
    frame = shelves(80).filter(pl.col("item_id").str.starts_with("s0"))
    candidate = published(tmp_path, frame, CONFIG)
    verdict = judged(frame, candidate, in_force, CONFIG)
    assert any("lists have" in reason for reason in verdict.refused), verdict


def test_without_anything_unseen_quality_is_not_compared(in_force: ModelBundle, tmp_path: Path) -> None:
    """What the bundle in force has learned by heart proves nothing; coverage is compared all the same."""
    frame = shelves(LEARNED_UNTIL)
    candidate = published(tmp_path, frame, ONLY_POPULAR)
    verdict = judged(frame, candidate, in_force, ONLY_POPULAR)
    assert "nothing that is to be predicted happened since" in verdict.judged["quality"]["cause"]
    assert ["lists show" in reason for reason in verdict.refused] == [True]


def test_histories_in_the_positions_of_other_items() -> None:
    """Customers keep their events on items that there are, in order; the rest is left out."""
    frame = event_frame([(who, item, EventKind.VIEW, day) for day, who in enumerate("aab") for item in "xyz"])
    history = Interactions.from_events(event_table(frame))
    moved = history.over(Vocabulary.from_ids(["w", "z", "x"]))
    assert [moved.items[int(place)] for place in moved.item] == ["x", "z"] * 3
    assert np.diff(moved.indptr).tolist() == [4, 2]
    assert moved.timestamp.tolist() == [START + day * DAY for day in (0, 0, 1, 1, 2, 2)]
    assert len(moved) == 6
