"""`bookmatch doctor` over a healthy shop: exit codes, and that every check is documented."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

import serving.doctor
from recsys.cli.app import app
from serving.doctor.findings import Severity
from tests.serving.processes import free_port

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("threads", "options", "state", "code"),
    [("1", [], "ok", 0), ("64000", [], "warning", 0), ("64000", ["--strict"], "warning", 1)],
)
def test_warnings_count_only_when_they_are_to(
    healthy: Path, monkeypatch: pytest.MonkeyPatch, threads: str, options: list[str], state: str, code: int
) -> None:
    """0 for a shop fit to serve, with advice or without; `--strict` makes a warning an exit code of 1."""
    monkeypatch.setenv("BOOKMATCH_HOME", str(healthy))
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    command = ["doctor", "--home", str(healthy), "--port", str(free_port()), "--json", *options]
    result = CliRunner().invoke(app, command)
    document = orjson.loads(result.stdout)
    bad = [each for each in document["findings"] if each["severity"] not in ("ok", "note")]
    # A disk may be slow while tests run; nothing else may be wrong.
    assert {each["check"] for each in bad} <= {"threads", "disk speed"}
    if "disk speed" not in {each["check"] for each in bad}:
        assert (document["state"], result.exit_code) == (state, code)


def test_every_check_is_documented() -> None:
    """docs/operations.md has a row for each, and no row is of one that is gone."""
    section = (ROOT / "docs" / "operations.md").read_text().split("\n## The doctor\n")[1].split("\n## ")[0]
    documented = set(re.findall(r"^\| `([a-z ]+)` \|", section, re.M))
    makers = {"well", "note", "warning", "problem", "problem_of"}
    named = set()
    for path in Path(str(serving.doctor.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in makers:
                first = node.args[0]
                named |= {first.value} if isinstance(first, ast.Constant) else set()
    assert documented == named


def test_severities_are_documented() -> None:
    """By their names in --json."""
    section = (ROOT / "docs" / "operations.md").read_text().split("\n## The doctor\n")[1].split("\n## ")[0]
    assert [each for each in Severity if f"`{each}`" not in section] == []
