"""Who uses a shop's folder: many at a time, or one alone that replaces what is in it.

The locks are the system's (flock): they end with the process that holds them, however it ends.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

from recsys.errors import InputError, StoreUnavailableError
from recsys.shop import ShopFolder

_LOCK = ".in-use"
_SENDING = ".sending"


class ShopReplacedError(StoreUnavailableError):
    """Somebody replaces what is in the shop."""


def use_shop(home: Path) -> IO[str]:
    """Says that this process uses the shop, until the file that this returns is closed or the process ends.

    Raises ShopReplacedError while somebody replaces what is in the shop, StoreUnavailableError when its folder cannot
    be written.
    """
    lock = _opened(home)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ShopReplacedError(
            f"the shop in {home} is being restored or upgraded", remedy="start again when that has ended"
        ) from None
    return lock


@contextmanager
def shop_in_use(home: Path) -> Iterator[None]:
    """The same for a block; a folder without a store is in nobody's use, and stays as it is."""
    with use_shop(home) if ShopFolder(home).store.exists() else nullcontext():
        yield


@contextmanager
def shop_alone(home: Path) -> Iterator[None]:
    """Nobody else uses the shop meanwhile; InputError when somebody does."""
    home.mkdir(parents=True, exist_ok=True)
    in_use = InputError(
        f"the shop in {home} is in use",
        expected="that nothing serves it, trains for it or imports into it",
        remedy="stop `bookmatch serve` and whatever else runs there, then try again",
    )
    with _alone(home, _LOCK, in_use):
        yield


@contextmanager
def sending_alone(home: Path) -> Iterator[None]:
    """Nobody else sends mails of the shop meanwhile; InputError when somebody does."""
    sending = InputError(
        f"mails of the shop in {home} are being sent by another process",
        expected="one at a time, so that no mail goes out twice and no cap is passed",
        remedy="wait for it to end, then send again: what it sent is not sent again",
    )
    with _alone(home, _SENDING, sending):
        yield


@contextmanager
def _alone(home: Path, name: str, busy: InputError) -> Iterator[None]:
    """The lock for this process alone; `busy` when another has it."""
    with _opened(home, name) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        yield


def _opened(home: Path, name: str = _LOCK) -> IO[str]:
    try:
        return (home / name).open("a")
    except OSError as error:
        raise StoreUnavailableError(
            f"the shop's folder {home} cannot be written: {error}", remedy="name a folder that this user may write"
        ) from error
