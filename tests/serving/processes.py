"""`bookmatch serve` as real processes on real sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(happened: Callable[[], bool], seconds: float = 20.0, what: str = "it") -> None:
    """Returns as soon as `happened`; fails after some seconds."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)


@dataclass
class Server:
    """One `bookmatch serve` process."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def is_ready(self) -> bool:
        """Whether it answers that it is ready."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> int:
        """Asks it to stop and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@contextmanager
def serving(
    home: Path, *options: str, wait: bool = True, stdin: int | None = None, **variables: str
) -> Iterator[Server]:
    """`bookmatch serve` over a shop, as a process of its own on a free port, until the block ends."""
    port = free_port()
    log = home.parent / f"serve-{port}.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BOOKMATCH_")}
    # Nobody's load balancer has to notice.
    environment["BOOKMATCH_DRAIN_SECONDS"] = "0"
    program = str(Path(sys.executable).with_name("bookmatch"))
    command = [program, "serve", "--home", str(home), "--port", str(port), *options]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdin=stdin, stdout=output, stderr=subprocess.STDOUT, env=environment | variables, text=True
        )
    server = Server(process, f"http://127.0.0.1:{port}", log)
    try:
        if wait:
            wait_until(server.is_ready, 60.0, f"ready\n{log.read_text()}")
        yield server
    finally:
        if process.poll() is None:
            try:
                server.stop()
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
