"""What an older backup must not undo: who was forgotten, what was refused and mailed, which keys were revoked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recsys.errors import StoreError
from recsys.stores import open_store
from recsys.stores.embedded import (
    NEWEST_VERSION,
    StoreFile,
    archive_of,
    carry_on,
    copy_store,
    forget_again,
    read_store_file,
)
from recsys.stores.protocols import Store


@dataclass(frozen=True, slots=True)
class Carried:
    """What still holds after a restore.

    Attributes
    ----------
    forgotten : customers of the backup who were forgotten since, and were removed again.
    foreign : hashes of forgotten ids of another shop's store: they protect nobody who is not in the backup.
    keys : keys that were made or revoked since.
    statements : of consent, made since: who left a mailing list does not come back onto it.
    mails : rows of mailings that the replaced store had: nothing of them is sent a second time.
    unreadable : why nobody knows what the replaced store knew, where nobody does.
    """

    forgotten: int = 0
    foreign: int = 0
    keys: int = 0
    statements: int = 0
    mails: int = 0
    unreadable: tuple[str, ...] = ()


def carry_over(replaced: Path, named: Path | None, new: Path, scratch: Path) -> Carried:
    """Applies to the store at `new`, which nobody uses, what the replaced one knows and another that somebody named.

    `scratch` is an empty folder. Raises StoreError when the one that was named cannot be read.
    """
    lists: list[StoreFile] = []
    unreadable: list[str] = []
    keys, since = 0, []
    if replaced.exists():
        try:
            if read_store_file(replaced).version < NEWEST_VERSION:
                replaced = _of_this_release(replaced, scratch / "replaced")
            keys += _keys_and_audit(replaced, new)
            since.append(carry_on(replaced, new))
            lists.append(read_store_file(replaced))
        except StoreError as error:
            unreadable.append(str(error))
    elif named is None:
        unreadable.append(f"there was no store at {replaced}.")
    if named is not None:
        there = _of_this_release(named, scratch / "named")
        keys += _keys_and_audit(there, new)
        since.append(carry_on(there, new))
        lists.append(read_store_file(there))
    forgotten, foreign = forget_again(new, [(file.secret, file.forgotten) for file in lists])
    statements, mails = sum(each.statements for each in since), sum(each.mails for each in since)
    return Carried(forgotten, foreign, keys, statements, mails, tuple(unreadable))


def _of_this_release(store: Path, folder: Path) -> Path:
    """A copy of a store, brought to this release's version. A store in a backup stays as it is, and alone in its place.

    Raises StoreError.
    """
    folder.mkdir()
    copy = folder / store.name
    copy_store(store, copy, untouched=not store.with_name(f"{store.name}-wal").exists())
    read_store_file(copy)  # A new file for what is none would be made into a store.
    if archive_of(store).is_dir():
        archive_of(copy).symlink_to(archive_of(store).absolute())
    open_store(copy, create=False).close()
    return copy


def _keys_and_audit(old: Path, new: Path) -> int:
    """How many keys of the old store were not in the new one as they are now."""
    before, after = open_store(old, create=False, read_only=True), open_store(new, create=False)
    try:
        with after.transaction():
            _audit(before, after)
            return _keys(before, after)
    finally:
        before.close()
        after.close()


def _keys(before: Store, after: Store) -> int:
    known, changed = {key.key_id: key for key in after.keys.all()}, 0
    for key in before.keys.all():
        there = known.get(key.key_id)
        if there is None:
            after.keys.add(key)
        elif there != key:
            if key.expires is not None:
                after.keys.expire(key.key_id, key.expires)
            if key.revoked is not None:
                after.keys.revoke(key.key_id, key.revoked)
        changed += there != key
    return changed


def _audit(before: Store, after: Store) -> None:
    """Lines are only ever added, so of the same shop the shorter list is the beginning of the longer one."""
    lines, there = before.audit.read(), after.audit.read()
    for line in lines[len(there) :] if list(lines[: len(there)]) == list(there) else ():
        after.audit.append(line)
