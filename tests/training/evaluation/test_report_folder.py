"""The folder of a report is whole, or not there."""

from __future__ import annotations

import errno
from pathlib import Path
from unittest.mock import Mock

import polars as pl
import pytest

from recsys.data.importers.options import build_options
from recsys.errors import InputError, NotEnoughDataError
from tests.training.evaluation.divided_worlds import rules
from tests.worlds import START
from training.evaluation.asked import Asked, Protocol
from training.evaluation.report import write_report
from training.evaluation.running import run
from training.fitting import TrainingConfig
from training.stages import StageLog


def evaluated(history: Path, folder: Path) -> None:
    """Evaluates a file of events and writes the report into the folder."""
    asked = Asked(
        protocol=Protocol.LEAVE_LAST_OUT,
        rules=rules(),
        train=(history,),
        test=None,
        cut=None,
        items=None,
        ks=(1,),
        options=build_options(now=START),
    )
    run(asked, TrainingConfig(), folder, StageLog(), budget=0)


@pytest.mark.parametrize("place", ["file/report", "file/deep/report", "x" * 300])
def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_read(tmp_path: Path, place: str) -> None:
    """Below a file, or with too long a name: that is said before the input is looked for, and nothing is left."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"the report cannot be written to .*name another folder"):
        evaluated(tmp_path / "missing.csv", tmp_path / place)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_told_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room for the report: the error says so; neither a half of it is there nor the folders made for it."""
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(Path, "write_bytes", Mock(side_effect=full))
    with pytest.raises(InputError, match=r"cannot be written to .*No space left.*free space"):
        write_report(tmp_path / "new" / "report", {}, pl.DataFrame())
    assert list(tmp_path.iterdir()) == []


def test_a_report_makes_the_folders_above_it(tmp_path: Path) -> None:
    """The whole path is made for a report that is written, and nothing else is beside it: page, text and numbers."""
    write_report(tmp_path / "new" / "deep" / "report", {}, pl.DataFrame({"a": [1]}))
    assert sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*")) == [
        "new",
        "new/deep",
        "new/deep/report",
        "new/deep/report/customers.parquet",
        "new/deep/report/metrics.json",
        "new/deep/report/report.html",
        "new/deep/report/report.md",
    ]


def test_a_failed_evaluation_leaves_no_folder(tmp_path: Path) -> None:
    """Too little data: neither the report nor a half of it nor a folder made for it is there."""
    history = tmp_path / "events.csv"
    history.write_text("customer_id,item_id,kind,timestamp\nu,a,purchase,1700000000\nu,b,purchase,1700086400\n")
    with pytest.raises(NotEnoughDataError):
        evaluated(history, tmp_path / "new" / "report")
    assert list(tmp_path.iterdir()) == [history]
