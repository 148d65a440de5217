"""A simulated folder is whole, reproducible, and never written over."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

import recsys
from recsys.errors import InputError
from recsys.simulation.folder import read_record, write_shop
from recsys.simulation.spec import ShopSpec

SPEC = ShopSpec(books=60, customers=80, events=3_000, events_per_block=1_000)
WRITE = """
import sys
from pathlib import Path
from recsys.simulation.folder import write_shop
from recsys.simulation.spec import ShopSpec
write_shop(ShopSpec(books=300, customers=700, events=30_000, seed=5, events_per_block=10_000), Path(sys.argv[1]))
"""


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    """The same parameters and seed give byte-identical files, even with another hash seed and another thread count."""
    written = []
    for name, setting in (("one", "1"), ("two", "2")):
        environment = os.environ | {"PYTHONHASHSEED": setting, "POLARS_MAX_THREADS": setting}
        subprocess.run([sys.executable, "-c", WRITE, tmp_path / name], check=True, env=environment)
        written.append(hashes(tmp_path / name))
    assert written[0] == written[1]
    assert {"items.parquet", "customers.parquet", "events-00002.parquet", "simulation.json"} <= set(written[0])


def test_another_seed_is_another_shop(tmp_path: Path) -> None:
    """Every file of data differs when only the seed does."""
    write_shop(SPEC, tmp_path / "one")
    write_shop(ShopSpec(**(SPEC.to_json() | {"seed": 2})), tmp_path / "two")  # type: ignore[arg-type]
    one, two = hashes(tmp_path / "one"), hashes(tmp_path / "two")
    assert not set(one.values()) & set(two.values())


def test_the_record_tells_everything_needed_to_write_it_again(tmp_path: Path) -> None:
    """simulation.json holds all parameters, the software's version and the counts, and reads back."""
    written = write_shop(SPEC, tmp_path / "shop")
    record = read_record(tmp_path / "shop")
    assert record == written.record
    assert ShopSpec(**record["parameters"]) == SPEC
    assert record["software"] == f"bookmatch {recsys.__version__}"
    assert sum(record["events_by_kind"].values()) == record["events"]


def test_the_same_simulation_again_changes_nothing(tmp_path: Path) -> None:
    """A folder that holds the very same simulation is left as it is, and this is said."""
    first = write_shop(SPEC, tmp_path / "shop")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "shop").rglob("*")}
    again = write_shop(SPEC, tmp_path / "shop")
    assert (first.fresh, again.fresh) == (True, False)
    assert again.record == first.record
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "shop").rglob("*")} == before


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    """A foreign file, another simulation or a plain file in the way are named and left alone."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        write_shop(SPEC, tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]
    write_shop(SPEC, tmp_path / "shop")
    other = ShopSpec(**(SPEC.to_json() | {"seed": 2, "books": 61}))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="books 60 instead of 61, seed 1 instead of 2"):
        write_shop(other, tmp_path / "shop")
    with pytest.raises(InputError, match="is a file"):
        write_shop(SPEC, tmp_path / "full" / "notes.txt")


def test_a_shop_of_another_version_is_refused(tmp_path: Path) -> None:
    """The same parameters under another software version are another simulation, and a damaged record is told."""
    write_shop(SPEC, tmp_path / "shop")
    path = tmp_path / "shop" / "simulation.json"
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | {"software": "bookmatch 0.0.1"}))
    with pytest.raises(InputError, match=r"software bookmatch 0\.0\.1 instead of"):
        write_shop(SPEC, tmp_path / "shop")
    path.write_bytes(b'{"format": 1')
    with pytest.raises(InputError, match="is not JSON"):
        write_shop(SPEC, tmp_path / "shop")
    path.write_bytes(b'{"format": 99}')
    with pytest.raises(InputError, match="not a record of format 2"):
        write_shop(SPEC, tmp_path / "shop")


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    """A folder that exists and is empty counts as not there."""
    (tmp_path / "shop").mkdir()
    assert write_shop(SPEC, tmp_path / "shop").fresh
    assert (tmp_path / "shop" / "simulation.json").exists()


def test_a_stopped_run_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C between two blocks leaves neither the folder nor the unfinished one beside it."""

    def stop(done: int, blocks: int) -> None:
        assert blocks == SPEC.blocks
        assert not (tmp_path / "shop").exists()
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shop(SPEC, tmp_path / "shop", stop)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    """Files in the unfinished folder of a run that was killed do not get into the next one."""
    left = tmp_path / ".shop.unfinished"
    (left / "truth").mkdir(parents=True)
    (left / "events-99999.parquet").write_bytes(b"half")
    write_shop(SPEC, tmp_path / "shop")
    write_shop(SPEC, tmp_path / "clean")
    assert hashes(tmp_path / "shop") == hashes(tmp_path / "clean")
    assert not left.exists()


def test_two_runs_into_one_folder_do_not_mix(tmp_path: Path) -> None:
    """While one process writes a folder, a second is refused and takes nothing away from the first."""
    busy = tmp_path / ".shop.unfinished"
    busy.mkdir()
    (busy / "items.parquet").write_bytes(b"half")
    lock = os.open(busy, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is writing"):
            write_shop(SPEC, tmp_path / "shop")
    finally:
        os.close(lock)
    assert (busy / "items.parquet").read_bytes() == b"half"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A path below a plain file is refused with the system's reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_shop(SPEC, tmp_path / "file" / "shop")
