"""The parent of several workers: starts them, replaces those that died or hang, and passes on what it is told."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from types import FrameType
from typing import Final

import structlog
from uvicorn import Config, Server, _subprocess
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Process

from serving.process.server import GRACE_SECONDS, GracefulServer
from serving.process.terminal import Terminal
from serving.process.urgency import TO_WORKERS, Urgency, of_parent, of_people

log = structlog.get_logger("bookmatch.serving")

END_SECONDS: Final = GRACE_SECONDS + 20
"""Beyond the time for draining, a worker may take so long to end before it is killed: requests, then the disk."""

_HEARD: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LOOK_SECONDS: Final = 0.5
_LOOK_AT_ENDING_SECONDS: Final = 0.1


class Worker(Process):
    """One of several processes that answer."""

    def __init__(self, config: Config, sockets: list[socket.socket], drain_seconds: float) -> None:
        self._drain_seconds = drain_seconds
        super().__init__(config, sockets)

    @property
    def server(self) -> Server:
        """What runs in the worker's process."""
        if self._server is None:
            self._server = GracefulServer(self.config, self._drain_seconds, of_parent)
        return self._server

    def always_pong(self) -> None:
        """Answers the parent, on a thread of the worker's own; without a parent nobody would ever stop it."""
        # The worker was given both ends; the parent's must be the parent's alone for its end to be noticed.
        self.parent_conn.close()
        try:
            super().always_pong()
        except (EOFError, OSError):
            os.kill(os.getpid(), TO_WORKERS[Urgency.AT_ONCE])

    def tell(self, number: signal.Signals) -> None:
        """Sends a signal; nothing to one that has ended."""
        if self.process.is_alive() and self.process.pid is not None:
            os.kill(self.process.pid, number)


class Workers:
    """Parameters: see `GracefulServer`; `config.workers` says how many there are."""

    def __init__(self, config: Config, sockets: Sequence[socket.socket], drain_seconds: float) -> None:
        self._config = config
        self._sockets = list(sockets)
        self._drain_seconds = drain_seconds
        self._workers: list[Worker] = []
        self._heard: deque[int] = deque()
        self._urgency = Urgency.NONE
        self._terminal = Terminal()

    def run(self) -> int:
        """Until they are asked to stop; the exit code: 0, or 1 when a worker could not start or had to be killed."""
        with self._listening_to_signals() as bell:
            self._workers = [self._started() for _ in range(self._config.workers)]
            failed = False
            while self._urgency is Urgency.NONE and not failed:
                self._wait(bell, _LOOK_SECONDS)
                self._obey()
                if self._urgency is Urgency.NONE:
                    failed = self._replace_the_dead()
            for listener in self._sockets:
                # The workers have theirs: the last of them takes what is left in the queue.
                listener.close()
            self._urgency = self._urgency or Urgency.AT_ONCE
            killed = self._end(bell)
        return int(failed or killed)

    def _started(self) -> Worker:
        worker = Worker(self._config, self._sockets, self._drain_seconds)
        worker.start()
        return worker

    def _obey(self) -> None:
        """Does what the signals say that came."""
        while self._heard:
            number = self._heard.popleft()
            if number == signal.SIGHUP and not self._terminal.is_gone:
                log.info("workers are told to look for what is new", workers=len(self._workers))
                self._tell(signal.SIGHUP)
            else:
                self._urgency = max(self._urgency, of_people(self._urgency, number))

    def _tell(self, number: signal.Signals) -> None:
        for worker in self._workers:
            worker.tell(number)

    def _replace_the_dead(self) -> bool:
        """Starts others for workers that ended or hang; True when one could not even start, as no other could."""
        for place, worker in enumerate(self._workers):
            if worker.is_alive(timeout=self._config.timeout_worker_healthcheck):
                continue
            worker.kill()
            worker.process.join()
            if worker.exitcode == STARTUP_FAILURE:
                log.error("a worker cannot start; stopping", pid=worker.pid)
                return True
            log.error("a worker died; another takes its place", pid=worker.pid, exit_code=worker.exitcode)
            self._workers[place] = self._started()
        return False

    def _end(self, bell: int) -> bool:
        """Waits until all have ended; whether one had to be killed."""
        deadline = time.monotonic() + self._drain_seconds + END_SECONDS
        while alive := [worker for worker in self._workers if worker.process.is_alive()]:
            if time.monotonic() > deadline:
                for worker in alive:
                    log.error("a worker does not end; it is killed", pid=worker.pid)
                    worker.kill()
                    worker.process.join()
                return True
            # Again and again: one that was just starting did not hear it the first time.
            self._tell(TO_WORKERS[self._urgency])
            self._wait(bell, _LOOK_AT_ENDING_SECONDS)
            self._obey_stopping()
        return False

    def _obey_stopping(self) -> None:
        while self._heard:
            number = self._heard.popleft()
            if number != signal.SIGHUP:
                self._urgency = max(self._urgency, of_people(self._urgency, number))

    def _wait(self, bell: int, seconds: float) -> None:
        """Until a signal comes, at most so long."""
        if select.select([bell], [], [], seconds)[0]:
            os.read(bell, 4096)

    @contextmanager
    def _listening_to_signals(self) -> Iterator[int]:
        """Notes signals, and gives what can be waited on for them."""

        def note(number: int, _frame: FrameType | None) -> None:
            self._heard.append(number)

        bell, rope = os.pipe()
        os.set_blocking(rope, False)
        before = {number: signal.signal(number, note) for number in _HEARD}
        signal.set_wakeup_fd(rope, warn_on_full_buffer=False)
        try:
            yield bell
        finally:
            signal.set_wakeup_fd(-1)
            for number in before:
                signal.signal(number, signal.SIG_IGN)
            os.close(bell)
            os.close(rope)


def fork_workers() -> None:
    """From now on workers are forked from one process that has everything imported: each further one costs only the
    memory that is its own. The library itself starts each from nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["serving.http.preloaded"])
    _subprocess.spawn = context  # type: ignore[assignment]
    # What is ignored when a program starts stays so in it and in what it forks, until that says otherwise: the process
    # that forks outlives a signal to all of them, and a worker is not ended by one that comes before it can listen.
    deaf = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in deaf}
    forkserver.ensure_running()
    for number, handler in before.items():
        signal.signal(number, handler)
