"""Trials of the item-item model: settings proposed by optuna, judged on validation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.models.item_item import fit_item_item
from training.fitting import TrainingConfig, targets
from training.tuning.judging import Each, Jury, gain
from training.tuning.plan import TRIAL_NEIGHBOURS
from training.tuning.space import Fading, Parameter, applied, faded, fading_from_json

if TYPE_CHECKING:
    import optuna

_STARTUP = 8


@dataclass(frozen=True, slots=True)
class Trial:
    """What one setting brought.

    Attributes
    ----------
    settings : by parameter.
    fading : the best of the fadings looked at, as `space.fadings` has them.
    value : the mean objective.
    each : float64, shape (validation customers,); the objective.
    """

    settings: Mapping[str, float]
    fading: Fading
    value: float
    each: Each

    def to_json(self) -> dict[str, Any]:
        """As a record holds it."""
        return {
            "settings": dict(self.settings),
            "fading": list(self.fading),
            "value": self.value,
            "each": self.each.tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trial:
        """What `to_json` gave."""
        return cls(
            data["settings"],
            fading_from_json(data["fading"]),
            data["value"],
            np.array(data["each"], dtype=np.float64),
        )


def judged(
    settings: Mapping[str, float],
    shipped: TrainingConfig,
    varied: tuple[Parameter, ...],
    fadings: tuple[Fading, ...],
    jury: Jury,
) -> Trial:
    """Fits the item-item model with these settings and keeps the best fading."""
    config = applied(shipped, varied, settings)
    history = jury.held_out.training
    tastes = history.tastes(config.event_weights.unfading())
    fitted = replace(config.item_item, neighbours=min(config.item_item.neighbours, TRIAL_NEIGHBOURS))
    model = fit_item_item(tastes, targets(history, tastes, config), fitted, config.threads)
    near = model.matrix()
    newest = jury.held_out.seen()
    found = []
    for fading in fadings:
        strengths = jury.of(newest.strengths(faded(config.event_weights, *fading)))
        each = jury.of_lists(strengths.astype(np.float64), near, config.threads)
        found.append(Trial(dict(settings), fading, float(each.mean()), each))
    return max(found, key=lambda trial: trial.value)


def looks_after(trials: list[Trial], start: Fading, fadings: tuple[Fading, ...]) -> tuple[Fading, ...]:
    """Which fadings the next trial looks at: the first at the start's, the second at all, the others at the best so far
    and its neighbours."""
    if not trials:
        return (start,)
    if len(trials) == 1 or start not in fadings:
        return fadings
    place = fadings.index(max(trials, key=lambda trial: trial.value).fading)
    return fadings[max(0, place - 1) : place + 2]


def run_trials(
    number: int,
    proposed: list[dict[str, float]],
    varied: tuple[Parameter, ...],
    seed: int,
    judge: Callable[[Mapping[str, float], list[Trial]], Trial],
    known: list[Trial],
    done: Callable[[Trial], None],
    go_on: Callable[[], bool],
) -> list[Trial]:
    """So many trials: those proposed first, then optuna's.

    Each proposal depends on the trials before it and on the seed alone, so a study that was interrupted goes on as if
    it had not been.

    Parameters
    ----------
    proposed : settings, the start first.
    judge : makes a trial of settings, knowing the trials before it.
    known : trials of an interrupted study, in order.
    done : told of each new trial.
    go_on : asked before each new trial; False ends the study.
    """
    study = _study(varied, known[:number])
    trials = list(known[:number])
    while len(trials) < number and go_on():
        settings = proposed[len(trials)] if len(trials) < len(proposed) else _asked(study, varied, seed, len(trials))
        trial = judge(settings, trials)
        trials.append(trial)
        _tell(study, varied, trial)
        done(trial)
    return trials


def best_of(trials: list[Trial]) -> Trial:
    """The best trial, where it is clearly better than the first; else the first, which is where tuning started.

    The best of many noisy values is too good by chance; what started has been judged before, or is shipped.
    """
    best = max(trials, key=lambda trial: trial.value)
    return best if gain(best.each, trials[0].each).clear else trials[0]


def _distributions(varied: tuple[Parameter, ...]) -> dict[str, optuna.distributions.BaseDistribution]:
    import optuna

    return {each.name: optuna.distributions.FloatDistribution(each.low, each.high, log=each.log) for each in varied}


def _study(varied: tuple[Parameter, ...], known: list[Trial]) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for trial in known:
        _tell(study, varied, trial)
    return study


def _tell(study: optuna.Study, varied: tuple[Parameter, ...], trial: Trial) -> None:
    import optuna

    study.add_trial(
        optuna.trial.create_trial(params=dict(trial.settings), distributions=_distributions(varied), value=trial.value)
    )


def _asked(study: optuna.Study, varied: tuple[Parameter, ...], seed: int, number: int) -> dict[str, float]:
    """The next settings, by a tree-structured Parzen estimator that is seeded anew for each trial."""
    import optuna

    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    study.sampler = optuna.samplers.TPESampler(
        n_startup_trials=_STARTUP, seed=int.from_bytes(digest[:4], "little"), multivariate=True
    )
    trial = study.ask(_distributions(varied))
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return {each.name: float(trial.params[each.name]) for each in varied}
