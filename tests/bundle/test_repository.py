"""Bundles are verified data: published whole, refused when damaged, and taken back."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import orjson
import pytest

from recsys.bundle import BundleRepository, ModelBundle
from recsys.bundle.bundle import Arrays, bundle_arrays
from recsys.bundle.manifest import FORMAT_VERSION, READABLE
from recsys.errors import BundleError
from tests.worlds import START, published, two_tastes


@pytest.fixture
def bundle(tmp_path: Path) -> ModelBundle:
    """A small bundle, in force in `tmp_path`."""
    return published(tmp_path, two_tastes())


def arrays_of(bundle: ModelBundle) -> Arrays:
    """The arrays that a bundle was made from."""
    return bundle_arrays(
        bundle.items,
        (
            bundle.popularity,
            bundle.interest,
            bundle.item_item,
            bundle.als,
            bundle.spectral,
            bundle.content,
            bundle.repeat,
            bundle.related,
        ),
        bundle.rp3beta,
    )


def publish_again(folder: Path, bundle: ModelBundle, seed: int) -> str:
    """Publishes the same arrays under another manifest, and returns its id."""
    from dataclasses import replace

    arrays = arrays_of(bundle)
    return BundleRepository(folder).publish(replace(bundle.manifest, seed=seed), arrays, {"at": START}, START)


def test_what_is_read_is_what_was_written(tmp_path: Path, bundle: ModelBundle) -> None:
    """Every array and every manifest field survives, and the arrays are mapped, not copied."""
    again = BundleRepository(tmp_path).load(bundle.bundle_id)
    assert again.manifest == bundle.manifest
    ours = arrays_of(again)
    for name, array in arrays_of(bundle).items():
        np.testing.assert_array_equal(ours[name], array)
    base = ours["als.item_factors"]
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


def test_the_same_content_has_the_same_id(tmp_path: Path, bundle: ModelBundle) -> None:
    """Publishing the same again makes no second copy; another seed is another bundle."""
    repository = BundleRepository(tmp_path)
    assert publish_again(tmp_path, bundle, bundle.manifest.seed) == bundle.bundle_id
    assert repository.bundle_ids() == [bundle.bundle_id]
    other = publish_again(tmp_path, bundle, 99)
    assert repository.bundle_ids() == [bundle.bundle_id, other]


def every_file(folder: Path) -> list[Path]:
    """The files that a bundle's hashes cover."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "build.json")


def test_one_flipped_byte_anywhere_is_found(tmp_path: Path, bundle: ModelBundle) -> None:
    """Whichever file is damaged, wherever, loading refuses; and says which file."""
    repository = BundleRepository(tmp_path)
    files = every_file(tmp_path / bundle.bundle_id)
    assert len(files) == 1 + len(bundle.manifest.arrays)
    for path in files:
        whole = path.read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(BundleError):
                repository.load(bundle.bundle_id)
        path.write_bytes(whole[:-1])
        with pytest.raises(BundleError):
            repository.load(bundle.bundle_id)
        path.write_bytes(whole)
    assert repository.load(bundle.bundle_id).manifest == bundle.manifest


def test_a_missing_file_is_a_clear_error(tmp_path: Path, bundle: ModelBundle) -> None:
    """The message names the file and what to do."""
    (tmp_path / bundle.bundle_id / "arrays" / "popularity.score.npy").unlink()
    with pytest.raises(BundleError, match=r"popularity\.score\.npy.*bookmatch train"):
        BundleRepository(tmp_path).load(bundle.bundle_id)


@pytest.mark.parametrize("found", [min(READABLE) - 1, FORMAT_VERSION + 3])
def test_another_format_is_refused_by_its_number(tmp_path: Path, bundle: ModelBundle, found: int) -> None:
    """A bundle from an earlier or a later version says which format it has and which is expected."""
    path = tmp_path / bundle.bundle_id / "manifest.json"
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | {"format_version": found}))
    with pytest.raises(BundleError, match=rf"format version {found}\..*format version 4 or {FORMAT_VERSION}\."):
        BundleRepository(tmp_path).load(bundle.bundle_id)


def test_a_bundle_of_the_format_before_is_read_and_verified(tmp_path: Path, bundle: ModelBundle) -> None:
    """It names SHA-256 hashes; one byte of another file and it is refused."""
    written = tmp_path / bundle.bundle_id
    manifest = orjson.loads((written / "manifest.json").read_bytes()) | {"format_version": 4}
    for name, entry in manifest["arrays"].items():
        del entry["blake3"]
        entry["sha256"] = hashlib.sha256((written / "arrays" / f"{name}.npy").read_bytes()).hexdigest()
    content = orjson.dumps(manifest)
    (written / "manifest.json").write_bytes(content)
    own = hashlib.sha256(content).hexdigest()[:16]
    written.rename(tmp_path / own)
    assert list(BundleRepository(tmp_path).load(own).items) == list(bundle.items)
    path = tmp_path / own / "arrays" / "popularity.score.npy"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(BundleError, match=r"popularity\.score\.npy is damaged"):
        BundleRepository(tmp_path).load(own)


