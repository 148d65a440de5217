"""The API does what its description says, whatever is sent: schemathesis over every operation of /openapi.json."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from recsys.access.keys import Role
from tests.serving.keys import given_key
from tests.serving.processes import serving

# A description cannot say that a time lies in the past: 422 is no surprise for what fits it. All else stays checked.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 404, 409, 422]
"""


def test_every_operation_keeps_its_word(trained_shop: Path, tmp_path: Path) -> None:
    """No server error; no status, type or shape that is not described; nothing accepted that breaks the schema or comes
    without a key."""
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    home = Path(shutil.copytree(trained_shop, tmp_path / "shop"))
    key = given_key(home, Role.ADMIN)
    with serving(home) as server:
        told = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "--config-file", str(tmp_path / "schemathesis.toml"), "run",
                f"{server.url}/openapi.json", "--checks", "all", "--phases", "examples,coverage,fuzzing",
                "--max-examples", "25", "--no-color", "--generation-deterministic",
                "--header", f"Authorization: Bearer {key.text}",
            ],
            check=False, capture_output=True, text=True, cwd=tmp_path,
        )  # fmt: skip
        assert told.returncode == 0, told.stdout[-8_000:] + told.stderr[-2_000:]
        assert "Traceback" not in server.log.read_text()
    assert "Tested:" in told.stdout
