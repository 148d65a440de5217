"""What `train` and `retrain` share: who overrules the gate, and what the audit has of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.stores.protocols import Store
    from training.outcome import Forced, Retrained

REFUSED = 4
"""The exit code of a bundle that the gate refused."""

Force = Annotated[bool, typer.Option("--force", help="Publish although the gate refuses; needs --by, --why.")]
By = Annotated[str, typer.Option(metavar="NAME", help="With --force: who wants it.")]
Why = Annotated[str, typer.Option(metavar="TEXT", help="With --force: for what reason.")]


def forced_by(by: str, why: str, *, force: bool) -> Forced | None:
    """Who overrules the gate; BadParameter where name or reason is missing, or given for nothing."""
    from training.outcome import Forced

    if force != bool(by.strip() and why.strip()) or ((by or why) and not force):
        raise typer.BadParameter(
            "--force, --by and --why belong together: who publishes what the gate refuses, and why"
        )
    return Forced(by.strip(), why.strip()) if force else None


def refresh_facts(store: Store, rules: Path, at: int) -> int:
    """Keeps customers' facts as of now (milliseconds UTC), by the shop's rules if it has any; of how many customers."""
    from recsys.customers import rules_in
    from recsys.customers.kept import refresh

    return refresh(store, at, rules_in(rules)).kept


def account(store: Store, done: Retrained, forced: Forced | None) -> None:
    """Leaves lines in the audit for what was published and what was removed."""
    from recsys.access.audit import DONE, Act, audit
    from recsys.cli.auditing import now, whoever_runs_this
    from training.outcome import Outcome

    if done.outcome is Outcome.PUBLISHED and done.trained is not None:
        overruled = forced is not None and done.verdict is not None and not done.verdict.admits
        result = f"forced by {forced.by}: {forced.why}" if overruled and forced is not None else DONE
        audit(store, Act.BUNDLE_PUBLISHED, [done.trained.bundle_id], whoever_runs_this(), now(), result)
    if done.removed:
        audit(store, Act.BUNDLES_PRUNED, done.removed, whoever_runs_this(), now())
