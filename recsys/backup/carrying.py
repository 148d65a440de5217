"""What an older backup must not undo: who was forgotten, which keys were revoked, and the audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recsys.errors import StoreError
from recsys.stores import open_store
from recsys.stores.embedded import NEWEST_VERSION, StoreFile, forget_again, read_store_file
from recsys.stores.protocols import Store


@dataclass(frozen=True, slots=True)
class Carried:
    """What still holds after a restore.

    Attributes
    ----------
    forgotten : customers of the backup who were forgotten since, and were removed again.
    foreign : hashes of forgotten ids of another shop's store: they protect nobody who is not in the backup.
    keys : keys that were made or revoked since.
    unreadable : stores whose lists could not be read, and why.
    """

    forgotten: int = 0
    foreign: int = 0
    keys: int = 0
    unreadable: tuple[str, ...] = ()


def carry_over(old: Sequence[Path], new: Path) -> Carried:
    """Applies what the old stores know to the new one, which nobody uses."""
    lists: list[StoreFile] = []
    unreadable = []
    keys = 0
    for path in old:
        try:
            file = read_store_file(path)
            if file.version == NEWEST_VERSION:
                keys += _keys_and_audit(path, new)
        except StoreError as error:
            unreadable.append(str(error))
            continue
        lists.append(file)
    forgotten, foreign = forget_again(new, [(file.secret, file.forgotten) for file in lists])
    return Carried(forgotten, foreign, keys, tuple(unreadable))


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
