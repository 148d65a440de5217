"""The versions of the file of placements: who published what, the way back, and what survives."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recsys.errors import InputError, PlacementsError
from recsys.recommend.placement import DEFAULT_PLACEMENT
from recsys.recommend.placements import PlacementRepository, PlacementsFileError, PlacementVersion

NOW = 1_795_000_000_000
"""2026-11-18 11:06:40 UTC, in milliseconds."""


def text_of(number: int) -> str:
    """A file that says which one it is."""
    return f"[placements.p{number}]\n"


@pytest.fixture
def repository(tmp_path: Path) -> PlacementRepository:
    """Nothing published yet."""
    return PlacementRepository(tmp_path / "placements")


def publish(repository: PlacementRepository, number: int, text: str = "") -> PlacementVersion:
    """Puts a file in force."""
    return repository.publish(text or text_of(number), by="ann", why=f"try {number}", now=NOW + number)


def in_force(repository: PlacementRepository) -> set[str]:
    """The names of the placements in force, without the built-in one."""
    return set(repository.current().placements) - {"default"}


def test_without_any_the_built_in_placement_is_in_force(repository: PlacementRepository) -> None:
    """Before anything is published `default` answers, and asking makes no folder."""
    assert repository.current_id() is None
    assert repository.current().placements == {"default": DEFAULT_PLACEMENT}
    assert repository.versions() == []
    assert not repository.folder.exists()


def test_a_version_says_who_when_and_why(repository: PlacementRepository) -> None:
    """A published version has its number, its record and the file as it was given, comments and all."""
    text = "# for the holidays\r\n[placements.p1]\r\n"
    version = publish(repository, 1, text)
    assert (version.number, version.by, version.why, version.at) == (1, "ann", "try 1", NOW + 1)
    assert repository.versions() == [version]
    assert repository.text(1) == text
    assert in_force(repository) == {"p1"}


def test_rolling_back_goes_back_one_by_one(repository: PlacementRepository) -> None:
    """Each roll-back is a new version with the content of the one before; after a new version it comes back to where
    one was."""
    for number in (1, 2, 3):
        publish(repository, number)

    def back(to: int | None = None) -> tuple[int, int | None]:
        version = repository.roll_back(to, by="bob", why="wrong", now=NOW)
        return version.number, version.rolled_back_to

    assert back() == (4, 2)
    assert back() == (5, 1)
    assert in_force(repository) == {"p1"}
    with pytest.raises(PlacementsError, match="no earlier placements"):
        back()
    publish(repository, 6)
    assert back() == (7, 1)
    assert back(3) == (8, 3)
    assert back(7) == (9, 1)
    assert repository.current_id() == 9
    assert [version.number for version in repository.versions()] == list(range(1, 10))


def test_what_is_over_by_now_may_be_rolled_back_to(repository: PlacementRepository) -> None:
    """A pin that was to come when its version was published does not stand in the way back."""
    publish(repository, 1, "[placements.x]\npins = [{ item = 'a', slot = 1, until = 2026-11-19 }]\n")
    publish(repository, 2)
    repository.roll_back(by="bob", why="wrong", now=NOW + 10 * 86_400_000)
    assert in_force(repository) == {"x"}


@pytest.mark.parametrize(
    ("text", "by", "why", "says"),
    [
        ("[placements.x]\nsources = []\n", "ann", "a try", "line 2"),
        ("[placements.x]\npins = [{ item = 'a', slot = 1, until = 2026-11-18 }]\n", "ann", "a try", "over since"),
        ("", " ", "a try", "who publishes it"),
        ("", "ann", "", "why it is published"),
        ("", "ann", "\ud800", "no Unicode text"),
    ],
)
def test_what_is_refused_leaves_everything_as_it_was(
    repository: PlacementRepository, text: str, by: str, why: str, says: str
) -> None:
    """A file with a fault, or one by nobody or for nothing, is not published; what was in force stays."""
    publish(repository, 1)
    with pytest.raises(InputError, match=says):
        repository.publish(text, by=by, why=why, now=NOW)
    assert [version.number for version in repository.versions()] == [1]
    assert sorted(path.name for path in repository.folder.iterdir()) == [".lock", "1", "current"]


def test_a_damaged_version_is_refused_and_says_so(repository: PlacementRepository) -> None:
    """A file that somebody edited is not what was published; another version can be put in force."""
    publish(repository, 1)
    publish(repository, 2)
    path = repository.folder / "2" / "placements.toml"
    path.write_text(path.read_text() + "[placements.sneaked]\n")
    with pytest.raises(PlacementsError, match="SHA-256 differs"):
        repository.current()
    with pytest.raises(PlacementsError, match="SHA-256 differs"):
        repository.roll_back(2, by="bob", why="x", now=NOW)
    repository.roll_back(by="bob", why="damaged", now=NOW)
    assert in_force(repository) == {"p1"}


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"number": 2}'])
def test_a_damaged_record_is_refused(repository: PlacementRepository, content: bytes) -> None:
    """A version whose record cannot be read is damaged."""
    publish(repository, 1)
    (repository.folder / "1" / "record.json").write_bytes(content)
    with pytest.raises(PlacementsError, match=r"record\.json"):
        repository.current()


def test_a_lost_current_is_told_and_nothing_is_overwritten(repository: PlacementRepository) -> None:
    """Without the file that names the version in force nothing is guessed, and no number is given twice."""
    publish(repository, 1)
    publish(repository, 2)
    for content in (None, b"two"):
        (repository.folder / "current").unlink(missing_ok=True)
        if content is not None:
            (repository.folder / "current").write_bytes(content)
        with pytest.raises(PlacementsError, match="current"):
            repository.current_id()
        with pytest.raises(PlacementsError, match="current"):
            publish(repository, 3)
    (repository.folder / "current").write_bytes(b"2")
    assert in_force(repository) == {"p2"}


def test_a_version_of_a_newer_software_is_refused_with_its_lines(repository: PlacementRepository) -> None:
    """Keys that this software does not know are named, not ignored, when a published file has them."""
    version = publish(repository, 1)
    path = repository.folder / "1" / "placements.toml"
    text = "[placements.x]\nmagic = true\n"
    path.write_text(text)
    record = repository.folder / "1" / "record.json"
    record.write_text(record.read_text().replace(version.sha256, hashlib.sha256(text.encode()).hexdigest()))
    with pytest.raises(PlacementsFileError, match=r"line 2: placements\.x\.magic"):
        repository.current()


@pytest.mark.parametrize("number", [0, -1, 3])
def test_unknown_numbers_are_told(repository: PlacementRepository, number: int) -> None:
    """Numbers that were never given name what there is."""
    publish(repository, 1)
    publish(repository, 2)
    with pytest.raises(PlacementsError, match="1 to 2"):
        repository.read(number)


def _publish_many(folder: str, first: int) -> None:
    for number in range(first, first + 20):
        publish(PlacementRepository(Path(folder)), number)


def test_two_publishers_do_not_lose_each_others_work(repository: PlacementRepository) -> None:
    """Forty versions that two processes publish at once are all there, each with its own number."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_publish_many, args=(str(repository.folder), first)) for first in (100, 200)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert [version.number for version in repository.versions()] == list(range(1, 41))
    assert len({repository.text(number) for number in range(1, 41)}) == 40


