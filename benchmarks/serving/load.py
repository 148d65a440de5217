"""Servers pinned to one core, and load from the other: wrk for the most, h2load for a constant rate."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.served import BOOKMATCH, free_port, seconds_until_answered
from recsys.access.keys import NewKey, Role, wanted_key
from recsys.shop import ShopFolder
from recsys.stores import open_store

SERVER_CORE, LOAD_CORE = "0", "1"
CONNECTIONS = 16
NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Running:
    """A server and its process; with which headers lists are asked for, and with which everything may be done."""

    url: str
    port: int
    process: subprocess.Popen[bytes]
    seconds_to_ready: float
    headers: Mapping[str, str] = field(default_factory=dict)
    admin: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def bookmatch(
    home: Path, settings: Mapping[str, str] | None = None, workers: int = 1, core: str = SERVER_CORE
) -> Iterator[Running]:
    """The service over a shop's folder, until the block ends; it asks for keys, as shipped."""
    port, key, admin = free_port(), new_key(home, Role.STOREFRONT), new_key(home, Role.ADMIN)
    command = [BOOKMATCH, "serve", "--home", str(home), "--port", str(port), "--workers", str(workers)]
    with _server(command, port, "/health/ready", dict(settings or {}), core) as running:
        yield replace(running, headers=key, admin=admin)


def new_key(home: Path, role: Role) -> dict[str, str]:
    """The header with a key that is new in a shop's store."""
    new = NewKey.like(wanted_key(role, "benchmark", time.time_ns() // 1_000_000))
    store = open_store(ShopFolder(home).store, create=False)
    store.keys.add(new.kept)
    store.close()
    return {"Authorization": f"Bearer {new.text}"}


@contextmanager
def empty_route() -> Iterator[Running]:
    """An empty FastAPI route on the same server with the same loop and parser."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.serving.empty:app", "--port", str(port)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error"]
    with _server(command, port, "/", {}, SERVER_CORE) as running:
        yield running


@contextmanager
def _server(command: Sequence[str], port: int, path: str, settings: Mapping[str, str], core: str) -> Iterator[Running]:
    started = time.perf_counter()
    process = subprocess.Popen(
        ["taskset", "-c", core, *command],
        env=os.environ | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        yield Running(url, port, process, seconds_until_answered(url + path, started, process))
    finally:
        process.terminate()
        process.wait(30)


def requests_per_second(
    url: str,
    paths: Sequence[str],
    seconds: float,
    connections: int = CONNECTIONS,
    headers: Mapping[str, str] = NO_HEADERS,
) -> float:
    """The most that one core of load gets out of a server, over the paths in a fixed random order. RuntimeError for
    an answer other than 2xx."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        listed = ",".join(f'"{path}"' for path in paths)
        script.write(f"local paths = {{{listed}}}\nlocal at = 0\n")
        script.write("request = function() at = at % #paths + 1; return wrk.format('GET', paths[at]) end\n")
        script.flush()
        command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", script.name]
        command += [f"-H{name}: {value}" for name, value in headers.items()]
        told = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(f"the server failed under load: {told}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", told)
    if found is None:
        raise RuntimeError(f"wrk said: {told}")
    return float(found[1])


def latencies(
    url: str,
    paths: Sequence[str],
    rate: float,
    seconds: float,
    clients: int = 2,
    headers: Mapping[str, str] = NO_HEADERS,
) -> np.ndarray:
    """Milliseconds per request at a constant rate of arrival, corrected for omission: a request that had to wait
    because an earlier one was late counts from when it should have been sent.

    h2load gives each client a timer of its own and starts all at once: so many requests arrive together as there are
    clients. Two are nearly even.
    """
    with tempfile.TemporaryDirectory() as folder:
        listed, log = Path(folder) / "paths", Path(folder) / "log"
        listed.write_text("\n".join(url + path for path in paths))
        command = ["taskset", "-c", LOAD_CORE, "h2load", "--h1", f"--clients={clients}", "--threads=1"]
        command += [f"--rps={rate / clients:.3f}", f"--duration={seconds:g}", f"--input-file={listed}"]
        command += [f"--header={name}: {value}" for name, value in headers.items()]
        subprocess.run([*command, f"--log-file={log}", url], capture_output=True, text=True, check=True)
        table = np.loadtxt(log, dtype=np.int64, usecols=(0, 1, 2), ndmin=2)
    if not (table[:, 1] == 200).all():
        raise RuntimeError(f"answers other than 200: {np.unique(table[:, 1])}")
    milliseconds = table[:, 2] / 1000
    # As HdrHistogram corrects: a client that waited longer than its interval missed the requests in between.
    interval = 1000 * clients / rate
    missed = [np.arange(late - interval, 0, -interval) for late in milliseconds[milliseconds > interval]]
    return np.concatenate([milliseconds, *missed])
