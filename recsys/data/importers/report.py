"""What an import did, as values: for a table on a terminal and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recsys.stores.protocols import Ingested

NOTHING = Ingested(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What became of one file.

    Attributes
    ----------
    path : as the user gave it.
    read_as : the type of file and, with a format, its layout.
    rows : how many were read, bad and set-aside ones included.
    bad : cause → rows.
    aside : rule → rows.
    events, items, customers : how many were added, were there before, (never events) replaced what was there, and were
        left out as their customers asked to be forgotten.
    bad_file, aside_file : where those rows were written, if there are any.
    time_read_as : how times were read; empty when there are none.
    notes : what else is worth knowing.
    """

    path: Path
    read_as: str
    rows: int
    bad: Mapping[str, int]
    aside: Mapping[str, int]
    events: Ingested = NOTHING
    items: Ingested = NOTHING
    customers: Ingested = NOTHING
    bad_file: Path | None = None
    aside_file: Path | None = None
    time_read_as: str = ""
    notes: tuple[str, ...] = ()

    @property
    def bad_share(self) -> float:
        """Bad rows as a share of the rows that were not set aside."""
        considered = self.rows - sum(self.aside.values())
        return sum(self.bad.values()) / considered if considered else 0.0

    def stored(self, events: Ingested, items: Ingested, customers: Ingested) -> FileReport:
        """The same report with what the store did."""
        return replace(self, events=events, items=items, customers=customers)

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "file": str(self.path),
            "read_as": self.read_as,
            "rows": self.rows,
            "bad": dict(self.bad),
            "aside": dict(self.aside),
            **{
                name: {
                    "added": ingested.added,
                    "known": ingested.known,
                    "changed": ingested.changed,
                    "forgotten": ingested.forgotten,
                }
                for name, ingested in (("events", self.events), ("items", self.items), ("customers", self.customers))
            },
            "bad_file": str(self.bad_file) if self.bad_file else None,
            "aside_file": str(self.aside_file) if self.aside_file else None,
            "times": self.time_read_as or None,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of all files of one import; `written` is false for a dry run."""

    files: tuple[FileReport, ...]
    written: bool

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {"written": self.written, "files": [each.to_json() for each in self.files]}
