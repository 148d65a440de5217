"""`bookmatch train`: learn from the store, publish, say what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys.cli.options import DEFAULT_HOME, DEFAULT_TUNE_BUDGET, Home, Json, TuneBudget, available_cores
from recsys.cli.publishing import REFUSED, By, Force, Why, account, forced_by, refresh_facts

if TYPE_CHECKING:
    from rich.console import Console

    from recsys.data.events import EventKind
    from training.outcome import Forced, Retrained
    from training.pipeline import Trained


class RelatedScoreName(StrEnum):
    """`blend`, or as `recsys.models.similarity.SimilarityScore`, which is not loaded before it is needed."""

    BLEND = "blend"
    COSINE = "cosine"
    TFIDF = "tfidf"
    BM25 = "bm25"
    RP3BETA = "rp3beta"
    EXPECTED = "expected"


def train(
    home: Home = DEFAULT_HOME,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Of everything random; the same seed gives the same bundle.")
    ] = 0,
    threads: Annotated[
        int, typer.Option(min=0, help="Cores to use; 0 is all of them. Does not change the result.")
    ] = 0,
    related_score: Annotated[
        RelatedScoreName, typer.Option(help="By what items count as similar on an item's page.")
    ] = RelatedScoreName.BLEND,
    tune_budget: TuneBudget = DEFAULT_TUNE_BUDGET,
    target: Annotated[
        str,
        typer.Option(
            metavar="KIND,…",
            help="The kinds of events that lists predict; purchases, or what comes nearest, by default.",
        ),
    ] = "",
    force: Force = False,
    by: By = "",
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Learn every model from the store, choose settings and weights on a part of it, compare the result with the bundle
    in force, and put it in its place unless it is clearly worse."""
    import platform
    import time
    from contextlib import closing

    from recsys.bundle import BundleRepository
    from recsys.cli.progress import Bars
    from recsys.errors import BookmatchError
    from recsys.models.related import RelatedConfig
    from recsys.models.similarity import SimilarityConfig, SimilarityScore
    from recsys.shop import ShopFolder
    from recsys.shop_lock import shop_in_use
    from recsys.stores import open_store
    from training.fitting import TrainingConfig
    from training.outcome import Outcome
    from training.pipeline import Run
    from training.retraining import When, retrain
    from training.stages import StageLog

    shop, now = ShopFolder(home), int(time.time() * 1000)
    similar = None
    if related_score is not RelatedScoreName.BLEND:
        similar = SimilarityConfig(score=SimilarityScore(related_score))
    config = TrainingConfig(seed=seed, threads=threads or available_cores(), related=RelatedConfig(similar=similar))
    predicted, forced = _predicted(target), forced_by(by, why, force=force)
    with shop_in_use(home), closing(open_store(shop.store, create=False)) as store:
        with Bars(visible=not as_json) as bars:
            done = retrain(
                store,
                BundleRepository(shop.models),
                config,
                Run(
                    target=predicted,
                    budget=tune_budget,
                    scratch=shop.scratch,
                    record=shop.tuning,
                    now=now,
                    host=platform.node(),
                ),
                When(),
                StageLog(bars),
                keep=None,
                forced=forced,
            )
        account(store, done, forced)
        try:
            refresh_facts(store, shop.customer_rules, now)
        except (BookmatchError, OSError) as error:
            # What was learned is in force, and stays so.
            typer.echo(f"warning: customers' facts are as they were: {error}", err=True)
    _show(done, forced, as_json=as_json)
    if done.outcome is Outcome.REFUSED:
        raise typer.Exit(REFUSED)


def _predicted(target: str) -> frozenset[EventKind] | None:
    """The kinds that `--target` names, None where it is empty; InputError for what no list can predict."""
    from recsys.data.signals import EventWeights
    from recsys.errors import InputError
    from training.evaluation.asked import parse_kinds

    if not target:
        return None
    kinds, able = parse_kinds(target, "--target"), EventWeights().kinds
    if not kinds or not kinds <= able.keys():
        raise InputError(f"--target is {target!r}", expected=f"kinds that say what customers want: {', '.join(able)}")
    return kinds


