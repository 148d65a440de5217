"""`bookmatch retrain`: for a clock to run. Trains when there is reason to, and never puts what is worse in force."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from recsys.cli.options import DEFAULT_HOME, DEFAULT_TUNE_BUDGET, Home, TuneBudget, available_cores
from recsys.cli.publishing import By, Force, Why, account, forced_by, refresh_facts

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.errors import BookmatchError
    from recsys.stores.protocols import Store
    from training.outcome import Forced
    from training.retraining import When

DEFAULT_KEEP = 5
_AGE = re.compile(r"(\d{1,5})([mhd])")
_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


class ExitCode(IntEnum):
    """What a scheduler learns from the exit code; docs/operations.md explains each."""

    PUBLISHED = 0
    FAILED = 1
    NOTHING_NEW = 3
    REFUSED = 4
    LOCKED = 5
    TOO_LITTLE = 6


def retrain(
    home: Home = DEFAULT_HOME,
    if_newer_events: Annotated[
        int | None,
        typer.Option(
            "--if-newer-events", min=1, metavar="N", help="Train when so many events came since the last time."
        ),
    ] = None,
    max_age: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Train when the bundle in force is older: 90m, 12h, 7d."),
    ] = None,
    keep: Annotated[
        int, typer.Option(min=1, metavar="N", help="So many bundles stay, to roll back to.")
    ] = DEFAULT_KEEP,
    low_priority: Annotated[
        bool, typer.Option("--low-priority", help="Compute and use the disk when nobody else wants to.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of everything random.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="Cores to use; 0 is all of them.")] = 0,
    tune_budget: TuneBudget = DEFAULT_TUNE_BUDGET,
    force: Force = False,
    by: By = "",
    why: Why = "",
) -> None:
    """Train when there is something new, compare with the bundle in force, and publish what is not clearly worse."""
    from recsys.errors import BookmatchError, NotEnoughDataError
    from recsys.shop_lock import ShopReplacedError
    from training.checkpoints import TrainingUnderWayError

    when, forced = _when(if_newer_events, max_age), forced_by(by, why, force=force)
    if low_priority:
        from recsys.cli.priority import give_way

        give_way()
    try:
        report = _run(home, when, forced, seed, threads or available_cores(), tune_budget, keep)
    except (TrainingUnderWayError, ShopReplacedError) as error:
        _end_with("locked", ExitCode.LOCKED, error)
    except NotEnoughDataError as error:
        _end_with("too_little", ExitCode.TOO_LITTLE, error)
    except (BookmatchError, OSError) as error:
        _end_with("failed", ExitCode.FAILED, error)
    _end(report, ExitCode[report["outcome"].upper()])


def _run(
    home: Path, when: When, forced: Forced | None, seed: int, threads: int, budget: float, keep: int
) -> dict[str, Any]:
    import platform
    from contextlib import closing

    from recsys.bundle import BundleRepository
    from recsys.cli.auditing import now
    from recsys.cli.progress import Bars
    from recsys.recommend.placements import PlacementRepository
    from recsys.shop import ShopFolder
    from recsys.shop_lock import shop_in_use
    from recsys.stores import open_store
    from training import retraining_report
    from training.fitting import TrainingConfig
    from training.outcome import Outcome
    from training.pipeline import Run
    from training.retraining import retrain as train_again
    from training.stages import StageLog

    shop, at = ShopFolder(home), now()
    repository = BundleRepository(shop.models)
    run = Run(None, budget, shop.scratch, shop.tuning, at, platform.node())
    with shop_in_use(home), closing(open_store(shop.store, create=False)) as store:
        with Bars(visible=sys.stderr.isatty()) as bars:
            config = TrainingConfig(seed=seed, threads=threads)
            used = PlacementRepository(shop.placements).current().bundles
            done = train_again(
                store, repository, config, run, when, StageLog(bars), keep=keep, used=used, forced=forced
            )
        report = retraining_report.as_json(done, at, forced)
        # What is in force is so whatever fails from here on: nobody must be told that the bundle before stayed.
        with _noted(report, "the audit has no line"):
            account(store, done, forced)
        if done.outcome is not Outcome.NOTHING_NEW or _are_old(store, at):
            with _noted(report, "customers' facts are as they were"):
                report["facts"] = refresh_facts(store, shop.customer_rules, at)
        if done.outcome is not Outcome.NOTHING_NEW:
            with _noted(report, "there is no report"):
                report["report"] = str(retraining_report.write(repository.reports, report))
    typer.echo(retraining_report.paragraph(report))
    return report


def _are_old(store: Store, at: int) -> bool:
    """Whether customers' facts are of another day, or of none: they count days, whether or not anybody did anything."""
    from recsys.customers.kept import refreshed_as_of

    before = refreshed_as_of(store)
    return before is None or at - before >= _MS["d"]


@contextmanager
def _noted(report: dict[str, Any], what: str) -> Iterator[None]:
    """Says what could not be kept, in the report and to people, and goes on."""
    from recsys.errors import InputError, StoreError

    try:
        yield
    except (StoreError, OSError, InputError) as error:
        report.setdefault("trouble", []).append(f"{what}: {error}")
        typer.echo(f"warning: {what}: {error}", err=True)


def _when(newer_events: int | None, max_age: str | None) -> When:
    from training.retraining import When

    if max_age is None:
        return When(newer_events=newer_events)
    read = _AGE.fullmatch(max_age)
    if read is None:
        raise typer.BadParameter(f"--max-age is {max_age!r}; expected a whole number of m, h or d, such as 12h or 7d")
    return When(newer_events=newer_events, max_age=int(read[1]) * _MS[read[2]])


def _end_with(outcome: str, code: ExitCode, error: BookmatchError | OSError) -> NoReturn:
    """Tells an error, for people and for programs."""
    typer.echo(f"error: {error}", err=True)
    _end({"outcome": outcome, "error": str(error), "bundle": None, "before": None}, code)


def _end(report: dict[str, Any], code: ExitCode) -> NoReturn:
    """One line of JSON, the last one, and the exit code."""
    import orjson

    left_out = {"data", "tuning", "relevance", "stages", "gate_stages", "judged"}
    line = {name: value for name, value in report.items() if name not in left_out}
    typer.echo(orjson.dumps(line | {"exit_code": int(code)}).decode())
    raise typer.Exit(int(code))
