"""What the doctor says of the machine: each check with a fault, and none without."""

from __future__ import annotations

import http.server
import itertools
import math
import os
import resource
import socket
import subprocess
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from serving.doctor import machine
from serving.doctor.findings import Severity
from serving.doctor.limits import limits
from serving.http.settings import Settings
from tests.serving.doctor.conftest import Examine

GIB = 2**30


def system(folder: Path, *, memory: str = "max", cpu: str = "max 100000", used: int = 0) -> Path:
    """A root of the system's files: 8 GiB, half of them free, and a control group two levels deep."""
    group = folder / "sys/fs/cgroup/shop.slice/books.service"
    for path in (group, folder / "proc/self"):
        path.mkdir(parents=True)
    (folder / "proc/meminfo").write_text(f"MemTotal: {8 * GIB // 1024} kB\nMemAvailable: {4 * GIB // 1024} kB\n")
    (folder / "proc/self/cgroup").write_text("0::/shop.slice/books.service\n")
    (group.parent / "memory.max").write_text(memory)
    (group.parent / "memory.current").write_text(str(used))
    (group / "memory.max").write_text("max")
    (group / "cpu.max").write_text(cpu)
    return folder


def test_a_healthy_shop_has_nothing_but_good_findings(examined: Examine) -> None:
    """No false alarm, whatever else is checked."""
    assert {name: each for name, each in examined().items() if each.severity is not Severity.OK} == {}


