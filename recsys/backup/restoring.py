"""From a backup to a shop that can be served."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from recsys.backup.carrying import Carried, carry_over
from recsys.backup.contents import ARCHIVE, MODELS, PLACEMENTS, STORE, Backup, unfinished, unpack
from recsys.bundle.repository import CURRENT
from recsys.durable import file_sha256, sync
from recsys.errors import InputError
from recsys.shop import ShopFolder
from recsys.shop_lock import shop_alone
from recsys.stores import open_store
from recsys.stores.embedded import archive_of, check_store_file, read_store_file, settle_log


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, and what of the store that was replaced, or of another one, still holds in it."""

    backup: Backup
    carried: Carried


def check_backup(source: Path, scratch: Path) -> Backup:
    """Reads a whole backup, without restoring it; what is checked lies in a folder beside `scratch` meanwhile.

    Raises InputError and StoreError as `restore` does.
    """
    with unfinished(scratch) as folder:
        return _checked(source, folder)


def restore(source: Path, shop: ShopFolder, forgotten_in: Path | None = None, *, force: bool = False) -> Restored:
    """Puts a backup's store, placements and models in the place of the shop's. It is checked to the last byte before
    anything is touched; a process that is killed leaves the old store or the new one.

    Whoever was forgotten since the backup is forgotten again, keys stay as they are now and the audit goes on: as the
    store that is replaced says, and another one at `forgotten_in`.

    Raises InputError when somebody uses the shop, when there is a store and not `force`, when nothing is at
    `forgotten_in`, or for a backup that is damaged; StoreError for a store of a newer release, and when the one at
    `forgotten_in` cannot be read.
    """
    if forgotten_in is not None and not forgotten_in.is_file():
        raise InputError(
            f"there is no store at {forgotten_in}",
            expected="with --forgotten-in a file like store.db of a shop or of a later backup",
            remedy="correct the path; nothing was restored",
        )
    with shop_alone(shop.home):
        if shop.store.exists() and not force:
            raise InputError(
                f"there is a store at {shop.store}",
                expected="a shop without one",
                remedy="name another --home, or replace it with --force",
            )
        with unfinished(shop.home / "restore") as folder:
            backup = _checked(source, folder)
            # Brings it to this release's version, and shows that it can be served.
            open_store(folder / STORE, create=False).close()
            (folder / "others").mkdir()
            carried = carry_over(shop.store, forgotten_in, folder / STORE, folder / "others")
            _swap_store(folder, shop.store)
            _swap_placements(folder / PLACEMENTS, shop.home / PLACEMENTS)
            _add_models(folder / MODELS, shop.models)
    return Restored(backup, carried)


def _checked(source: Path, folder: Path) -> Backup:
    if not source.exists():
        raise InputError(f"there is no backup at {source}", expected="a folder or a file of `bookmatch backup`")
    unpack(source, folder)
    backup = Backup.read(folder)
    backup.check(folder)
    check_store_file(folder / STORE)
    read_store_file(folder / STORE, untouched=True)
    return backup


def _swap_store(folder: Path, target: Path) -> None:
    """First the new partitions, whose names nobody else has; then the file, in one step; then the old partitions go."""
    store, archive = folder / STORE, archive_of(target)
    new = read_store_file(store).partitions.keys()
    settle_log(store)
    archive.mkdir(exist_ok=True)
    for name in new:
        there = archive / name
        if there.exists() and _same(there, folder / ARCHIVE / name):
            continue
        if there.exists():
            # Of the same name is of the same content: it was damaged, and what was checked takes its place.
            there.rename(folder / f"replaced-{name}")
        (folder / ARCHIVE / name).rename(there)
    sync(archive)
    if target.exists():
        settle_log(target)
    store.replace(target)
    sync(target.parent)
    for path in archive.iterdir():
        if path.name not in new:
            shutil.rmtree(path, ignore_errors=True)


def _same(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files."""
    hashes = [{path.name: file_sha256(path) for path in folder.iterdir()} for folder in (one, other)]
    return hashes[0] == hashes[1]


def _swap_placements(source: Path, target: Path) -> None:
    """Versions that the shop has stay: their numbers only grow."""
    if source.is_dir() and not target.exists():
        source.rename(target)
        sync(target.parent)


def _add_models(source: Path, target: Path) -> None:
    """The bundle comes beside those that are there; it is in force where none was."""
    if not source.is_dir():
        return
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if not (target / path.name).exists() and path.name != CURRENT:
            path.rename(target / path.name)
    sync(target)
    if not (target / CURRENT).exists():
        (source / CURRENT).rename(target / CURRENT)
        sync(target)
