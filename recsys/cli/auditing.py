"""What a command leaves in the audit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.access.audit import Act, Actor
    from recsys.stores.protocols import Store


def now() -> int:
    """This moment, milliseconds UTC."""
    import time

    return time.time_ns() // 1_000_000


def whoever_runs_this() -> Actor:
    """The user of the machine, by name where the machine knows one."""
    import getpass
    import os

    from recsys.access.audit import Actor

    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # A container may run under a number that has no name.
        name = str(os.getuid())
    return Actor(f"user:{name}")


def audit_command(home: Path, act: Act, subjects: Sequence[str]) -> None:
    """Writes one line about what a command has just done to the shop in `home`. Raises StoreError."""
    from recsys.shop import ShopFolder
    from recsys.stores import open_store

    store = open_store(ShopFolder(home).store, create=False)
    try:
        audit_in(store, act, subjects)
    finally:
        store.close()


def audit_in(store: Store, act: Act, subjects: Sequence[str]) -> None:
    """The same, in a store that is open, with the transaction that is open in it."""
    from recsys.access.audit import audit

    audit(store, act, subjects, whoever_runs_this(), now())