def test_memory_and_cores_are_those_of_the_innermost_limit(tmp_path: Path) -> None:
    """Of the machine without a control group's limit, else of the group or of one around it."""
    free = limits(system(tmp_path / "free"))
    assert (free.memory, free.available, free.quota) == (8 * GIB, 4 * GIB, math.inf)
    bound = limits(system(tmp_path / "bound", memory=str(GIB), used=GIB // 4, cpu="150000 100000"))
    assert (bound.memory, bound.available, bound.quota) == (GIB, GIB * 3 // 4, 1.5)


def test_the_limits_of_older_systems_are_read_too(tmp_path: Path) -> None:
    """Version 1 of control groups, and one that says nothing at all."""
    root = tmp_path / "sys/fs/cgroup"
    for name, files in {
        "memory": {"memory.limit_in_bytes": GIB, "memory.usage_in_bytes": 0},
        "cpu": {"cpu.cfs_quota_us": 50_000, "cpu.cfs_period_us": 100_000},
    }.items():
        (root / name).mkdir(parents=True)
        for file, value in files.items():
            (root / name / file).write_text(f"{value}\n")
    there = limits(tmp_path)
    assert (there.memory, there.quota) == (GIB, 0.5)
    nothing = limits(tmp_path / "none")
    assert (nothing.memory, nothing.quota) == (0, math.inf)


def test_too_little_memory_is_a_problem_and_too_little_free_a_warning(examined: Examine, tmp_path: Path) -> None:
    """With the numbers it is made of; a system that does not tell is no fault."""
    small = examined(system=system(tmp_path / "small", memory=str(300 * 2**20)))["memory"]
    assert small.severity is Severity.PROBLEM
    assert "300 MiB" in small.expected
    assert "BOOKMATCH_CACHE_SIZE" in small.remedy
    busy = examined(system=system(tmp_path / "busy", memory=str(GIB), used=GIB - 2**20))["memory"]
    assert busy.severity is Severity.WARNING
    assert examined(system=tmp_path / "none")["memory"].severity is Severity.NOTE
    many = examined(system=system(tmp_path / "many"), workers=1, settings=None)
    assert many["memory"].severity is Severity.OK


def test_more_workers_than_cores_are_a_warning(examined: Examine) -> None:
    """It says how many there should be."""
    cores = len(os.sched_getaffinity(0))
    assert examined(workers=cores)["threads"].severity is Severity.OK
    finding = examined(workers=cores + 1)["threads"]
    assert finding.severity is Severity.WARNING
    assert f"--workers {cores}" in finding.remedy


def test_a_quota_below_the_cores_is_a_warning(examined: Examine, tmp_path: Path) -> None:
    """Libraries would start a thread for each core."""
    finding = examined(system=system(tmp_path, cpu="100000 100000"))["threads"]
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("one core fits the quota")
    assert (finding.severity, "--threads 1" in finding.remedy) == (Severity.WARNING, True)


@pytest.mark.parametrize("text", ["64000", "0", "many"])
@pytest.mark.parametrize("name", machine.THREAD_VARIABLES)
def test_thread_variables_that_do_not_fit_are_a_warning(examined: Examine, name: str, text: str) -> None:
    """By name and value; one that fits is none."""
    finding = next(machine.threads(limits(), circumstances(environment={name: text})))
    assert finding.severity is Severity.WARNING
    assert f"{name}={text}" in finding.found
    assert next(machine.threads(limits(), circumstances(environment={name: "1"}))).severity is Severity.OK


def circumstances(**told: object) -> machine.Circumstances:
    """Some, with what the test says of them."""
    usual: dict[str, object] = {"settings": Settings(), "environment": {}, "now": lambda: 0, "timer": lambda: 0.0}
    return machine.Circumstances(**(usual | told))  # type: ignore[arg-type]


def test_few_open_files_are_a_warning() -> None:
    """The limit of this very process, lowered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        finding = machine.open_files()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (finding.severity, "512" in finding.found) == (Severity.WARNING, True)


def test_a_library_that_does_not_fit_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, version and bounds; one that is missing too."""
    asked = ["numpy>=2.0", "numpy<1", "no-such-library>=1", "no-other; python_version < '3'"]
    monkeypatch.setattr(metadata, "requires", lambda _: asked)
    _, finding = machine.software()
    assert finding.severity is Severity.PROBLEM
    assert finding.found == f"numpy is {metadata.version('numpy')}, not <1; no-such-library is not installed"


def test_code_that_cannot_be_kept_is_a_warning(examined: Examine, tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "file").write_text("")
    finding = examined(environment={"NUMBA_CACHE_DIR": str(tmp_path / "file" / "kept")})["compiled code"]
    assert finding.severity is Severity.WARNING
    assert examined(environment={"NUMBA_CACHE_DIR": str(tmp_path / "kept")})["compiled code"].severity is Severity.OK


def test_a_port_that_another_program_has_is_a_problem(examined: Examine) -> None:
    """One that does not speak HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        threading.Thread(target=lambda: taken.accept()[0].close(), daemon=True).start()
        finding = examined(port=taken.getsockname()[1])["port"]
    assert finding.severity is Severity.PROBLEM


def test_the_service_itself_on_the_port_is_none(examined: Examine) -> None:
    """The doctor may be asked while the service runs."""

    class Healthy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health/live" else 404)
            self.end_headers()
            self.wfile.write(b'{"status":"ok"}')

        def log_message(self, *values: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        finding = examined(port=server.server_port)["port"]
    assert (finding.severity, "answers on" in finding.found) == (Severity.OK, True)


def test_a_folder_that_is_not_there_is_a_problem(examined: Examine, tmp_path: Path) -> None:
    """And nothing is made of it."""
    found = examined(home=tmp_path / "none")
    assert {name for name, each in found.items() if each.severity is Severity.PROBLEM} == {"folder", "store", "bundle"}
    assert not (tmp_path / "none").exists()


def test_a_slow_disk_is_a_warning(examined: Examine) -> None:
    """A clock on which each write takes a tenth of a second."""
    ticks = itertools.count()
    finding = examined(timer=lambda: next(ticks) / 10)["disk speed"]
    assert (finding.severity, "100.0 ms" in finding.found) == (Severity.WARNING, True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 96 MiB of the test's own; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_is_a_warning_then_a_problem(examined: Examine, small_disk: Path) -> None:
    """Below what the next training needs; below what the log needs; and when nothing can be written at all."""
    roomy = examined(home=small_disk)["disk"]
    assert roomy.severity is Severity.OK
    bundle = small_disk / "models" / "b"
    (small_disk / "filler").write_bytes(bytes(40 * 2**20))
    assert not bundle.exists()
    assert examined(home=small_disk)["disk"].severity is Severity.PROBLEM
    with pytest.raises(OSError, match="No space"):
        (small_disk / "more").write_bytes(bytes(90 * 2**20))
    full = examined(home=small_disk)["folder"]
    assert (full.severity, "No space left" in full.found) == (Severity.PROBLEM, True)


def test_room_for_the_next_training_counts(tmp_path: Path) -> None:
    """Twice the bundle's size beside the log."""
    from serving.doctor.disk import _room

    assert _room(tmp_path, 2**60).severity is Severity.WARNING
    assert _room(tmp_path, 0).severity is Severity.OK