def _show(done: Retrained, forced: Forced | None, *, as_json: bool) -> None:
    from dataclasses import asdict

    import orjson
    from rich.console import Console

    from training.outcome import Outcome

    trained = done.trained
    if trained is None:
        raise ValueError("training without a condition has a result")
    if as_json:
        verdict = done.verdict
        report = {
            "bundle": trained.bundle_id,
            "outcome": done.outcome,
            "before": done.before,
            "refused": list(verdict.refused) if verdict else [],
            "judged": dict(verdict.judged) if verdict else None,
            "forced": asdict(forced) if forced else None,
            "fit_seconds": round(trained.fit_seconds, 2),
            "gate_seconds": round(done.gate_seconds, 2),
            "data": trained.data,
            "tuning": trained.tuning,
            "relevance": trained.relevance,
            "stages": [asdict(c) for c in trained.costs],
        }
        typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
        return
    console = Console()
    _show_costs(trained, console)
    console.print(_tuning_line(trained.tuning), highlight=False)
    console.print(_relevance_line(trained.relevance), highlight=False)
    if done.gate:
        console.print(
            f"the gate took {done.gate_seconds:.1f} s beside {trained.fit_seconds:.1f} s of fitting", highlight=False
        )
    for reason in done.verdict.refused if done.verdict else ():
        console.print(f"the gate refuses it: {reason}", highlight=False, markup=False)
    if done.outcome is Outcome.REFUSED:
        console.print(
            f"bundle {done.before} stays in force; `bookmatch models promote {trained.bundle_id}` would change that, "
            "and so would --force with --by and --why",
            highlight=False,
        )
        return
    by = f", as {forced.by} wants: {forced.why}" if forced else ""
    console.print(f"bundle {trained.bundle_id} is in force{by}", markup=False)


def _show_costs(trained: Trained, console: Console) -> None:
    from rich.table import Table

    data = trained.data
    console.print(
        f"learned from {data['events']:,} events of {data['customers']:,} customers on {data['items']:,} items"
    )
    table = Table("stage", "seconds", "peak memory, MB")
    for column in table.columns[1:]:
        column.justify = "right"
    for cost in trained.costs:
        table.add_row(cost.name, f"{cost.seconds:.2f}", f"{cost.peak_bytes / 1e6:,.0f}")
    total = sum(cost.seconds for cost in trained.costs)
    table.add_section()
    table.add_row("all", f"{total:.2f}", f"{max(cost.peak_bytes for cost in trained.costs) / 1e6:,.0f}")
    console.print(table)


def _tuning_line(tuning: Mapping[str, Any]) -> str:
    """What tuning did, in one line."""
    if tuning["settings"] == "shipped":
        return f"shipped settings: {tuning['cause']}"
    blend, stopped = tuning["blend"], f", stopped {tuning['stopped']}" if tuning["stopped"] else ""
    on = f"{tuning['validation']['customers']:,} validation customers ({tuning['validation']['drawn']})"
    return (
        f"settings tuned on {on} in {tuning['trials']} trials from {tuning['started_from']}{stopped}; "
        f"the weights of the blend raise {tuning['objective']} from {blend['before']:.4f} to {blend['after']:.4f}"
    )


def _relevance_line(relevance: Mapping[str, Any]) -> str:
    """What relevance is the probability of and how good it is, in one line."""
    if "cause" in relevance:
        return f"no relevance: {relevance['cause']}"
    found = relevance["calibration"]["personal"]
    line = f"relevance: {' or '.join(relevance['kinds'])} within {relevance['days']} days"
    if not found["items"]:
        return f"{line}; bought items are too few to tell how well it is calibrated"
    return (
        f"{line}; of {found['items']:,} listed items {found['base_rate']:.2%} were bought, calibration error "
        f"{found['expected_calibration_error']:.4f}"
    )
