"""`python -m benchmarks.quality.peer NAME --output FILE`: `implicit`, tuned as we tune and scored as we score.

Its cosine and its ALS are tuned with 20 trials each by optuna's seeded estimator, on the validation that
`bookmatch evaluate` draws and the customers that its trials are judged on; by recall@20, which they are compared by.
The first trials are the library's defaults and our shipped settings. The best settings are fitted on all of training
and scored on the test with our masks, metrics and order of equal scores. Needs BOOKMATCH_DATA.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import optuna
import orjson
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender
from implicit.recommender_base import ModelFitError
from implicit.utils import ParameterWarning
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks.data_sets import data_folder
from benchmarks.quality.cases import CASES, Case
from benchmarks.quality.reports import Peer, PeerModel
from recsys.cli.options import available_cores
from recsys.data.events import EventKind
from recsys.data.importers.options import build_options
from recsys.data.vocabulary import UNKNOWN
from recsys.metrics.ranking import Ranked, Relevant
from recsys.models.als import ALSConfig
from recsys.models.ranking_kernels import top_rows
from training.evaluation.asked import Protocol, parse_rules
from training.evaluation.baselines import first_of_order, popular_order, target_counts
from training.evaluation.comparison import score
from training.evaluation.held_out import HeldOut, hold_out
from training.evaluation.inputs import read_inputs
from training.evaluation.protocols import leave_last_out, split
from training.fitting import TrainingConfig
from training.tuning import TUNE_BUDGET
from training.tuning.judging import Jury
from training.tuning.plan import plan_for

TRIALS = 20
SEED = 0
KS = (10, 20)
OBJECTIVE = "recall@20"
COMPARED_COSINE: Mapping[str, float] = {"neighbours": 100}
COMPARED_ALS: Mapping[str, float] = {"factors": 128, "regularization": 0.01, "alpha": 1.0, "iterations": 15}
"""Settings by which the times of fitting are compared."""

_REPETITIONS = 3
_CELLS = 4_000_000

Rows = npt.NDArray[np.int32]
"""Positions of training customers."""

Scores = Callable[[Rows], npt.NDArray[np.float64]]
"""Scores of all items for some training customers: shape (rows, items); 0 or less is never listed."""


@dataclass(frozen=True, slots=True)
class Model:
    """One of the library's models: how it is fitted on customers × items of 1 and 0, and what is tried.

    Attributes
    ----------
    fit : (matrix, settings, threads) → scores.
    suggest : the settings of a trial.
    starts : the settings of the first trials.
    """

    fit: Callable[[sparse.csr_matrix, Mapping[str, float], int], Scores]
    suggest: Callable[[optuna.Trial], dict[str, float]]
    starts: tuple[Mapping[str, float], ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """Some customers of a part: which (ascending places), and what they turned out to want."""

    held_out: HeldOut
    places: npt.NDArray[np.int64]
    relevant: Relevant

    def metrics(self, scores: Scores, threads: int) -> dict[str, float]:
        """Of the lists that the scores put in order."""
        ranked = self._ranked(scores, threads)
        return score(ranked, self.relevant, KS, len(self.held_out.training.items)).means()

    def _ranked(self, scores: Scores, threads: int) -> Ranked:
        """Customers unknown to training get popular items, as in our own evaluation."""
        row, masked = self.held_out.row[self.places], self.held_out.masked[self.places]
        training = self.held_out.training
        count = np.bincount(training.item, minlength=len(training.items)).astype(np.int64)
        step = max(1, _CELLS // len(training.items))

        def block(first: int) -> Ranked:
            own, hidden = slice(first, first + step), masked[first : first + step]
            found = scores(np.maximum(row[own], 0))
            found[np.repeat(np.arange(len(found)), np.diff(hidden.indptr)), hidden.indices] = -np.inf
            ranked: Ranked = top_rows(found, count, max(KS))
            return ranked

        with ThreadPoolExecutor(threads) as pool:
            lists = np.concatenate(list(pool.map(block, range(0, len(row), step))))
        absent = row == UNKNOWN
        lists[absent] = first_of_order(popular_order(self.held_out), masked[absent], max(KS))
        return lists


def fit_cosine(matrix: sparse.csr_matrix, settings: Mapping[str, float], threads: int) -> CosineRecommender:
    """Item-item by cosine, as the library fits it."""
    model = CosineRecommender(K=int(settings["neighbours"]), num_threads=threads)
    with warnings.catch_warnings():
        # The library warns of the layout of a matrix that it makes itself.
        warnings.simplefilter("ignore", ParameterWarning)
        model.fit(matrix, show_progress=False)
    return model


def fit_als(matrix: sparse.csr_matrix, settings: Mapping[str, float], threads: int) -> AlternatingLeastSquares:
    """Low rank by alternating least squares, as the library fits it."""
    model = AlternatingLeastSquares(
        factors=int(settings["factors"]),
        regularization=settings["regularization"],
        alpha=settings["alpha"],
        iterations=int(settings["iterations"]),
        num_threads=threads,
        random_state=SEED,
    )
    model.fit(matrix, show_progress=False)
    return model


def cosine(matrix: sparse.csr_matrix, settings: Mapping[str, float], threads: int) -> Scores:
    """Item-item by cosine."""
    similar = sparse.csr_matrix(fit_cosine(matrix, settings, threads).similarity, dtype=np.float64)
    histories = matrix.astype(np.float64)
    return lambda rows: (histories[rows] @ similar).toarray()


def als(matrix: sparse.csr_matrix, settings: Mapping[str, float], threads: int) -> Scores:
    """Low rank by alternating least squares."""
    model = fit_als(matrix, settings, threads)
    customers, items = model.user_factors, model.item_factors.T

    def scores(rows: Rows) -> npt.NDArray[np.float64]:
        found = (customers[rows] @ items).astype(np.float64)
        # Moved above 0: its lists hold items of any score.
        return np.asarray(found - found.min(axis=1, keepdims=True) + 1.0)

    return scores


MODELS = {
    "cosine": Model(
        cosine,
        lambda trial: {"neighbours": trial.suggest_int("neighbours", 20, 400, log=True)},
        ({"neighbours": 20}, COMPARED_COSINE),
    ),
    "als": Model(
        als,
        lambda trial: {
            "factors": trial.suggest_int("factors", 32, 256, log=True),
            "regularization": trial.suggest_float("regularization", 0.001, 100.0, log=True),
            "alpha": trial.suggest_float("alpha", 0.1, 100.0, log=True),
            "iterations": trial.suggest_int("iterations", 5, 30),
        },
        (
            {"factors": 100, "regularization": 0.01, "alpha": 1.0, "iterations": 15},
            asdict(ALSConfig()),
        ),
    ),
}


def tuned(
    name: str, model: Model, learned: sparse.csr_matrix, jury: Judged, trials: int, threads: int
) -> tuple[dict[str, float], float]:
    """The best settings on validation, and their objective. A fit that runs out of numbers counts as a trial."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=SEED))
    for start in model.starts:
        study.enqueue_trial(dict(start))

    def judged(trial: optuna.Trial) -> float:
        settings = model.suggest(trial)
        value = jury.metrics(model.fit(learned, settings, threads), threads)[OBJECTIVE]
        print(f"  implicit {name}, trial {trial.number + 1} of {trials}: {settings} {value:.4f}", flush=True)
        return value

    study.optimize(judged, n_trials=trials, catch=(ModelFitError,))
    return dict(study.best_params), study.best_value


