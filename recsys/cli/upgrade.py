"""`bookmatch upgrade`: bring a shop to this release, and first say what that would be."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys.cli.options import DEFAULT_HOME, Home, Json

if TYPE_CHECKING:
    from recsys.shop import ShopFolder
    from recsys.stores.embedded import Upgraded

_ROOM = 1.1
"""A little more than what is copied."""


def upgrade(
    home: Home = DEFAULT_HOME,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Upgrade a copy only, and say what was found.")] = False,
    backup: Annotated[
        Path | None,
        typer.Option(metavar="TARGET", help="Where the backup goes; by default into `backups` in the shop's folder."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring the store to this release's version, after a rehearsal on a copy and a backup; say what else is to do."""
    from contextlib import nullcontext

    from recsys.errors import StoreError
    from recsys.shop import ShopFolder
    from recsys.shop_lock import shop_alone

    shop = ShopFolder(home)
    if not shop.store.exists():
        raise StoreError(f"there is no store at {shop.store}", remedy="name the shop's folder with --home")
    with nullcontext() if dry_run else shop_alone(home):
        report = _store(shop, backup, dry_run=dry_run)
    report |= {"bundles": _bundles(shop), "settings": _settings()}
    if as_json:
        import orjson

        typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
        return
    for line in _lines(report):
        typer.echo(line)


def _store(shop: ShopFolder, backup: Path | None, *, dry_run: bool) -> dict[str, Any]:
    from recsys.backup.contents import unfinished
    from recsys.stores.embedded import NEWEST_VERSION, archive_of, read_store_file, rehearse

    version = read_store_file(shop.store).version
    files = [shop.store, *(path for path in archive_of(shop.store).rglob("*") if path.is_file())]
    size = sum(path.stat().st_size for path in files)
    report: dict[str, Any] = {
        "dry_run": dry_run,
        "store": {"version": version, "newest": NEWEST_VERSION, "bytes": size, "upgraded": False},
        "disk": {"needed_bytes": int(size * _ROOM), "free_bytes": shutil.disk_usage(shop.home).free},
    }
    if version == NEWEST_VERSION:
        return report
    _check_room(report["disk"], shop.home)
    with unfinished(shop.home / "upgrade") as folder:
        rehearsed = rehearse(shop.store, folder)
    report["store"] |= _told(rehearsed)
    if not dry_run:
        report["backup"] = str(_upgraded(shop, backup, version))
        report["store"]["upgraded"] = True
    return report


def _upgraded(shop: ShopFolder, backup: Path | None, version: int) -> Path:
    """Takes a backup, upgrades, and accounts for it; where the backup is."""
    from recsys.access.audit import Act
    from recsys.backup import back_up
    from recsys.cli.auditing import audit_command, now
    from recsys.stores.embedded import upgrade as bring_up

    at = now()
    target = backup or shop.home / "backups" / f"before-upgrade-from-{version}-{at}.tar"
    back_up(shop, target, at)
    done = bring_up(shop.store)
    audit_command(shop.home, Act.STORE_UPGRADED, [f"version {version} to {done.after.version}"])
    return target


def _told(rehearsed: Upgraded) -> dict[str, object]:
    return {
        "rows": dict(rehearsed.before.rows),
        "copy_seconds": round(rehearsed.copying, 3),
        "migration_seconds": round(rehearsed.migrating, 3),
        "rehearsed": True,
    }


def _check_room(disk: dict[str, int], home: Path) -> None:
    from recsys.errors import InputError

    if disk["free_bytes"] < disk["needed_bytes"]:
        raise InputError(
            f"{disk['free_bytes'] / 1e6:,.0f} MB are free on the disk of {home}",
            expected=f"{disk['needed_bytes'] / 1e6:,.0f} MB, for a copy of the store",
            remedy="free space there, then try again",
        )


def _bundles(shop: ShopFolder) -> list[dict[str, object]]:
    """Every bundle that this release cannot read."""
    from recsys.bundle import BundleRepository
    from recsys.errors import BundleError

    repository = BundleRepository(shop.models)
    current, found = repository.current_id(), []
    for bundle_id in repository.bundle_ids():
        try:
            repository.manifest(bundle_id)
        except BundleError as error:
            found.append({"bundle": bundle_id, "in_force": bundle_id == current, "cause": str(error)})
    return found


def _settings() -> str | None:
    """Which variable this release does not know or cannot read; None where all is well."""
    from recsys.errors import InputError
    from serving.http.settings import Settings
    from serving.http.settings_file import with_file

    try:
        Settings.from_environment(with_file(os.environ))
    except InputError as error:
        return str(error)
    return None


def _lines(report: dict[str, Any]) -> list[str]:
    store, disk = report["store"], report["disk"]
    if store["version"] == store["newest"]:
        lines = [f"store: of version {store['version']}, the newest; nothing to do"]
    else:
        rows = ", ".join(f"{store['rows'].get(table, 0):,} {table}" for table in ("events", "customers", "items"))
        took = f"{store['migration_seconds']:.1f} s, after {store['copy_seconds']:.1f} s of copying"
        lines = [
            f"store: version {store['version']} → {store['newest']}, {rows} live rows",
            f"  rehearsed on a copy: {took}; nothing was lost",
            f"  disk: {disk['needed_bytes'] / 1e6:,.1f} MB for a copy, {disk['free_bytes'] / 1e6:,.0f} MB are free",
        ]
        lines.append(f"  upgraded; a backup is at {report['backup']}" if store["upgraded"] else "  nothing was changed")
    for bundle in report["bundles"]:
        place = "the one in force" if bundle["in_force"] else "an old one"
        lines.append(f"bundle {bundle['bundle']} ({place}): {bundle['cause']}")
    if any(bundle["in_force"] for bundle in report["bundles"]):
        lines.append("  `bookmatch retrain` makes one that this release can read; until then nothing answers")
    if report["settings"]:
        lines.append(f"settings: {report['settings']}")
    return lines
