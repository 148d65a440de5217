"""A thread for work that may take its time, beside answers that may not."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

NICENESS: Final = 10
"""How far the thread stands back: a core that it shares with answers is theirs as soon as they want it, and it still
gets on under full load. Whoever has the interpreter is never held up for long."""


class Background:
    """One such thread; what it is given waits its turn."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "background", initializer=_step_back)

    async def run(self, function: Callable[P, R], *values: P.args, **named: P.kwargs) -> R:
        """What the function returns, once the thread has come to it."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: function(*values, **named))

    def close(self) -> None:
        """Drops what waits; what is under way ends by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _step_back() -> None:
    # Only on Linux has a thread a priority of its own; elsewhere it would be the whole process that stands back.
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
