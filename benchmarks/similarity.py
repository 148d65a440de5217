"""`python -m benchmarks.similarity`: what the similarity scores and the lists of what comes after cost and are worth.

For each data set every score is fitted on the training part without its validation slice (the test part is never
looked at) and scored alone on that slice: recall and NDCG of 20, over at most `CUSTOMERS` customers. Seconds are the
best of three, of all cores together (a busy machine makes threads wait, not work), and their ratio to those of
`implicit`'s all_pairs_knn on the same matrix, with as many neighbours and threads, in the same run. Then the share of
validation items that the lists of the customer's last item hold, after against alike, and some lists of a gift shop by
title. Needs BOOKMATCH_DATA.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from benchmarks.data_sets import NON_ITEMS, data_folder
from recsys.cli.options import available_cores
from recsys.data.events import EventKind
from recsys.data.importers.options import build_options
from recsys.data.interactions import Interactions
from recsys.data.signals import EventWeights
from recsys.data.vocabulary import UNKNOWN
from recsys.metrics.ranking import per_customer
from recsys.models.after import AfterConfig, fit_after
from recsys.models.item_item import ItemItem, ItemItemConfig, fit_item_item
from recsys.models.similarity import SimilarityConfig, SimilarityScore, fit_similarity
from recsys.models.similarity_together import TogetherConfig, fit_together
from training.evaluation.baselines import best_of_scores
from training.evaluation.held_out import HeldOut, Repeats, Rules, hold_out
from training.evaluation.inputs import read_inputs
from training.evaluation.protocols import Division, cut_in_time, leave_last_out, split
from training.fitting import with_rating_scale

Fitted = TypeVar("Fitted")

CUSTOMERS = 8_000
K = 20
NEIGHBOURS = 100
_CUT = 1_288_569_600_000  # 2010-11-01, as in docs/evaluation.md
_ROWS = 500


@dataclass(frozen=True, slots=True)
class Trial:
    """A data set, how its file is read, and how it is divided."""

    name: str
    file: str
    test: str | None
    columns: str = ""
    format: str | None = None
    event: str | None = None
    ignored: str = ""

    def validation(self, folder: Path) -> HeldOut:
        """The training part without its validation slice, and that slice."""
        options = build_options(
            now=int(time.time() * 1000),
            format=self.format,
            columns=self.columns,
            event=self.event,
            ignore_items=self.ignored,
            max_bad="5%",
        )
        test = None if self.test is None else folder / self.name / self.test
        bought = frozenset({EventKind.PURCHASE})
        inputs = read_inputs([folder / self.name / self.file], test, None, EventKind.PURCHASE, options)
        division = self._divided(inputs.train, inputs.test, bought)
        if division.validation is None:
            raise RuntimeError(f"{self.name} has no validation: {division.notes}")
        rules = Rules(target=bought, visible=None, repeats=Repeats.EXCLUDE, mask=bought)
        return hold_out(division.validation, rules, pl.Series("item_id", [], dtype=pl.String))

    def _divided(self, train: pl.DataFrame, test: pl.DataFrame | None, target: Collection[EventKind]) -> Division:
        if test is not None:
            return split(train, test, target, 0)
        return cut_in_time(train, _CUT, target) if self.format == "online-retail" else leave_last_out(train, target)


_PAIRS = "customer_id=user,item_id=item"
TRIALS = (
    Trial("amazon-book-kgat", "train.parquet", "test.parquet", _PAIRS, event="purchase"),
    Trial("retailrocket-mb", "train_events.parquet", "test_buy.parquet", format="retailrocket"),
    Trial("online-retail-uci", "transactions.parquet", None, format="online-retail", ignored=NON_ITEMS),
    Trial("amazon-beauty", "interactions.parquet", None, f"{_PAIRS},position=pos", event="purchase"),
)


def timed(fit: Callable[[], Fitted]) -> tuple[Fitted, float]:
    """What is fitted, and the CPU seconds of the fastest of three fits after a first one, which may have to compile."""
    model, best = fit(), float("inf")
    for _ in range(3):
        started = time.process_time()
        fit()
        best = min(best, time.process_time() - started)
    return model, best


def sampled(held_out: HeldOut) -> npt.NDArray[np.int64]:
    """Which customers are scored: places, ascending."""
    known = np.flatnonzero(held_out.row != UNKNOWN)
    drawn = np.random.default_rng(0).permutation(known)[:CUSTOMERS]
    return np.sort(drawn)


def quality(model: ItemItem, held_out: HeldOut, weights: EventWeights) -> tuple[float, float]:
    """Recall and NDCG of the lists that one model alone gives."""
    chosen = sampled(held_out)
    strengths, matrix = held_out.training.strengths(weights)[held_out.row[chosen]], model.matrix().astype(np.float64)
    popular = np.bincount(held_out.training.item, minlength=len(held_out.training.items))
    lists = []
    for start in range(0, len(chosen), _ROWS):
        part = chosen[start : start + _ROWS]
        scores = (strengths[start : start + _ROWS] @ matrix).toarray()
        scores[held_out.masked[part].toarray()] = 0.0
        lists.append(best_of_scores(sparse.csr_matrix(scores), popular, K))
    relevant = type(held_out.relevant)(*_rows(held_out, chosen), held_out.relevant.size[chosen])
    found = per_customer(np.concatenate(lists), relevant, [K])
    return float(found[f"recall@{K}"].mean()), float(found[f"ndcg@{K}"].mean())


def _rows(held_out: HeldOut, chosen: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    whole = sparse.csr_matrix(
        (np.ones(len(held_out.relevant.item)), held_out.relevant.item, held_out.relevant.indptr),
        shape=(len(held_out.relevant), len(held_out.training.items)),
    )[chosen]
    return whole.indptr.astype(np.int64), whole.indices.astype(np.int32)


def of_last_item(models: dict[str, ItemItem], among: str, held_out: HeldOut, weights: EventWeights) -> str:
    """Which share of validation items each model has in the first 10 of the list of the customer's last item (without
    what the customer has), over the customers for whom one of the models has a list."""
    tastes = held_out.training.tastes(weights.unfading())
    found, wanted, listed = dict.fromkeys(models, 0), 0, 0
    chosen = sampled(held_out)
    for place in chosen:
        own = slice(tastes.indptr[held_out.row[place]], tastes.indptr[held_out.row[place] + 1])
        if own.stop == own.start:
            continue
        last = int(tastes.item[own][np.argmax(tastes.clock[own])])
        if not len(models[among].row(last)[0]):
            continue
        bounds = held_out.relevant.indptr
        next_items = held_out.relevant.item[bounds[place] : bounds[place + 1]]
        wanted, listed = wanted + int(held_out.relevant.size[place]), listed + 1
        for name, model in models.items():
            near = model.row(last)[0]
            found[name] += int(np.isin(next_items, near[~np.isin(near, tastes.item[own])][:10]).sum())
    shares = ", ".join(f"{name} {count / max(wanted, 1):.4f}" for name, count in found.items())
    return f"held-out items in the last item's first 10, {listed / len(chosen):.0%} of customers with a list: {shares}"


def scores(held_out: HeldOut, weights: EventWeights, threads: int) -> list[str]:
    """A table of all scores on one data set."""
    from implicit.nearest_neighbours import all_pairs_knn, normalize

    tastes = held_out.training.tastes(weights.unfading())
    strengths = tastes.matrix()
    counts = sparse.csr_matrix(normalize(strengths.T).T, dtype=np.float64)

    def peer_fit() -> sparse.csr_matrix:
        return all_pairs_knn(counts, NEIGHBOURS, num_threads=threads, show_progress=False)

    peer = timed(peer_fit)[1]
    lines = [f"{'implicit all_pairs_knn':<28} {peer:6.2f} s"]
    configs = [SimilarityConfig(score=score, kept=NEIGHBOURS) for score in SimilarityScore]
    fits: list[tuple[str, Callable[[], ItemItem]]] = [
        (str(config.score), lambda config=config: fit_similarity(tastes, config, threads))  # type: ignore[misc]
        for config in configs
    ]
    fits.append(("after", lambda: fit_after(held_out.training, weights, AfterConfig(), threads)))
    fits.append(("together", lambda: fit_together(held_out.training, weights, TogetherConfig(), threads).neighbours))
    targets = (tastes.strength > 0).astype(np.float32)
    fits.append(("ridge", lambda: fit_item_item(tastes, targets, ItemItemConfig(), threads)))
    models = {}
    for name, fit in fits:
        models[name], seconds = timed(fit)
        recall, ndcg = quality(models[name], held_out, weights)
        filled = float(np.mean(np.diff(models[name].indptr) > 0))
        lines.append(
            f"{name:<28} {seconds:6.2f} s ({seconds / peer:5.2f} ×)  recall@{K} {recall:.4f}  ndcg@{K} {ndcg:.4f}  "
            f"items with a list {filled:.0%}"
        )
    return [*lines, of_last_item(models, "after", held_out, weights)]


def titles(held_out: Interactions, names: dict[str, str], weights: EventWeights, threads: int) -> list[str]:
    """Lists of some well-sold items by title: alike, together and after."""
    tastes = held_out.tastes(weights.unfading())
    config = SimilarityConfig(score=SimilarityScore.EXPECTED)
    models = {
        "alike": fit_similarity(tastes, config, threads),
        "together": fit_together(held_out, weights, TogetherConfig(), threads).neighbours,
        "after": fit_after(held_out, weights, AfterConfig(), threads),
    }
    sold = np.argsort(-np.bincount(held_out.item, minlength=len(held_out.items)), kind="stable")
    lines = []
    for item in sold[[3, 40, 100, 200, 300, 400]]:
        lines.append(f"{names.get(held_out.items[int(item)], '?')}:")
        for name, model in models.items():
            neighbour, weight = model.row(int(item))
            listed = [
                f"{names.get(held_out.items[int(each)], '?')} {value:.1f}"
                for each, value in zip(neighbour[:4], weight[:4], strict=True)
            ]
            lines.append(f"    {name:<9} {', '.join(listed) or '(none)'}")
    return lines


def main() -> None:
    """Prints all."""
    folder, threads = data_folder(), available_cores()
    for trial in TRIALS:
        held_out = trial.validation(folder)
        weights = with_rating_scale(EventWeights(), held_out.training)
        print(
            f"## {trial.name}: {len(held_out.training):,} events, {len(held_out.training.items):,} items, "
            f"{len(sampled(held_out)):,} customers scored",
            *scores(held_out, weights, threads),
            sep="\n",
            flush=True,
        )
        if trial.format == "online-retail":
            frame = pl.read_parquet(folder / trial.name / trial.file)
            described = frame.drop_nulls("description").group_by("stock_code").agg(pl.col("description").mode().first())
            print(*titles(held_out.training, dict(described.iter_rows()), weights, threads), sep="\n", flush=True)


if __name__ == "__main__":
    main()
