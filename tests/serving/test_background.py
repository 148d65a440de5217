"""Work that may take its time gives way to answers, and what goes wrong in it is told."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest

from serving.http.background import NICENESS, Background


@pytest.fixture
def background() -> Iterator[Background]:
    """One that is closed in the end."""
    background = Background()
    yield background
    background.close()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux has priorities of threads")
def test_its_thread_stands_back_and_no_other(background: Background) -> None:
    """The thread's own niceness grows; that of whoever waits for it stays."""
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    theirs = asyncio.run(background.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
    assert theirs == NICENESS
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == mine


def test_what_is_raised_comes_back(background: Background) -> None:
    """To whoever waits; and the next work is done all the same."""

    def fail() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        asyncio.run(background.run(fail))
    assert asyncio.run(background.run(sum, (1, 2))) == 3


def test_one_thing_after_another(background: Background) -> None:
    """Two bundles are never loaded at once."""
    at_once, most = 0, 0

    def work() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        threading.Event().wait(0.01)
        at_once -= 1

    async def all_of_them() -> None:
        await asyncio.gather(*(background.run(work) for _ in range(5)))

    asyncio.run(all_of_them())
    assert most == 1
