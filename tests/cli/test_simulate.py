"""`bookmatch simulate` as people and programs use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
from typer.testing import CliRunner

from recsys.cli.app import app

SMALL = ["--books", "60", "--customers", "50", "--events", "2000"]


def test_people_read_what_was_written_and_what_to_do_next(tmp_path: Path) -> None:
    """The answer counts books, customers and events by kind, and names the import commands; again, nothing is done."""
    arguments = ["simulate", str(tmp_path / "shop"), *SMALL]
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0
    assert "60 books, 50 customers" in first.output
    assert f"bookmatch import {tmp_path / 'shop' / 'items.parquet'} --as items" in first.output
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 0
    assert "nothing was done" in again.output


def test_programs_read_json(tmp_path: Path) -> None:
    """With --json the one line of output is the record, with the folder and whether it is fresh."""
    arguments = ["simulate", str(tmp_path / "shop"), *SMALL, "--seed", "9", "--end", "2025-06-30", "--json"]
    answers = [orjson.loads(CliRunner().invoke(app, arguments).output) for _ in range(2)]
    record = orjson.loads((tmp_path / "shop" / "simulation.json").read_bytes())
    assert answers[0] == {"folder": str(tmp_path / "shop"), "fresh": True, **record}
    assert answers[1] == answers[0] | {"fresh": False}
    assert (record["parameters"]["seed"], record["parameters"]["end"]) == (9, "2025-06-30")


def test_many_blocks_are_written_behind_a_progress_bar(tmp_path: Path) -> None:
    """A shop of several blocks is complete too, and the bar does not get into the output."""
    arguments = ["simulate", str(tmp_path / "shop"), "--books", "60", "--customers", "40000", "--events", "600000"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert done.stdout.startswith(f"{tmp_path / 'shop'}: 60 books, 40,000 customers")
    assert len(list((tmp_path / "shop").glob("events-*.parquet"))) == 2


def test_a_shop_that_cannot_be_is_refused_in_one_paragraph(tmp_path: Path) -> None:
    """A wrong parameter ends with code 1 and a message, without a traceback and without a folder."""
    command = [sys.executable, "-c", "from recsys.cli import main; main()", "simulate", str(tmp_path / "shop")]
    done = subprocess.run([*command, "--books", "7"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: books is 7. Expected: at least 50.\n"
    assert not (tmp_path / "shop").exists()
