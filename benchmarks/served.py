"""A running service to ask."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

BOOKMATCH = str(Path(sys.executable).parent / "bookmatch")
PATIENCE = 120.0
"""Seconds after which a service that does not answer is given up."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a service answers and how many seconds it took to do so for the first time."""

    url: str
    seconds: float

    def get(self, path: str) -> dict[str, Any]:
        """The JSON body at a path."""
        with urllib.request.urlopen(self.url + path, timeout=30) as response:
            body: dict[str, Any] = orjson.loads(response.read())
        return body


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def seconds_until_answered(url: str, started: float, process: subprocess.Popen[bytes]) -> float:
    """Asks again and again until there is an answer; the seconds since `started` (of time.perf_counter)."""
    while time.perf_counter() - started < PATIENCE:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with exit code {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return time.perf_counter() - started
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.02)
    raise RuntimeError(f"no answer from {url} within {PATIENCE:.0f} s")


@contextmanager
def served(home: Path) -> Iterator[Server]:
    """A service over a shop's folder, until the block ends."""
    port = free_port()
    started = time.perf_counter()
    process = subprocess.Popen(
        [BOOKMATCH, "serve", "--home", str(home), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        yield Server(url, seconds_until_answered(f"{url}/v1/customers/nobody/recommendations", started, process))
    finally:
        process.terminate()
        process.wait(30)
