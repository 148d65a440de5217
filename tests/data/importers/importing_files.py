"""What the tests of importers share: files from text, and reading them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from recsys.data.importers.options import build_options
from recsys.data.importers.reading import ReadFile, read_file

NOW = round(datetime(2024, 6, 1, tzinfo=UTC).timestamp() * 1000)
MAY = 1714564800000  # 2024-05-01T12:00:00Z


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """A file with this content."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder: Path, content: str | bytes, name: str = "events.csv", **options: str | None) -> ReadFile:
    """What reading a file with this content gives; options as the user types them."""
    return read_file(write(folder, name, content), build_options(now=NOW, **options))


def present(frame: pl.DataFrame) -> list[dict[str, object]]:
    """The rows, each without its empty fields and derived ids."""
    return [
        {
            name: value
            for name, value in row.items()
            if value is not None and not (name == "event_id" and value.startswith("~"))
        }
        for row in frame.iter_rows(named=True)
    ]


def causes(result: ReadFile) -> list[tuple[int, str, str, str]]:
    """Line, cause, field and found of each bad row."""
    return result.quarantine.bad.select("line", "cause", "field", "found").rows()
