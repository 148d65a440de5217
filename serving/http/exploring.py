"""What a worker believes of new items: read again every few seconds, in a thread, while anything explores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from recsys.bundle.bundle import ModelBundle
from recsys.errors import StoreError
from recsys.recommend.exploration.following import Followed, follow
from recsys.stores.protocols import Store
from serving.http.background import Background
from serving.http.store_handle import Origin, file_identity, reading

log = structlog.get_logger("bookmatch.serving")

REFRESH_SECONDS = 30.0
"""How old beliefs are, at most, while the store answers."""


class Explorer:
    """Keeps beliefs up to date. Read on the event loop's thread, made in another.

    Parameters
    ----------
    store_path : where events and catalogue are; each reading has a connection of its own.
    bundle : the one that answers, or None while none does.
    wanted : whether any placement explores; nothing is read while none does.
    now : milliseconds UTC.
    background : where it is read.
    """

    def __init__(
        self,
        store_path: Path,
        bundle: Callable[[], ModelBundle | None],
        wanted: Callable[[], bool],
        now: Callable[[], int],
        background: Background,
    ) -> None:
        self._store_path = store_path
        self._bundle = bundle
        self._wanted = wanted
        self._now = now
        self._background = background
        self._followed: tuple[Origin, Followed] | None = None
        self.trouble: str | None = None
        """Why the last reading failed; None when it did not."""

    def believed(self, bundle: ModelBundle) -> Followed | None:
        """What is believed, in the positions of this bundle; None before it was read for it: then nothing is
        explored."""
        if self._followed is None or self._followed[1].index.items is not bundle.items:
            return None
        return self._followed[1]

    async def look(self) -> None:
        """Reads once, if anything explores. A store that does not answer is logged, and what was believed stays."""
        bundle = self._bundle()
        if bundle is None or not self._wanted():
            return
        try:
            self._followed = await self._background.run(self._read, bundle)
            self.trouble = None
        except StoreError as error:
            self.trouble = str(error)
            log.warning("what became of explored items could not be read", cause=self.trouble)

    async def watch(self, seconds: float = REFRESH_SECONDS) -> None:
        """Looks again and again, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(seconds)

    def _read(self, bundle: ModelBundle) -> tuple[Origin, Followed]:
        file, before = file_identity(self._store_path), self._followed

        def ask(store: Store) -> tuple[Origin, Followed]:
            origin = (store.secret(), *file)
            # Another store, or a backup that was put in its place, counts differently.
            known = before[1] if before is not None and before[0] == origin else None
            return origin, follow(store, bundle, known, self._now())

        return reading(self._store_path, ask)