KILLED = """
import sys
from pathlib import Path
from recsys.recommend.placements import PlacementRepository
repository = PlacementRepository(Path(sys.argv[1]))
print("ready", flush=True)
number = 0
while True:
    number += 1
    repository.publish(f"[placements.p{number}]\\n", by="ann", why="try", now=number)
    print(number, flush=True)
"""


@pytest.mark.parametrize("wait", [0.003, 0.02, 0.05])
def test_a_killed_publisher_leaves_the_old_state_or_the_new(repository: PlacementRepository, wait: float) -> None:
    """After SIGKILL at any moment what was acknowledged is in force, or the next; the next publication cleans up."""
    root = Path(__file__).resolve().parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(repository.folder)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(wait)
    process.send_signal(signal.SIGKILL)
    told = [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    process.wait()
    process.stdout.close()
    acknowledged = max(told, default=0)
    found = repository.current_id() or 0
    assert found in (acknowledged, acknowledged + 1)
    assert in_force(repository) == ({f"p{found}"} if found else set())
    assert publish(repository, 999).number == found + 1
    assert in_force(repository) == {"p999"}
    assert not list(repository.folder.glob(".unfinished-*"))


@pytest.mark.parametrize("step", ["rename", "replace"])
def test_stopped_at_each_step_the_old_version_is_in_force(
    repository: PlacementRepository, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """When the disk fails before the version has its name, or before it is the current one, the old one stays, and the
    next publication gets the next number."""
    publish(repository, 1)

    def fails(path: Path, target: Path) -> None:
        raise OSError(28, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Path, step, fails)
        with pytest.raises(PlacementsError, match="no space left"):
            publish(repository, 2)
    assert in_force(repository) == {"p1"}
    assert len(repository.versions()) == 1
    assert publish(repository, 3).number == 2
    assert in_force(repository) == {"p3"}
    assert repository.text(2) == text_of(3)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Where a file is in the place of the folder, publishing says that it cannot be written."""
    (tmp_path / "placements").write_text("")
    with pytest.raises(PlacementsError, match="cannot be written"):
        publish(PlacementRepository(tmp_path / "placements"), 1)


def test_readers_meanwhile_see_whole_versions(repository: PlacementRepository) -> None:
    """While a process publishes, every reading gives one version as it was published."""
    publish(repository, 99)
    context = multiprocessing.get_context("spawn")
    worker = context.Process(target=_publish_many, args=(str(repository.folder), 100))
    worker.start()
    seen = set()
    while worker.is_alive():
        seen |= in_force(repository)
    worker.join()
    assert seen <= {f"p{number}" for number in range(99, 120)}
