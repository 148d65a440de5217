"""From a backup to a shop that can be served."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from recsys.backup.carrying import Carried, carry_over
from recsys.backup.contents import ARCHIVE, EMAIL, MODELS, PLACEMENTS, STORE, Backup, unfinished, unpack
from recsys.bundle.repository import CURRENT
from recsys.durable import file_sha256, replace_file, sync
from recsys.errors import InputError
from recsys.shop import ShopFolder
from recsys.shop_lock import shop_alone
from recsys.stores import open_store
from recsys.stores.embedded import archive_of, check_store_file, read_store_file, settle_log
from recsys.stores.ledger import MailState, Move
from recsys.stores.protocols import Store


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, and what of the store that was replaced, or of another one, still holds in it."""

    backup: Backup
    carried: Carried


def check_backup(source: Path, places: Sequence[Path]) -> Backup:
    """Reads a whole backup, without restoring it; a copy that is checked lies in the first of these folders that may be
    written meanwhile.

    Raises InputError and StoreError as `restore` does; InputError where no copy can be written.
    """
    with ExitStack() as stack:
        refused = []
        for place in places:
            try:
                folder = stack.enter_context(unfinished(place / f"{source.name}.check"))
            except OSError as error:
                refused.append(str(error))
                continue
            return _checked(source, folder)
    raise InputError(
        f"the backup {source} is checked in a copy, and nowhere one can be written: {'; '.join(refused)}",
        remedy="name a folder with room for a copy in TMPDIR",
    )


def restore(
    source: Path,
    shop: ShopFolder,
    forgotten_in: Path | None = None,
    account: Callable[[Store], None] | None = None,
    *,
    force: bool = False,
) -> Restored:
    """Puts a backup's store, placements and models in the place of the shop's. It is checked to the last byte before
    anything is touched; a process that is killed leaves the old store or the new one.

    Whoever was forgotten since the backup is forgotten again, what customers said about being written to since counts,
    what was mailed since stays in the ledger, keys stay as they are now and the audit goes on: as the store that is
    replaced says, and another one at `forgotten_in`. `account` leaves its line in the audit of the store that is put
    back: who has the one has the other, whenever the process is killed.

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
            _doubt_mails(folder / STORE)
            if account is not None:
                with closing(open_store(folder / STORE, create=False)) as store:
                    account(store)
            _swap_store(folder, shop.store)
            _swap_placements(folder / PLACEMENTS, shop.home / PLACEMENTS)
            _add_email(folder / EMAIL, shop.email)
            _add_models(folder / MODELS, shop.models)
    return Restored(backup, carried)


KEYS = "unsubscribe.keys"
"""As `serving.email.unsubscribe` names it."""

_RESTORED = "a backup from before was restored: it may have been sent since"


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


def _doubt_mails(path: Path) -> None:
    """What waited when the backup was made may have been sent since: it is uncertain, and nothing sends it unasked."""
    with closing(open_store(path, create=False)) as store, store.transaction():
        for mailing in store.ledger.mailings():
            rows = store.ledger.rows(mailing.name, [MailState.WAITING, MailState.SENDING])
            waiting = rows.filter(state=str(MailState.WAITING))["customer_id"].to_list()
            at = max(rows["at"].to_list(), default=0)
            store.ledger.move(mailing.name, [Move(each, MailState.SENDING) for each in waiting], at)
            doubts = [Move(each, MailState.UNCERTAIN, _RESTORED) for each in rows["customer_id"].to_list()]
            store.ledger.move(mailing.name, doubts, at)


def _add_email(source: Path, target: Path) -> None:
    """What the shop has stays; of the keys of links in mails none is lost, on either side."""
    if not source.is_dir():
        return
    target.mkdir(parents=True, exist_ok=True)
    own, old = target / KEYS, source / KEYS
    if own.exists() and old.exists():
        replace_file(own, b"".join(f"{line}\n".encode() for line in _merged(old, own)))
        own.chmod(0o600)
    for path in sorted(source.rglob("*")):
        there = target / path.relative_to(source)
        if path.is_file() and not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            path.rename(there)
    sync(target)


def _merged(old: Path, own: Path) -> list[str]:
    """The shop's newest key stays last: it signs."""
    lines = own.read_text().split()
    return [*(line for line in old.read_text().split() if line not in lines), *lines]


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
