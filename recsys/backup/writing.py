"""From a shop that is in use to a backup."""

from __future__ import annotations

import shutil
from pathlib import Path

from recsys import __version__
from recsys.backup.contents import (
    ARCHIVE,
    EMAIL,
    FORMAT,
    MANIFEST,
    MODELS,
    PLACEMENTS,
    STORE,
    TAR,
    Backup,
    File,
    copied,
    pack,
    unfinished,
)
from recsys.bundle.repository import CURRENT, BundleRepository
from recsys.durable import file_sha256, sync, write_file
from recsys.errors import BundleError, InputError, StoreError
from recsys.shop import ShopFolder
from recsys.stores.embedded import StoreFile, archive_of, check_store_file, copy_store, read_store_file

MOST_ATTEMPTS = 5
"""A customer who is forgotten meanwhile takes old partitions away, and the copy begins anew; so often at most."""

Files = dict[str, File]


def back_up(shop: ShopFolder, target: Path, now: int, *, models: bool = False) -> Backup:
    """Copies the store with its archive, the placements, what sending mails needs, and with `models` the bundle in
    force, while all of them are in use. Everything that was acknowledged before is in it. The copy is read back before
    it gets its name.

    `target` is a new folder, or a new file when its name ends with `.tar`. Raises InputError for a target that is there
    or cannot be written, StoreError for a store that cannot be read.
    """
    if target.exists():
        raise InputError(f"{target} is there already", expected="a new file or folder", remedy="name another")
    if not shop.store.exists():
        raise StoreError(f"there is no store at {shop.store}", remedy="name the shop's folder with --home")
    try:
        with unfinished(target) as folder:
            whole = folder / "backup"
            whole.mkdir(mode=0o700)
            backup = _written(shop, whole, now, models=models)
            done = whole
            if target.suffix == TAR:
                done = folder / "backup.tar"
                pack(whole, done)
            done.rename(target)
            sync(target.parent)
    except OSError as error:
        raise InputError(
            f"the backup {target} cannot be written: {error}",
            expected="a folder with room that this user may write",
            remedy="free space there or name another place; nothing was left behind",
        ) from error
    return backup


def _written(shop: ShopFolder, folder: Path, now: int, *, models: bool) -> Backup:
    store, files = _store(shop.store, folder)
    if (shop.home / PLACEMENTS).is_dir():
        files |= _tree(shop.home / PLACEMENTS, folder, PLACEMENTS)
    if shop.email.is_dir():
        files |= _tree(shop.email, folder, EMAIL)
    if models:
        files |= _bundle_in_force(shop.models, folder)
    backup = Backup(
        format=FORMAT, software=__version__, at=now, store_version=store.version, rows=dict(store.rows), files=files
    )
    for path in folder.rglob("*"):
        if path.is_dir():
            sync(path)
    write_file(folder / MANIFEST, backup.to_json())
    sync(folder)
    backup.check(folder)
    check_store_file(folder / STORE)
    return backup


def _store(source: Path, folder: Path) -> tuple[StoreFile, Files]:
    """Copies one state of the store: its file, and then the partitions that this file names, which never change."""
    target = folder / STORE
    files: Files = {}
    for attempt in range(MOST_ATTEMPTS):
        target.unlink(missing_ok=True)
        copy_store(source, target)
        store = read_store_file(target, untouched=True)
        files = {name: file for name, file in files.items() if name.split("/")[1] in store.partitions}
        for stale in (folder / ARCHIVE).glob("*"):
            if stale.name not in store.partitions:
                shutil.rmtree(stale)
        try:
            for name in store.partitions:
                if not (folder / ARCHIVE / name).exists():
                    files |= _tree(archive_of(source) / name, folder, f"{ARCHIVE}/{name}")
            break
        except FileNotFoundError as error:
            # Written anew without somebody who was forgotten; the store names another one now, or it is damaged.
            shutil.rmtree(folder / ARCHIVE / name)
            files = {known: file for known, file in files.items() if not known.startswith(f"{ARCHIVE}/{name}/")}
            if attempt == MOST_ATTEMPTS - 1:
                raise StoreError(f"the store's archive is damaged: {error}") from error
    _check_sizes(store, files)
    return store, {STORE: File(target.stat().st_size, file_sha256(target))} | files


def _check_sizes(store: StoreFile, files: Files) -> None:
    for folder, details in store.partitions.items():
        for name, size in details["files"].items():
            found = files.get(f"{ARCHIVE}/{folder}/{name}")
            if found is None or found.bytes != size:
                raise StoreError(
                    f"the store's archive is damaged: {folder}/{name} "
                    + ("is missing" if found is None else f"has {found.bytes:,} bytes"),
                    expected=f"a file of {size:,} bytes",
                )


def _tree(source: Path, folder: Path, name: str) -> Files:
    """Copies a folder's files to `name` in the backup. Raises FileNotFoundError when it goes away meanwhile."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    if not source.is_dir():
        raise FileNotFoundError(f"{source} is missing")
    files = {}
    # What stands on top names what lies below: first it, then what was there when it was read.
    for path in sorted(source.rglob("*"), key=lambda path: (len(path.parts), path)):
        inside = path.relative_to(source)
        # What begins with a dot is a lock, or not finished.
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            files[f"{name}/{inside.as_posix()}"] = copied(path, folder / name / inside)
    return files


def _bundle_in_force(models: Path, folder: Path) -> Files:
    current = BundleRepository(models).current_id()
    if current is None:
        raise BundleError(f"there is no model in {models}", remedy="leave --models away, or train one first")
    files = {f"{MODELS}/{CURRENT}": copied(models / CURRENT, folder / MODELS / CURRENT)}
    return files | _tree(models / current, folder, f"{MODELS}/{current}")
