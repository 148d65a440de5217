"""`bookmatch doctor` on the command line: what it prints, and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson

from tests.serving.processes import free_port


def doctor(home: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command, run as a user does."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BOOKMATCH_")}
    program = str(Path(sys.executable).with_name("bookmatch"))
    return subprocess.run(
        [program, "doctor", "--home", str(home), "--port", str(free_port()), *options],
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_shop_that_is_not_there_is_a_problem_in_words_and_json(tmp_path: Path) -> None:
    """Exit code 1; what to do stands under what was found."""
    shown = doctor(tmp_path / "none")
    assert shown.returncode == 1
    assert "✗ store: there is no store at" in shown.stdout
    assert "to do: make one with `bookmatch import" in shown.stdout
    document = orjson.loads(doctor(tmp_path / "none", "--json").stdout)
    assert document["state"] == "problem"
    assert {"check", "severity", "found", "expected", "remedy"} == set(document["findings"][0])


def test_a_setting_that_does_not_fit_stops_it_as_it_stops_the_service(tmp_path: Path) -> None:
    """With the same message."""
    refused = doctor(tmp_path, BOOKMATCH_CACHE_TTL="soon")
    assert (refused.returncode, "BOOKMATCH_CACHE_TTL is 'soon'" in refused.stderr) == (1, True)


def test_the_file_of_settings_counts_as_it_does_for_the_service(tmp_path: Path) -> None:
    """Else it would find all well with a cache that the service never uses."""
    file = tmp_path / "settings"
    file.write_text("BOOKMATCH_CACHE_SIZE=7\n")
    shown = doctor(tmp_path / "none", "--json", BOOKMATCH_SETTINGS_FILE=str(file), BOOKMATCH_CACHE_SIZE="9")
    found = {each["check"]: each["found"] for each in orjson.loads(shown.stdout)["findings"]}
    assert found["redis"] == "not used: each worker keeps up to 7 MiB of lists by itself"
