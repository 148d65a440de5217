"""docs/importing.md: its examples do what they say, and no cause is missing."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from recsys.cli.app import main
from recsys.data.events import EVENT_SCHEMA, KINDS_WITHOUT_ITEM, EventKind
from recsys.data.importers.formats import FORMATS
from recsys.data.importers.table import Cause

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "importing.md").read_text()
BLOCKS = re.findall(r"^```(\w+) ?(.*?)\n(.*?)^```$", PAGE, re.M | re.S)


def test_every_example_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files of the page, the commands in their order, and the output of each, to the letter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BOOKMATCH_HOME", raising=False)
    printed, ran = "", 0
    for language, name, text in BLOCKS:
        if language == "csv":
            (tmp_path / name).write_text(text)
        elif language == "sh":
            monkeypatch.setattr("sys.argv", shlex.split(text))
            with pytest.raises(SystemExit) as stop:
                main()
            printed, errors = capsys.readouterr()
            assert stop.value.code in (0, None), errors
        else:
            assert [line.rstrip() for line in printed.splitlines()] == text.splitlines()
            ran += 1
    assert ran == 6


def test_the_page_names_every_cause_column_and_format() -> None:
    """Each stands in its table."""
    for name in [*Cause, *EVENT_SCHEMA, *FORMATS]:
        assert re.search(rf"^\| `{name}` \|", PAGE, re.M), name


def test_the_page_marks_the_kinds_that_need_no_item() -> None:
    """The little circle stands at exactly these."""
    assert {kind for kind in EventKind if f"`{kind}`°" in PAGE} == set(KINDS_WITHOUT_ITEM)
