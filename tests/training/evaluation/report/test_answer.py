"""The answer in words says what the numbers say."""

from __future__ import annotations

import pytest

from tests.training.evaluation.report.recorded_report import recorded
from training.evaluation.report.answer import answers, rival_of
from training.evaluation.report.recorded import Recorded


def answer_of(verdict: str | None, mean: float, half: float, p: float | None = 0.2) -> str:
    """What the report says of discovery with this difference from production."""
    metrics = recorded()
    metrics["tracks"]["discovery"]["differences"]["production"]["recall@20"] = {
        "mean": mean, "low": mean - half, "high": mean + half, "p": p, "p_holm": p, "verdict": verdict,
    }  # fmt: skip
    found = answers(Recorded.of(metrics))[0]
    return f"{found.headline} {found.detail} {found.whom} {found.stability}"


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("better", "Yes: the blend is better than what is in production now."),
        ("worse", "No: the blend is worse than what is in production now."),
        ("no clear difference", "Too close to call: no clear difference from what is in production now."),
        (None, "there is no verdict"),
    ],
)
def test_the_headline_is_the_verdict(verdict: str | None, said: str) -> None:
    """Yes, no, too close to call: by the verdict, never by the sign of a mean."""
    assert said in answer_of(verdict, -0.01 if verdict == "better" else 0.01, 0.001)


def test_the_detail_has_the_numbers_as_shares() -> None:
    """Both models' recall as percentages, the difference and its bounds as points, p after correction."""
    said = answer_of("better", 0.006, 0.0035, 0.0004)
    assert "the first 20 places of the blend held 10.4% on average" in said
    assert "+0.60 points (95 % interval +0.25 to +0.95)" in said
    assert "p < 0.001" in said


def test_groups_are_counted_and_the_worse_ones_named() -> None:
    """For whom: how many groups gain, which lose, and that a group is not hidden in the mean."""
    metrics = recorded()
    groups = metrics["tracks"]["discovery"]["slices"]
    for values in groups.values():
        for part in values.values():
            part["differences"]["production"]["recall@20"]["verdict"] = "better"
    groups["category"]["Cards"]["differences"]["production"]["recall@20"]["verdict"] = "worse"
    found = answers(Recorded.of(metrics))[0]
    assert found.whom == "For whom: better in 7 of 8 groups of customers and items; worse in 1 (Category: Cards)."


def test_windows_are_counted() -> None:
    """How often the blend was ahead, window by window."""
    metrics = recorded()
    metrics["windows"][0]["tracks"] = recorded()["windows"][0]["tracks"]
    metrics["windows"][0]["tracks"]["discovery"]["differences"]["production"]["recall@20"]["mean"] = -0.01
    assert answers(Recorded.of(metrics))[0].stability == "The blend was ahead in 1 of 2 stretches of time."


def test_the_rival_is_what_runs_now_else_the_best_simple_model() -> None:
    """Never a part of the blend while there is something that a shop could have without it."""
    models = {"blend": {"m": 0.5}, "als": {"m": 0.6}, "bm25": {"m": 0.2}, "popular": {"m": 0.3}}
    assert rival_of(models, "m") == "popular"
    assert rival_of({**models, "production": {"m": 0.1}}, "m") == "production"
    assert rival_of({**models, "production": None}, "m") == "popular"
    assert rival_of({"blend": {"m": 0.5}, "als": {"m": 0.6}, "popular": None}, "m") == "als"
    assert rival_of({"blend": {"m": 0.5}}, "m") is None


def test_the_best_simple_model_is_named_beside_production() -> None:
    """A blend that beats what runs now and no simple model must not look like a winner."""
    metrics = recorded()
    metrics["tracks"]["discovery"]["differences"]["bm25"]["recall@20"]["verdict"] = "no clear difference"
    found = answers(Recorded.of(metrics))
    assert found[0].beside == (
        "Beside the best simple model, BM25, there is no clear difference (+2.10 points, +1.75 to +2.45)."
    )
    assert found[1].beside.startswith("Beside the best simple model, BM25, the blend is better (")
    metrics["tracks"]["discovery"]["models"]["production"] = None
    assert answers(Recorded.of(metrics))[0].beside == ""


def test_a_track_without_customers_says_why() -> None:
    """Nobody to ask is an answer, too."""
    metrics = recorded()
    metrics["tracks"]["repeat"] = {"repeats": "only", "customers": 0, "test_pairs": 0, "cause": "nobody came back"}
    found = answers(Recorded.of(metrics))[1]
    assert (found.verdict, found.headline) == (None, "There is nothing to foresee here.")
    assert found.detail == "Nobody came back."