def parts(case: Case) -> tuple[Judged, Judged]:
    """The validation customers that trials are judged on, and all of the test."""
    options = build_options(
        now=int(time.time() * 1000), columns=case.option("--map") or "", event=case.option("--event"), max_bad="1%"
    )
    folder = data_folder() / case.data_set
    test = None if case.test is None else folder / case.test
    inputs = read_inputs([folder / case.train], test, None, EventKind.PURCHASE, options)
    rules = parse_rules("purchase", "", case.option("--repeats") or "exclude", case.option("--mask") or "")
    if case.protocol == Protocol.SPLIT and inputs.test is not None:
        division = split(inputs.train, inputs.test, rules.target, SEED)
    else:
        division = leave_last_out(inputs.train, rules.target)
    if division.validation is None:
        raise SystemExit(f"{case.name} has no validation: {'; '.join(division.notes)}")
    validation, final = (hold_out(part, rules, inputs.items) for part in (division.validation, division.test))
    plan = plan_for(TUNE_BUDGET, validation.training, len(validation.relevant), 1, TrainingConfig())
    jury = Jury.drawn(validation, plan.customers, SEED)
    everyone = np.arange(len(final.relevant), dtype=np.int64)
    return Judged(validation, jury.rows, jury.relevant), Judged(final, everyone, final.relevant)


def measure(case: Case, trials: int, threads: int) -> Peer:
    """Tunes, fits and scores both models, and times the fits that ours is compared with."""
    jury, test = parts(case)
    learned, whole = (_bought(each.held_out) for each in (jury, test))
    found = {}
    for name, model in MODELS.items():
        settings, value = tuned(name, model, learned, jury, trials, threads)
        metrics = test.metrics(model.fit(whole, settings, threads), threads)
        found[name] = PeerModel(settings, value, {metric: metrics[metric] for metric in ("recall@20", "ndcg@20")})
        print(f"  implicit {name}: {OBJECTIVE} {metrics[OBJECTIVE]:.4f} on the test", flush=True)
    return Peer(found, trials, len(jury.places), len(test.places), _fit_seconds(whole, threads))


def _bought(held_out: HeldOut) -> sparse.csr_matrix:
    """Who has a target event on what: 1.0, float32, shape (training customers, items)."""
    return (target_counts(held_out) > 0).astype(np.float32)


def _fit_seconds(matrix: sparse.csr_matrix, threads: int) -> float:
    """Of cosine and ALS together: the median of some fits."""
    found = []
    for _ in range(_REPETITIONS):
        started = time.perf_counter()
        fit_cosine(matrix, COMPARED_COSINE, threads)
        fit_als(matrix, COMPARED_ALS, threads)
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def main() -> None:
    """Parses the arguments, measures, and writes the file whole or not at all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.peer", description=__doc__)
    able = {case.name: case for case in CASES if case.protocol != Protocol.TIME}
    parser.add_argument("name", choices=able)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=TRIALS)
    chosen = parser.parse_args()
    # The library's own threads share the cores; BLAS must not multiply them.
    with threadpool_limits(1, "blas"):
        found = measure(able[chosen.name], chosen.trials, available_cores())
    unfinished = chosen.output.with_name(f".{chosen.output.name}")
    unfinished.write_bytes(orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2))
    unfinished.rename(chosen.output)


if __name__ == "__main__":
    main()
