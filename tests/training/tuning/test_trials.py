"""A study of trials: what is proposed, how it goes on after an interruption, and which trial is taken."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import orjson
import pytest

from recsys.data.events import EventKind
from tests.training.tuning.tuned_worlds import TARGET, held_out, shelves
from training.fitting import TrainingConfig
from training.tuning.judging import Jury
from training.tuning.space import Shape, fadings, parameters, settings_of
from training.tuning.trials import Trial, best_of, judged, looks_after, run_trials

VARIED = parameters(Shape(ordered=True, timed=True, others=(EventKind.VIEW,), target=True))
START = settings_of(TrainingConfig(), VARIED)
PROPOSED = [START, START | {"penalty": 50.0}, START | {"dropout": 0.6}]


def told(settings: Mapping[str, float], before: list[Trial]) -> Trial:
    """A trial whose value is known: the best settings have dropout 0.2 and before 0.7, and trials change nothing."""
    value = 1.0 - (settings["dropout"] - 0.2) ** 2 - (settings["before"] - 0.7) ** 2
    return Trial(dict(settings), (8.0, 1.0), value, np.array([value, value / 3]))


def study(number: int, seed: int = 0, known: list[Trial] | None = None, stop_after: int = 99) -> list[Trial]:
    """A study that is stopped before the trial of this number."""
    asked: list[int] = []

    def go_on() -> bool:
        asked.append(len(asked))
        return len(asked) <= stop_after

    return run_trials(number, PROPOSED, VARIED, seed, told, known or [], lambda _: None, go_on)


def read_back(trials: list[Trial]) -> list[Trial]:
    """The trials as a record gives them."""
    return [Trial.from_json(orjson.loads(orjson.dumps(trial.to_json()))) for trial in trials]


def plain(trials: list[Trial]) -> list[tuple[object, ...]]:
    """What a trial is, to be compared."""
    return [(dict(each.settings), each.fading, each.value, each.each.tolist()) for each in trials]


WHOLE = study(20)


@pytest.mark.parametrize("done", [0, 1, 2, 3, 5, 8, 9, 13, 19, 20])
def test_an_interrupted_study_goes_on_as_if_it_had_not_been(done: int) -> None:
    """From what the record kept of the first trials, the rest are exactly those of the uninterrupted study."""
    assert plain(study(20, known=read_back(WHOLE[:done]))) == plain(WHOLE)


def test_the_same_seed_proposes_the_same_and_another_does_not() -> None:
    """After what is proposed to everybody, the seed decides; every proposal lies in its range."""
    assert plain(study(12)) == plain(WHOLE[:12])
    other = study(12, seed=1)
    assert plain(other[:3]) == plain(WHOLE[:3])
    assert all(one.settings != another.settings for one, another in zip(other[3:], WHOLE[3:12], strict=True))
    assert len({tuple(trial.settings.values()) for trial in WHOLE}) == len(WHOLE)
    for trial in WHOLE:
        assert all(each.low <= trial.settings[each.name] <= each.high for each in VARIED)


def test_each_trial_knows_those_before_it() -> None:
    """The judge is handed the trials so far, those of an interrupted study among them."""
    seen: list[int] = []

    def judge(settings: Mapping[str, float], before: list[Trial]) -> Trial:
        seen.append(len(before))
        return told(settings, before)

    run_trials(6, PROPOSED, VARIED, 0, judge, WHOLE[:2], lambda _: None, lambda: True)
    assert seen == [2, 3, 4, 5]


def test_the_first_trial_looks_at_every_fading_the_others_near_the_best() -> None:
    """The first trial is the start as it is, the second looks everywhere; then the best fading and those beside it."""
    looks = fadings(Shape(ordered=True, timed=True, others=(), target=True))
    start = looks[3]
    assert looks_after([], start, looks) == (start,)
    for place, look in enumerate(looks):
        trials = [Trial({}, looks[0], 0.1, np.zeros(1)), Trial({}, look, 0.2, np.zeros(1))]
        assert looks_after(trials[:1], start, looks) == looks
        assert looks_after(trials, start, looks) == tuple(
            looks[at] for at in range(max(0, place - 1), place + 2) if at < len(looks)
        )


def test_what_is_proposed_comes_first_in_order() -> None:
    """The start is the first trial, and a short study is the beginning of the proposals."""
    assert [dict(trial.settings) for trial in study(2)] == PROPOSED[:2]


def test_the_study_learns_from_its_trials() -> None:
    """The estimator's later proposals are better on average than its first, which are random."""
    values = [trial.value for trial in study(40)]
    assert np.mean(values[25:]) > np.mean(values[3:11])


def test_a_study_stops_when_told_and_tells_of_new_trials_only() -> None:
    """`go_on` is asked before each new trial; known trials are not told of again, superfluous ones are left out."""
    assert plain(study(20, stop_after=4)) == plain(WHOLE[:4])
    assert study(20, stop_after=0) == []
    new: list[Trial] = []
    run_trials(6, PROPOSED, VARIED, 0, told, WHOLE[:4], new.append, lambda: True)
    assert plain(new) == plain(WHOLE[4:6])
    assert plain(run_trials(3, PROPOSED, VARIED, 0, told, WHOLE[:9], new.append, lambda: True)) == plain(WHOLE[:3])
    assert len(new) == 2


def trial_of(each: list[float]) -> Trial:
    """A trial with these values per customer."""
    return Trial({}, (None, 1.0), float(np.mean(each)), np.array(each))


@pytest.mark.parametrize(
    ("values", "taken"),
    [
        ([[0.1, 0.2, 0.3]], 0),
        ([[0.1, 0.2, 0.3], [0.2, 0.3, 0.4]], 1),
        ([[0.1, 0.2, 0.3], [0.0, 0.1, 0.2]], 0),
        # Better by 0.1 on average, with a standard error of 0.2: chance.
        ([[0.0, 0.0, 0.0], [0.5, -0.1, -0.1]], 0),
        # The best is chance; one that is surely better, but by less, is not looked for.
        ([[0.0, 0.0, 0.0], [0.01, 0.01, 0.01], [0.5, -0.1, -0.1]], 0),
        ([[0.0, 0.0, 0.0], [0.1, 0.1, 0.1], [0.2, 0.2, 0.2]], 2),
        # One customer alone is never more than chance.
        ([[0.1], [0.9]], 0),
    ],
)
def test_the_start_stays_unless_another_is_clearly_better(values: list[list[float]], taken: int) -> None:
    """The best of the trials is taken when it beats the first by more than chance gives, paired by customer."""
    trials = [trial_of(each) for each in values]
    assert best_of(trials) is trials[taken]


def test_a_trial_keeps_the_best_of_its_fadings() -> None:
    """Looked at together, the fading with the highest mean is kept, with what it brought each customer."""
    part = held_out(shelves(60))
    config = TrainingConfig(target_kinds=TARGET)
    jury = Jury.drawn(part, 1000, 0)
    looks = fadings(Shape(ordered=True, timed=True, others=(EventKind.VIEW,), target=True))
    alone = [judged(START, config, VARIED, (look,), jury) for look in looks]
    best = judged(START, config, VARIED, looks, jury)
    assert best.value == max(trial.value for trial in alone) > min(trial.value for trial in alone)
    assert best.fading == max(alone, key=lambda trial: trial.value).fading
    assert best.value == pytest.approx(best.each.mean())
    assert len(best.each) == len(jury.rows)
