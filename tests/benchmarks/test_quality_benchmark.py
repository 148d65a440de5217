"""What the benchmark of quality concludes from reports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import typer.main
from scipy import stats

from benchmarks.quality.cases import BOOKS, CASES, Case
from benchmarks.quality.goals import BASELINES, Verdict, beaten, verdict
from benchmarks.quality.page import page
from benchmarks.quality.reports import Peer, PeerModel, Report, lift
from recsys.cli.app import app
from recsys.metrics.uncertainty import RESAMPLES, Interval
from training.evaluation.evaluating import BLEND, MODELS

METRICS = [f"{name}@{k}" for name in ("recall", "ndcg", "hit_rate") for k in (10, 20)]


def customers(recall: npt.NDArray[np.float64], first: int = 0, test_items: int = 1) -> pl.DataFrame:
    """A `customers.parquet` of the blend, and of another model that is always right."""
    ids = [f"c{first + place:04}" for place in range(len(recall))]
    frames = [
        pl.DataFrame({"model": [model] * len(ids), "customer_id": ids, "recall@10": values})
        for model, values in (("als", np.ones(len(ids))), (BLEND, recall))
    ]
    return pl.concat(frames).with_columns(test_items=pl.lit(test_items, dtype=pl.Int64))


def report(
    blend: float, others: Mapping[str, float], low: Mapping[str, float] | None = None, each: pl.DataFrame | None = None
) -> Report:
    """One in which all metrics of a model are the same."""
    return Report(
        models={name: dict.fromkeys(METRICS, value) for name, value in {BLEND: blend, **others}.items()},
        differences={
            name: dict.fromkeys(METRICS, Interval(blend - value, (low or {}).get(name, blend - value - 0.01), 1.0))
            for name, value in others.items()
        },
        seconds={"read": 1.0, "compile": 2.0, "tune": 60.0, "fit": 10.0, "score": 5.0},
        peak_bytes=1_000_000_000,
        trials=7,
        planned_trials=12,
        customers=4,
        test_pairs=4,
        items=9,
        seed=0,
        each=customers(np.full(4, blend)) if each is None else each,
    )


def test_the_lift_s_intervals_are_those_of_resampled_pairs() -> None:
    """Difference and ratio are bootstrapped from the same draws of customers, whatever the order of rows: of the ratio
    the middle of the draws, of the difference Student's quantile of their spread."""
    rng = np.random.default_rng(3)
    more, less = rng.random(80), rng.random(80) * 0.5
    found = lift(customers(more).sample(fraction=1.0, shuffle=True, seed=1), customers(less), "recall@10", 7)
    drawn = np.random.default_rng(7).integers(80, size=(RESAMPLES, 80))
    above, below = more[drawn].mean(axis=1), less[drawn].mean(axis=1)
    value = more.mean() / less.mean() - 1.0
    expected = [value, *np.quantile(above / below - 1.0, [0.025, 0.975])]
    assert [found.ratio.mean, found.ratio.low, found.ratio.high] == pytest.approx(expected, rel=1e-9)
    value, reach = more.mean() - less.mean(), stats.t.ppf(0.975, 79) * (above - below).std() * np.sqrt(80 / 79)
    expected = [value, value - reach, value + reach]
    assert [found.difference.mean, found.difference.low, found.difference.high] == pytest.approx(expected, rel=1e-9)
    assert (found.more, found.less) == pytest.approx((more.mean(), less.mean()))


@pytest.mark.parametrize("other", [{"first": 1}, {"test_items": 2}], ids=["customers", "number of test items"])
def test_a_lift_between_different_tests_is_refused(other: dict[str, int]) -> None:
    """Evaluations of other customers, or with other test items, are not paired."""
    with pytest.raises(ValueError, match="the same test"):
        lift(customers(np.ones(5)), customers(np.ones(5), **other), "recall@10", 0)


def test_a_lift_over_nothing_is_refused() -> None:
    """Without a hit in some resample there is no ratio."""
    with pytest.raises(ValueError, match="no interval"):
        lift(customers(np.ones(5)), customers(np.array([1.0, 0, 0, 0, 0])), "recall@10", 0)


@pytest.mark.parametrize(
    ("value", "sure", "expected"),
    [
        (0.181, True, Verdict.MISSED),
        (0.182, True, Verdict.REACHED),
        (0.190, True, Verdict.STRETCHED),
        (0.190, False, Verdict.MISSED),
    ],
)
def test_a_goal_is_met_from_its_figure_on(value: float, sure: bool, expected: Verdict) -> None:
    """A figure that equals the goal meets it; without certainty nothing is met."""
    assert verdict(value, 0.182, 0.190, sure=sure) is expected


def test_the_blend_has_to_beat_every_named_model_surely() -> None:
    """One interval that reaches 0 misses the goal, also where the blend is far above the best on average."""
    others = {"popular_7d": 0.10, "bm25": 0.20, "als": 0.15, "item_item": 0.9}
    sure = dict.fromkeys(others, 0.001)
    assert beaten(report(0.22, others, sure), "recall@10", BASELINES, 0.15) is Verdict.REACHED
    assert beaten(report(0.24, others, sure), "recall@10", BASELINES, 0.15) is Verdict.STRETCHED
    assert beaten(report(0.24, others, sure | {"als": 0.0}), "recall@10", BASELINES, 0.15) is Verdict.MISSED
    with pytest.raises(ValueError, match="none of"):
        beaten(report(0.24, {"popular": 0.1}), "recall@10", BASELINES, 0.15)


def test_the_page_has_every_goal_case_and_whole_tables() -> None:
    """From reports of all cases: each case's command, a verdict in each line of goals, and no ragged row."""
    others = dict.fromkeys(MODELS[1:], 0.1)
    reports = {case.name: report(0.2 if "purchases" in case.name else 0.3, others) for case in CASES}
    peer = Peer({"cosine": PeerModel({"neighbours": 50}, 0.1, dict.fromkeys(METRICS, 0.2))}, 20, 4, 4, 2.0)
    text = page(reports, peer, BOOKS)
    assert "Not measured" not in text
    assert all(case.shown() in text for case in CASES)
    goals = re.findall(r"^\|.*\|$", text.split("## What browsing adds")[0], re.MULTILINE)[2:]
    verdicts = [row.split(" | ")[-1].removesuffix(" |") for row in goals]
    # Books: two metrics, three costs, two against the peer; beauty 2; lifts 2; the shop 2 × 4; baskets 1.
    assert len(verdicts) == 5 + 2 + 2 + 2 + 8 + 1
    assert set(verdicts) <= {str(each) for each in Verdict}
    assert "| 1.500 × |" in text
    assert "+50.0% [+50.0%, +50.0%]" in text
    assert text.count("| 7 of 12 |") == len(CASES)
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        assert len({row.count(" | ") for row in table.splitlines()}) == 1, table


def test_a_page_of_some_data_sets_says_what_is_lacking() -> None:
    """Nobody takes a part for the whole."""
    text = page({BOOKS: report(0.2, {"als": 0.1})}, None, BOOKS)
    assert "Not measured for this page: amazon-beauty, retailrocket-mb," in text


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_command_knows_every_option_of_a_case(case: Case) -> None:
    """Each case is a command line that `bookmatch evaluate` takes."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    context = commands["evaluate"].make_context("evaluate", case.arguments(Path("data"))[1:])
    assert context.params["train"] == [Path("data") / case.data_set / case.train]
