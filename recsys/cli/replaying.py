"""`bookmatch evaluate --replay`: what another policy would have brought."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from recsys.cli.given import given, refuse_beside, spelled

if TYPE_CHECKING:
    from rich.console import Console

    from training.stages import StageLog


class RewardName(StrEnum):
    """As `recsys.outcomes.slots.Reward`, which is not loaded before it is needed."""

    CLICK = "click"
    PURCHASE = "purchase"
    REVENUE = "revenue"


Replayed = Annotated[
    str,
    typer.Option(
        "--replay",
        metavar="POLICY",
        help="Score a policy on what customers saw: bundle:ID, placement:NAME, model:NAME, or several with commas.",
    ),
]
Logged = Annotated[
    str, typer.Option(metavar="PLACEMENT", help="With --replay: whose lists were seen; the policy's by default.")
]
RewardKind = Annotated[RewardName, typer.Option(help="With --replay: what is counted of what followed.")]
Clip = Annotated[
    float | None,
    typer.Option(metavar="WEIGHT", help="With --replay: the largest weight; √slots by default.", show_default=False),
]


class Typed(NamedTuple):
    """What was typed for a replay."""

    home: Path
    policy: str
    logged: str
    reward: RewardName
    clip: float | None
    output: Path | None
    seed: int


_OWN = ("logged", "reward", "clip")
_BESIDE = ("replay", *_OWN, "home", "output", "seed", "as_json")


def refuse_without_replay(context: typer.Context) -> None:
    """InputError where an option of replays was typed without `--replay`."""
    from recsys.errors import InputError

    ignored = given(context) & {*_OWN}
    if ignored:
        raise InputError(f"{spelled(context, ignored)} without --replay", expected="--replay POLICY beside it")


def replay_shop(context: typer.Context, typed: Typed, *, as_json: bool) -> None:
    """Runs a replay of a shop and prints it; with a folder it is left there as JSON and Markdown."""
    import orjson
    from rich.console import Console

    from recsys.cli.progress import Bars
    from training.evaluation.replay.markdown import as_markdown
    from training.evaluation.report.folder import METRICS, require_writable, write_files
    from training.stages import StageLog

    refuse_beside(context, "--replay", _BESIDE)
    folder = typed.output
    if folder is not None:
        require_writable(folder)
    with Bars(visible=not as_json) as bars:
        found = _found(typed, StageLog(bars))
    text = orjson.dumps(found, option=orjson.OPT_INDENT_2)
    if folder is not None:
        write_files(folder, {METRICS: text, "replay.md": as_markdown(found).encode()})
    if as_json:
        typer.echo(text.decode())
        return
    print_replay(Console(), found)
    if folder is not None:
        typer.echo(f"the report is in {folder}")


def _found(typed: Typed, stages: StageLog) -> dict[str, Any]:
    from contextlib import closing

    from recsys.bundle import BundleRepository
    from recsys.cli.auditing import now
    from recsys.outcomes.slots import Reward
    from recsys.recommend.placements import PlacementRepository
    from recsys.shop import ShopFolder
    from recsys.stores import open_store
    from serving.http.tokens import RecommendationTokens
    from training.evaluation.replay.policy import PolicyNamed
    from training.evaluation.replay.running import ReplayAsked, replay

    asked = ReplayAsked(
        policy=PolicyNamed.parse(typed.policy),
        logged=typed.logged or None,
        reward=Reward(typed.reward),
        clip=typed.clip,
        now=now(),
        seed=typed.seed,
    )
    shop = ShopFolder(typed.home)
    with closing(open_store(shop.store, create=False, read_only=True)) as store:
        placements = PlacementRepository(shop.placements).current().placements
        tokens = RecommendationTokens(store.secret())
        return replay(store, BundleRepository(shop.models), placements, asked, tokens.verify, stages)


def print_replay(console: Console, found: Mapping[str, Any]) -> None:
    """A replay for people."""
    from rich.table import Table

    from training.evaluation.replay.markdown import headline, rows_of, small_print

    console.print(headline(found), markup=False, highlight=False)
    table = Table("estimate", f"{found['reward']} per slot", "95 % interval", "less what was shown", "95 % interval")
    for row in rows_of(found):
        table.add_row(*row)
    console.print(table)
    for line in small_print(found):
        console.print(line, markup=False, highlight=False)
