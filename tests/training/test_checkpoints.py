"""A stopped run goes on with what it finished, and with nothing that is another's or damaged."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import InputError
from training.checkpoints import Arrays, Checkpoints, training_alone

RUN = {"data": "fingerprint", "seed": 0}


class Stage:
    """Computes something and counts how often."""

    def __init__(self, value: int = 7) -> None:
        self.value = value
        self.times = 0

    def __call__(self) -> Arrays:
        self.times += 1
        return {"a": np.full(5, self.value), "nothing": np.zeros((0, 3), dtype=np.float32)}


def taken(folder: Path, stage: Callable[[], Arrays], described: dict[str, object] = RUN) -> Arrays:
    """The stage's arrays in a new run."""
    with training_alone(folder):
        return Checkpoints.of(folder, described).stage("item-item", stage)


def test_a_finished_stage_is_taken_from_disk(tmp_path: Path) -> None:
    """A second run of the same description computes nothing and gets equal arrays of equal types."""
    stage = Stage()
    first = taken(tmp_path / "kept", stage)
    second = taken(tmp_path / "kept", stage)
    assert stage.times == 1
    assert {name: (array.dtype, array.tolist()) for name, array in second.items()} == {
        name: (array.dtype, array.tolist()) for name, array in first.items()
    }
    assert second["nothing"].shape == (0, 3)


def test_another_run_finds_nothing_and_clears_what_was_there(tmp_path: Path) -> None:
    """With other data, another seed or another setting every stage is computed; old stages do not pile up."""
    stage = Stage()
    taken(tmp_path, stage)
    taken(tmp_path, stage, {**RUN, "seed": 1})
    assert stage.times == 2
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1
    taken(tmp_path, stage)
    assert stage.times == 3


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "record"])
def test_a_damaged_stage_is_computed_again(tmp_path: Path, damage: str) -> None:
    """A changed byte, a missing end, a missing file, a broken record: the stage counts as not done."""
    stage = Stage()
    taken(tmp_path, stage)
    (path,) = tmp_path.rglob("stage.json" if damage == "record" else "a.npy")
    content = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + (b"" if damage != "flip" else bytes([content[-1] ^ 1])))
    assert taken(tmp_path, stage)["a"].tolist() == [7] * 5
    assert stage.times == 2
    taken(tmp_path, stage)
    assert stage.times == 2


def test_a_failed_stage_leaves_nothing(tmp_path: Path) -> None:
    """An error or Ctrl-C while computing is not taken for a result."""

    def interrupted() -> Arrays:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taken(tmp_path, interrupted)
    stage = Stage()
    taken(tmp_path, stage)
    assert stage.times == 1


def test_what_was_finished_survives_a_kill(tmp_path: Path) -> None:
    """Killed in its second stage, a run leaves the first whole; the next one computes the second alone."""
    script = """
import sys, time
from pathlib import Path
import numpy as np
from training.checkpoints import Checkpoints, training_alone
with training_alone(Path(sys.argv[1])):
    checkpoints = Checkpoints.of(Path(sys.argv[1]), {"data": "fingerprint", "seed": 0})
    checkpoints.stage("item-item", lambda: {"a": np.full(5, 3)})
    print("done", flush=True)
    checkpoints.stage("als", lambda: time.sleep(60))
"""
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        with pytest.raises(InputError, match="another process"):
            taken(tmp_path, Stage())
        process.send_signal(signal.SIGKILL)
    first, second = Stage(), Stage()
    (tmp_path / ".DS_Store").write_text("")
    with training_alone(tmp_path):
        checkpoints = Checkpoints.of(tmp_path, RUN)
        assert checkpoints.stage("item-item", first)["a"].tolist() == [3] * 5
        assert checkpoints.stage("als", second)["a"].tolist() == [7] * 5
        checkpoints.clear()
    assert (first.times, second.times) == (0, 1)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file in its place is named, with what to do."""
    (tmp_path / "kept").write_text("")
    with pytest.raises(InputError, match=r"cannot be kept.*To do"):
        taken(tmp_path / "kept", Stage())
