"""One process that answers: uvicorn's server, with signals of our own and an end at which nothing is lost."""

from __future__ import annotations

import asyncio
import math
import signal
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import structlog
from uvicorn import Config, Server
from uvicorn.server import ServerState

from serving.http.app import HttpService
from serving.process.terminal import Terminal
from serving.process.urgency import Urgency

log = structlog.get_logger("bookmatch.serving")

GRACE_SECONDS: Final = 10.0
"""How long requests that are under way may take when the service is asked to stop."""

HURRIED_SECONDS: Final = 1.0
"""The same when it was asked twice."""

LATE_SECONDS: Final = 0.5
"""How long the first request of a connection that was just made is waited for."""

REFUSING_SECONDS: Final = 1.0
"""How long it may take to tell those who still wait that nothing of theirs was stored."""

_TICK_SECONDS: Final = 0.1
_LOOK_SECONDS: Final = 0.02

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)

Reading = Callable[[Urgency, int], Urgency]
"""What a signal means, given what was asked before."""


class StoppableState(ServerState):
    """What the connections of one server share.

    Attributes
    ----------
    stopping : every answer now ends its connection, so that clients who keep theirs open go elsewhere with the next.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stopping = False


class GracefulServer(Server):
    """Stops so that every request it took is answered and every event it acknowledged is on the disk.

    Parameters
    ----------
    drain_seconds : how long it says that it is not ready, and still takes requests, before it closes.
    reading : what its signals mean.
    """

    server_state: StoppableState

    def __init__(self, config: Config, drain_seconds: float, reading: Reading) -> None:
        super().__init__(config)
        self.server_state = StoppableState()
        self._drain_seconds = drain_seconds
        self._reading = reading
        self._urgency = Urgency.NONE
        self._close_at = math.inf
        self._hurried_at = math.inf
        self._reload: asyncio.Task[None] | None = None
        self._terminal = Terminal()
        self._taken: list[asyncio.Future[object]] = []

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Takes the signals over, for good: when all is closed the process ends by itself, and with success."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._asked_to_stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._asked_to_reload)
        try:
            yield
        finally:
            for number in (*_SIGNALS, signal.SIGHUP):
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)

    async def main_loop(self) -> None:
        """Until it is time to close."""
        counter = 0
        while asyncio.get_running_loop().time() < self._close_at:
            await self.on_tick(counter)
            counter = (counter + 1) % 10
            await asyncio.sleep(_TICK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes: takes who came already, finishes what is under way, tells the rest, then closes everything else."""
        log.info("closing", connections=len(self.server_state.connections), under_way=len(self.server_state.tasks))
        self._stop_listening(sockets or [])
        await asyncio.gather(*self._taken, return_exceptions=True)
        # What was sent on open connections a moment ago is still to be read.
        await asyncio.sleep(_LOOK_SECONDS)
        await self._until(lambda: not self._unheard(), LATE_SECONDS)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if not await self._until(lambda: not (self.server_state.connections or self.server_state.tasks), GRACE_SECONDS):
            await self._give_up()
        if self._reload is not None:
            self._reload.cancel()
        await self.lifespan.shutdown()
        log.info("closed")

    def _asked_to_stop(self, number: int) -> None:
        before = self._urgency
        self._urgency = max(before, self._reading(before, number))
        if self._urgency is before:
            return
        now = asyncio.get_running_loop().time()
        if before is Urgency.NONE:
            log.info("stopping", by=signal.Signals(number).name, drain_s=self._drain_seconds)
            self.server_state.stopping = True
            self._close_at = now + self._drain_seconds
            if self._service is not None:
                self._service.begin_stopping()
        if self._urgency >= Urgency.AT_ONCE:
            self._close_at = now
        if self._urgency is Urgency.HURRIED:
            log.info("hurrying", by=signal.Signals(number).name)
            self._hurried_at = now
        if not self.started:
            self.should_exit = True

    def _asked_to_reload(self) -> None:
        if self._terminal.is_gone:
            self._asked_to_stop(signal.SIGTERM)
            return
        if self._service is None or not self.started or self.server_state.stopping:
            return
        # One at a time, so that two signals in a row do not load a bundle twice; the second sees what the first missed.
        self._reload = asyncio.create_task(self._reload_after(self._reload, self._service))

    async def _reload_after(self, before: asyncio.Task[None] | None, service: HttpService) -> None:
        if before is not None:
            await asyncio.wait([before])
        await service.reload()

    @property
    def _service(self) -> HttpService | None:
        """The application, once it is loaded."""
        loaded = getattr(self.config, "loaded_app", None)
        return loaded if isinstance(loaded, HttpService) else None

    def _stop_listening(self, sockets: Sequence[socket.socket]) -> None:
        """No new connections. Those that the system took for us already become ours: closing would cut them off."""
        # The server closes its own; as long as another name for the same socket is open, nobody is cut off.
        kept = [each.dup() for each in sockets]
        for server in self.servers:
            server.close()
        for each in sockets:
            each.close()
        for listener in kept:
            listener.setblocking(False)
            with listener, suppress(BlockingIOError):
                while True:
                    self._take(listener.accept()[0])

    def _take(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        connection.setblocking(False)

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=loop
            )
            return made

        # Kept: a task that nobody refers to may be collected before it ran.
        self._taken.append(asyncio.ensure_future(loop.connect_accepted_socket(protocol, connection)))

    def _unheard(self) -> bool:
        """Whether a connection has not said anything yet."""
        return any(getattr(each, "cycle", self) is None for each in self.server_state.connections)

    async def _until(self, happened: Callable[[], bool], seconds: float) -> bool:
        """Whether it happened within so many seconds, or within a moment for one who was told to hurry."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not happened():
            if loop.time() >= min(deadline, self._hurried_at + HURRIED_SECONDS):
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    async def _give_up(self) -> None:
        """Ends what is still under way, each with an answer that says what became of it."""
        tasks = self.server_state.tasks
        log.warning("requests took too long", under_way=len(tasks), connections=len(self.server_state.connections))
        if self._service is not None:
            self._service.refuse_what_waits()
        self._hurried_at = math.inf
        await self._until(lambda: not tasks, REFUSING_SECONDS)
        for task in list(tasks):
            task.cancel()
        await self._until(lambda: not tasks, REFUSING_SECONDS)
