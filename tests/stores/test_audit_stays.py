"""The file itself keeps the audit as it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from recsys.access.audit import Act, Actor, audit
from recsys.stores import open_store


@pytest.mark.parametrize("statement", ["DELETE FROM audit", "UPDATE audit SET actor = 'nobody'"])
def test_no_statement_changes_a_line(tmp_path: Path, statement: str) -> None:
    """Not even one of another program."""
    store = open_store(tmp_path / "store.db")
    line = audit(store, Act.KEY_CREATED, ["k"], Actor("user:ann"), 10)
    store.close()
    with closing(sqlite3.connect(tmp_path / "store.db")) as other, pytest.raises(sqlite3.IntegrityError, match="never"):
        other.execute(statement)
    store = open_store(tmp_path / "store.db")
    assert list(store.audit.read()) == [line]
    store.close()
