"""The machine: Python and libraries, the processor, threads against cores, memory, open files, the port."""

from __future__ import annotations

import http.client
import importlib.metadata
import os
import platform
import resource
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from recsys import __version__
from serving.doctor.circumstances import Circumstances
from serving.doctor.findings import Finding, mib, note, problem, warning, well
from serving.doctor.limits import Limits

THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_TESTED: Final = ((3, 11), (3, 13))
_FEATURES: Final = {"x86_64": "avx2", "amd64": "avx2"}
_FEWEST_FILES: Final = 1024

SHARED_BYTES: Final = 250 * 2**20
"""Libraries and compiled code, in memory once for all workers."""

WORKER_BYTES: Final = 90 * 2**20
"""What each worker has for itself, empty: docs/benchmarks.md measures it."""

SHOP_LISTS_BYTES: Final = 16 * 2**20
HISTORY_BYTES: Final = 2_700
"""A kept history: about 1 KB, and 34 bytes for each of 50 events."""


def software() -> Iterator[Finding]:
    """Python's version, and the libraries' against the bounds that this release asks for."""
    version = sys.version_info[:2]
    found = f"Bookmatch {__version__} on Python {platform.python_version()}"
    if _TESTED[0] <= version <= _TESTED[1]:
        yield well("python", found)
    else:
        low, high = (".".join(map(str, each)) for each in _TESTED)
        yield warning("python", found, f"Python {low} to {high}, which the tests run with", "use one of these")
    asked = [Requirement(text) for text in importlib.metadata.requires("bookmatch") or ()]
    wrong = [text for each in asked if each.marker is None or each.marker.evaluate() if (text := _misfit(each))]
    if wrong:
        yield problem(
            "libraries", "; ".join(wrong), "the versions that pyproject.toml asks for", "install bookmatch again"
        )
    else:
        yield well("libraries", f"{len(asked)} requirements are met")


def _misfit(asked: Requirement) -> str | None:
    try:
        version = importlib.metadata.version(asked.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{asked.name} is not installed"
    fits = asked.specifier.contains(version, prereleases=True)
    return None if fits else f"{asked.name} is {version}, not {asked.specifier}"


def processor() -> Finding:
    """Whether the processor computes on several numbers at a time."""
    from llvmlite.binding import get_host_cpu_features, get_host_cpu_name

    name, wanted = get_host_cpu_name(), _FEATURES.get(platform.machine().lower())
    if wanted is None or get_host_cpu_features().get(wanted):
        return well("cpu", f"{name}, {platform.machine()}")
    return warning(
        "cpu",
        f"{name} without {wanted.upper()}",
        f"a processor with {wanted.upper()}; without it training and lists take several times as long",
        "give a virtual machine the host's processor model, or use another machine",
    )


def threads(there: Limits, seen: Circumstances) -> Iterator[Finding]:
    """Workers and the libraries' threads against the cores that this process may use."""
    usable = min(float(there.cores), there.quota)
    shown = f"{there.cores} cores" + ("" if usable == there.cores else f", {usable:g} by the control group's quota")
    if seen.workers > max(1.0, usable):
        yield warning(
            "threads",
            f"{seen.workers} workers on {shown}",
            "at most one worker for each core: more wait for one another",
            f"serve with --workers {max(1, int(usable))}, or give it more cores",
        )
        return
    if usable < there.cores:
        yield warning(
            "threads",
            shown,
            "as many cores as the quota allows: libraries start a thread for each and are stopped in turns",
            f"train with --threads {max(1, int(usable))}, or bind the container to whole cores",
        )
        return
    too_many = {
        name: text for name in THREAD_VARIABLES if (text := seen.environment.get(name)) and not _fits(text, usable)
    }
    if too_many:
        yield warning(
            "threads",
            f"{', '.join(f'{name}={text}' for name, text in too_many.items())} on {shown}",
            f"a number from 1 to {int(usable)}",
            "unset it: training takes all cores by itself, and a worker one",
        )
        return
    yield well("threads", f"{seen.workers} workers on {shown}")


def _fits(text: str, most: float) -> bool:
    return text.isdigit() and 1 <= int(text) <= most


def memory(there: Limits, seen: Circumstances, bundle_bytes: int, training_bytes: int | None) -> Iterator[Finding]:
    """What the service needs at its fullest, and what training needed last, against what is there."""
    settings = seen.settings
    cache = 0 if settings.redis_url else settings.cache_size * 2**20
    each = WORKER_BYTES + cache + SHOP_LISTS_BYTES + settings.history_cache_size * HISTORY_BYTES
    needed = SHARED_BYTES + bundle_bytes + seen.workers * each
    parts = f"{mib(bundle_bytes)} of models, {seen.workers} × {mib(each)}, {mib(SHARED_BYTES)} of libraries"
    if not there.memory:
        yield note("memory", f"{mib(needed)} are needed ({parts}); this system does not say what is there")
        return
    remedy = "give it more memory, or lower --workers, BOOKMATCH_CACHE_SIZE or BOOKMATCH_HISTORY_CACHE_SIZE"
    found = f"{mib(needed)} are needed at the most ({parts})"
    if needed > there.memory:
        yield problem("memory", found, f"at most the {mib(there.memory)} that there are", remedy)
    elif needed > there.available:
        yield warning("memory", found, f"at most the {mib(there.available)} that are free now", remedy)
    else:
        yield well("memory", f"{found}; {mib(there.available)} of {mib(there.memory)} are free")
    if training_bytes and training_bytes > there.memory:
        yield warning(
            "training memory",
            f"the last training took {mib(training_bytes)}",
            f"at most the {mib(there.memory)} that there are",
            "train on a larger machine and copy the bundle's folder, or give this one more memory",
        )
    elif training_bytes:
        yield well("training memory", f"the last training took {mib(training_bytes)}")


def open_files() -> Finding:
    """How many connections and files a worker may have open."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most == resource.RLIM_INFINITY or most >= _FEWEST_FILES:
        return well("open files", "no limit" if most == resource.RLIM_INFINITY else f"at most {most:,}")
    return warning(
        "open files",
        f"at most {most:,} for each worker",
        f"{_FEWEST_FILES:,} or more: every connection is one, and further ones are refused",
        "raise it: `ulimit -n`, LimitNOFILE= of the systemd unit",
    )


def compiled_code(seen: Circumstances) -> Finding:
    """Whether what is compiled can be kept for the next start."""
    import serving

    named = seen.environment.get("NUMBA_CACHE_DIR")
    folder = Path(named) if named else Path(str(serving.__file__)).parent / "__pycache__"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return well("compiled code", f"is kept in {folder}")
    except OSError as error:
        return warning(
            "compiled code",
            f"{folder} cannot be written: {error.strerror}",
            "a folder in which compiled code is kept; without it every start takes some 15 seconds more",
            "name one that can be written with NUMBA_CACHE_DIR",
        )


def port(seen: Circumstances) -> Finding:
    """Whether the port can be had, or the service is there already."""
    where = f"{seen.host} port {seen.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            seen.host, seen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        return well("port", f"{where} is free")
    except OSError as error:
        cause = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    if _answers(seen):
        return well("port", f"a service of Bookmatch answers on {where}")
    return problem(
        "port", f"{where} cannot be had: {cause}", "a free port", "choose another, or stop what listens there"
    )


def _answers(seen: Circumstances) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(seen.host, seen.host)  # noqa: S104 - what it may be told
    connection = http.client.HTTPConnection(host, seen.port, timeout=2)
    try:
        connection.request("GET", "/health/live")
        reply = connection.getresponse()
        return reply.status == 200 and b'"ok"' in reply.read(1_000)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