def test_a_damaged_copy_is_replaced_by_publishing_again(tmp_path: Path, bundle: ModelBundle) -> None:
    """The id stays, the content is whole again."""
    whole = {name: np.array(array) for name, array in arrays_of(bundle).items()}
    (tmp_path / bundle.bundle_id / "arrays" / "als.square.npy").write_bytes(b"rubbish")
    again = BundleRepository(tmp_path).publish(bundle.manifest, whole, {"at": START}, START)
    assert again == bundle.bundle_id
    BundleRepository(tmp_path).load(again)


def test_rollback_walks_back_through_what_was_in_force(tmp_path: Path, bundle: ModelBundle) -> None:
    """A, B, C, back to B, back to A, and then there is nothing further; promoting puts C in force again."""
    repository = BundleRepository(tmp_path)
    a = bundle.bundle_id
    b, c = publish_again(tmp_path, bundle, 1), publish_again(tmp_path, bundle, 2)
    assert repository.current_id() == c
    assert (repository.rollback(START), repository.current_id()) == (b, b)
    assert (repository.rollback(START), repository.current_id()) == (a, a)
    with pytest.raises(BundleError, match="no earlier bundle"):
        repository.rollback(START)
    repository.promote(c, START)
    assert repository.current_id() == c
    assert repository.rollback(START) == a
    actions = [entry.action for entry in repository.publications()]
    assert actions == ["publish", "publish", "publish", "rollback", "rollback", "promote", "rollback"]


def test_only_a_bundle_that_verifies_is_put_in_force(tmp_path: Path, bundle: ModelBundle) -> None:
    """Promoting or rolling back to a damaged bundle fails and the one in force stays."""
    repository = BundleRepository(tmp_path)
    other = publish_again(tmp_path, bundle, 1)
    (tmp_path / bundle.bundle_id / "arrays" / "als.square.npy").unlink()
    for attempt in (lambda: repository.promote(bundle.bundle_id, START), lambda: repository.rollback(START)):
        with pytest.raises(BundleError):
            attempt()
        assert repository.current_id() == other


@pytest.mark.parametrize("name", ["", "nope", "..", "../models", "current", ".lock"])
def test_an_unknown_id_is_an_error_and_never_a_path(tmp_path: Path, bundle: ModelBundle, name: str) -> None:
    """Only ids that the list shows are looked at."""
    with pytest.raises(BundleError, match="there is no bundle"):
        BundleRepository(tmp_path).load(name)


def test_what_the_disk_refuses_is_told_and_changes_nothing(tmp_path: Path, bundle: ModelBundle) -> None:
    """Publishing, promoting and rolling back say that the folder cannot be written; the bundle in force stays."""
    repository = BundleRepository(tmp_path / "models")
    first = publish_again(repository.folder, bundle, 1)
    lock = repository.folder / ".lock"
    lock.unlink()
    lock.mkdir()  # Stands for a read-only file system, which a test run by root cannot make of a folder's rights.
    with pytest.raises(BundleError, match="cannot be written"):
        publish_again(repository.folder, bundle, 7)
    with pytest.raises(BundleError, match="cannot be written"):
        repository.promote(first, START)
    with pytest.raises(BundleError, match="cannot be written"):
        repository.rollback(START)
    assert repository.current_id() == first
    assert repository.bundle_ids() == [first]


def test_an_empty_folder_has_nothing_in_force(tmp_path: Path) -> None:
    """Before the first publication there is no current bundle, and asking makes no folder."""
    repository = BundleRepository(tmp_path / "models")
    assert (repository.current_id(), repository.bundle_ids()) == (None, [])
    assert not (tmp_path / "models").exists()


def _publish_many(folder: str, first: int) -> None:
    bundle = BundleRepository(Path(folder)).load(BundleRepository(Path(folder)).bundle_ids()[0])
    for seed in range(first, first + 4):
        publish_again(Path(folder), bundle, seed)


def test_two_publishers_do_not_lose_each_others_work(tmp_path: Path, bundle: ModelBundle) -> None:
    """Eight bundles published by two processes at once are all there, and so are eight entries of the log."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_publish_many, args=(str(tmp_path), first)) for first in (100, 200)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    repository = BundleRepository(tmp_path)
    assert len(repository.bundle_ids()) == len(repository.publications()) == 9
    repository.load(repository.current_id() or "")


KILLED = """
import sys
from pathlib import Path
from recsys.bundle import BundleRepository
from tests.bundle.test_repository import publish_again
folder = Path(sys.argv[1])
bundle = BundleRepository(folder).load(BundleRepository(folder).bundle_ids()[0])
print("ready", flush=True)
seed = int(sys.argv[2])
while True:
    seed += 1
    publish_again(folder, bundle, seed)
"""


@pytest.mark.parametrize("wait", [0.02, 0.05, 0.11])
def test_a_killed_publisher_leaves_a_bundle_that_verifies(tmp_path: Path, bundle: ModelBundle, wait: float) -> None:
    """After SIGKILL at any moment the bundle in force loads, and the next publication cleans up."""
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), "1000"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(wait)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    repository = BundleRepository(tmp_path)
    for bundle_id in repository.bundle_ids():
        repository.load(bundle_id)
    assert repository.current_id() in repository.bundle_ids()
    publish_again(tmp_path, bundle, 1)
    assert not list(tmp_path.glob(".unfinished-*"))
