"""docs/quality.md, from what was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence

from benchmarks.data_sets import VARIABLE
from benchmarks.quality.cases import ALLOWED, BASKETS, CASES, SHOP
from benchmarks.quality.goals import BASELINES, LIFTED, NONE, SHOP_METRICS, lifts_of, lines, percent, signed
from benchmarks.quality.reports import Lift, Peer, Report
from training.evaluation.evaluating import MODELS

HEAD = """# Quality

Written by `make bench-quality` on {cores} cores ({machine}, Python {python}): what
[`bookmatch evaluate`](evaluation.md) finds on real data with its default flags. Each evaluation is a process of its
own; the commands stand [below](#the-commands). Settings are chosen on validation, as [tuning.md](tuning.md) says, and
nothing is set by hand. `{variable}` names the folder with the data sets, which are not part of this project."""

ABOUT_GOALS = """Goals were set beforehand: *reach* is what has to be met, *stretch* what was hoped for. Published
figures rank all items, as ours do; [where they come from](#where-published-figures-come-from)."""

ABOUT_LIFTS = """How much {metric} rises when models see views, carts and favourites beside purchases: the same
customers and the same test. Intervals are 95 %, paired by customer."""

ABOUT_DIFFERENCES = "The blend minus each other model, with its 95 % interval, paired by customer."

ABOUT_PEER = """`implicit`'s cosine and ALS, each tuned with {trials} trials by recall@20 on the same validation (the
{customers:,} customers that our own trials are judged on), fitted on all of training and scored on the same test with
the same masks and order of equal scores. Fitting them with K = 100, and with 128 factors and 15 iterations, took
{seconds:.2f} s together (median of three); our fit took {ours:.2f} s."""

ABOUT_COSTS = """Seconds of wall-clock time per stage: `fit` is the blend's final fit alone, `score` that of all seven
models and the intervals. Memory is the most that all processes held at once. Where fewer trials were done than planned,
tuning took twice its budget and was stopped: a faster machine may find other settings."""

SOURCES = """- `amazon-book-kgat`: KGAT and KGIN by their authors' training logs; both use a knowledge graph and a GPU.
  Their programs compute NDCG differently; ours has binary gains and the ideal cut at min(20, number of test items).
- `amazon-beauty`: the tables of blondered/transformer_benchmark, HSTU as recalculated there. SASRec with sampled
  softmax and eSASRec are the best we know, trained on a GPU.
- The other data sets have no published figure for this division; their goals are ratios to what is measured beside."""


def page(reports: Mapping[str, Report], peer: Peer | None, peered: str) -> str:
    """The page about the data sets that were measured.

    Parameters
    ----------
    reports : by the names of cases.
    peer : `implicit` on the case `peered`; None when it was not measured.
    """
    lifts = lifts_of(reports)
    head = HEAD.format(
        cores=os.cpu_count(), machine=platform.machine(), python=platform.python_version(), variable=VARIABLE
    )
    lacking = [case.name for case in CASES if case.name not in reports]
    if lacking:
        head += f" Not measured for this page: {', '.join(lacking)}."
    sections = [head, "## Goals", ABOUT_GOALS, goals_table(reports, lifts, peer)]
    if lifts:
        sections += ["## What browsing adds", ABOUT_LIFTS.format(metric=LIFTED), lifts_table(lifts)]
    compared = [name for name in (SHOP, SHOP + ALLOWED, BASKETS) if name in reports]
    if compared:
        sections += ["## Against simple and classic models", ABOUT_DIFFERENCES]
        for name in compared:
            sections += [f"### {name}", differences_table(reports[name])]
    if peer is not None:
        sections += ["## Against implicit, tuned", *_peer_section(peer, reports[peered])]
    sections += ["## All models", "recall@20 / NDCG@20.", models_table(reports)]
    sections += ["## What it took", ABOUT_COSTS, costs_table(reports)]
    commands = "\n".join(case.shown() for case in CASES if case.name in reports)
    sections += ["## The commands", f"```sh\n{commands}\n```", "## Where published figures come from", SOURCES]
    return "\n\n".join(sections) + "\n"


def goals_table(reports: Mapping[str, Report], lifts: Mapping[str, Lift], peer: Peer | None) -> str:
    """Every goal with its verdict."""
    rows = [
        (line.data, line.figure, line.published, line.measured, line.reach, line.stretch, line.verdict)
        for line in lines(reports, lifts, peer)
    ]
    return _table(["data", "figure", "published", "measured", "reach", "stretch", "verdict"], rows)


def lifts_table(lifts: Mapping[str, Lift]) -> str:
    """What further kinds add."""
    rows = [
        (name, f"{found.less:.4f}", f"{found.more:.4f}", signed(found.difference), percent(found.ratio))
        for name, found in lifts.items()
    ]
    return _table(["data", "purchases only", "all kinds", "difference", "as a ratio"], rows)


def differences_table(report: Report) -> str:
    """The blend against each other model of one evaluation; those that goals name come first."""
    others = [name for name in dict.fromkeys((*BASELINES, *MODELS)) if name in report.differences]
    rows = [(name, *(signed(report.differences[name][metric]) for metric in SHOP_METRICS)) for name in others]
    return _table(["blend minus", *SHOP_METRICS], rows)


def models_table(reports: Mapping[str, Report]) -> str:
    """Every model of every evaluation."""
    rows = [(case, *(_both(report.models.get(model)) for model in MODELS)) for case, report in reports.items()]
    return _table(["data", *MODELS], rows)


def costs_table(reports: Mapping[str, Report]) -> str:
    """Sizes, seconds and memory."""
    stages = ("read", "compile", "tune", "fit", "score")
    rows = [
        (
            case,
            *(f"{size:,}" for size in (report.customers, report.test_pairs, report.items)),
            *(f"{report.seconds[stage]:.1f}" for stage in stages),
            f"{report.total_seconds:.1f}",
            f"{report.peak_bytes / 1e6:,.0f}",
            f"{report.trials} of {report.planned_trials}",
        )
        for case, report in reports.items()
    ]
    return _table(["data", "customers", "test items", "candidates", *stages, "all, s", "memory, MB", "trials"], rows)


def _peer_section(peer: Peer, ours: Report) -> list[str]:
    about = ABOUT_PEER.format(
        trials=peer.trials,
        customers=peer.validation_customers,
        seconds=peer.fit_seconds,
        ours=ours.seconds["fit"],
    )
    rows = [("blend", "as tuned by default", NONE, f"{ours.blend('recall@20'):.4f}", f"{ours.blend('ndcg@20'):.4f}")]
    for name, model in peer.models.items():
        settings = ", ".join(f"{key} {value:.4g}" for key, value in model.settings.items())
        found = (f"{model.validation:.4f}", f"{model.test['recall@20']:.4f}", f"{model.test['ndcg@20']:.4f}")
        rows.append((f"implicit {name}", settings, *found))
    return [about, _table(["model", "settings", "recall@20 on validation", "recall@20", "ndcg@20"], rows)]


def _both(metrics: Mapping[str, float] | None) -> str:
    return NONE if metrics is None else f"{metrics['recall@20']:.4f} / {metrics['ndcg@20']:.4f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    marks = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, marks, *rows))
