"""`bookmatch backup` and `bookmatch restore`: a copy of a shop that is in use, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsys.cli.options import DEFAULT_HOME, Home, Json

if TYPE_CHECKING:
    from recsys.backup import Backup
    from recsys.backup.carrying import Carried
    from recsys.stores.protocols import Store


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="A new folder, or a new file when its name ends with .tar.")
    ],
    home: Home = DEFAULT_HOME,
    models: Annotated[bool, typer.Option("--models", help="Copy the model in force, too.")] = False,
    as_json: Json = False,
) -> None:
    """Copy the store, its archive and the placements while they are in use, and read the copy back."""
    from recsys.access.audit import Act
    from recsys.backup import back_up
    from recsys.cli.auditing import audit_command, now
    from recsys.shop import ShopFolder
    from recsys.stores.embedded import NEWEST_VERSION

    made = back_up(ShopFolder(home), target, now(), models=models)
    # To write into a store of an older version would upgrade it, which is for whoever takes a backup first to say.
    if made.store_version == NEWEST_VERSION:
        audit_command(home, Act.STORE_BACKED_UP, [target.name])
    if as_json:
        _print({"backup": str(target), **_told(made)})
        return
    typer.echo(f"{target}: {_counted(made)}; read back and found as it was written")


def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="What `bookmatch backup` wrote.")],
    home: Home = DEFAULT_HOME,
    force: Annotated[bool, typer.Option("--force", help="Replace the store that is there.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only read the backup and say whether it is good.")] = False,
    forgotten_in: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="A newer store.db whose forgotten customers are to be forgotten here, too."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a backup in the place of the shop's store. Nothing may use the shop meanwhile."""
    import tempfile

    from recsys.access.audit import Act
    from recsys.backup import restore as put_back
    from recsys.backup.restoring import check_backup
    from recsys.cli.auditing import audit_in
    from recsys.shop import ShopFolder

    if check:
        good = check_backup(source, [source.parent, Path(tempfile.gettempdir())])
        if as_json:
            _print({"backup": str(source), "restored": False, **_told(good)})
        else:
            typer.echo(f"{source} is good: {_counted(good)}")
        return

    def account(store: Store) -> None:
        audit_in(store, Act.STORE_RESTORED, [source.name])

    done = put_back(source, ShopFolder(home), forgotten_in, account, force=force)
    if as_json:
        carried = {name: getattr(done.carried, name) for name in _CARRIED}
        _print({"backup": str(source), "restored": True, **_told(done.backup), "carried_over": carried})
        return
    typer.echo(f"restored {source}: {_counted(done.backup)}")
    for line in _carried(done.carried):
        typer.echo(line)


_CARRIED = ("forgotten", "foreign", "keys", "statements", "mails", "unreadable")


def _carried(carried: Carried) -> list[str]:
    """What else was done, and what has to be done by hand."""
    lines = []
    if carried.forgotten:
        lines.append(f"{carried.forgotten:,} customers who were forgotten since are forgotten again")
    if carried.keys:
        lines.append(f"{carried.keys:,} keys are as they were before the restore")
    if carried.statements:
        lines.append(f"{carried.statements:,} statements of consent that were made since are kept")
    if carried.mails:
        lines.append(f"{carried.mails:,} rows of mailings are as they were before the restore, or uncertain")
    if carried.foreign:
        lines.append(f"{carried.foreign:,} hashes of forgotten ids are another shop's and were not kept")
    lines += [
        f"warning: {cause} So nobody knows who was forgotten and which keys were revoked since the backup: forget them "
        "again, from your receipts, and revoke the keys again, before you serve"
        for cause in carried.unreadable
    ]
    return lines


def _told(made: Backup) -> dict[str, object]:
    return {
        "at": made.at,
        "software": made.software,
        "store_version": made.store_version,
        "rows": dict(made.rows),
        "files": len(made.files),
        "bytes": made.size,
    }


def _counted(made: Backup) -> str:
    from recsys.cli.text import utc

    rows = ", ".join(f"{made.rows.get(table, 0):,} {table}" for table in ("customers", "items"))
    return f"the shop of {utc(made.at)} UTC, {rows}, {len(made.files):,} files of {made.size / 1e6:,.1f} MB"


def _print(document: dict[str, object]) -> None:
    import orjson

    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
