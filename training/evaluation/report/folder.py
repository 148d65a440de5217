"""The folder of a report: whole, or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from itertools import takewhile
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from recsys.errors import InputError

PAGE = "report.html"
MARKDOWN = "report.md"
METRICS = "metrics.json"
CUSTOMERS = "customers.parquet"


def require_writable(folder: Path) -> None:
    """InputError when the folder is there already, since no report is ever replaced, or when it cannot be made.

    Leaves nothing behind: an evaluation takes long, and whoever ends it finds no trace.
    """
    with _unfinished(folder):
        pass


def write_report(folder: Path, metrics: Mapping[str, Any], customers: pl.DataFrame) -> None:
    """Writes the page, the Markdown, the metrics and the table of customers into a new folder, whole or not at all.

    InputError as `require_writable`, or on a full disk.
    """
    # Drawing takes a second to load, and most commands never draw.
    from training.evaluation.report import markdown, page

    # Written by polars itself, a full disk would be one of the errors that polars has for everything.
    table = BytesIO()
    customers.write_parquet(table)
    files = {
        METRICS: orjson.dumps(metrics, option=orjson.OPT_INDENT_2),
        CUSTOMERS: table.getvalue(),
        PAGE: page.render(metrics).encode(),
        MARKDOWN: markdown.render(metrics).encode(),
    }
    write_files(folder, files)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes files into a new folder, whole or not at all; InputError as `require_writable`, or on a full disk."""
    with _unfinished(folder) as unfinished:
        for name, content in files.items():
            (unfinished / name).write_bytes(content)
        _refuse_existing(folder)
        unfinished.rename(folder)


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, and the folders above both. What is empty or unfinished in the end is removed."""
    with _told(folder), ExitStack() as undo:
        for each in reversed(list(takewhile(lambda above: not above.exists(), folder.parents))):
            each.mkdir(exist_ok=True)
            undo.callback(_remove_if_empty, each)
        _refuse_existing(folder)
        unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
        unfinished.mkdir()
        undo.callback(shutil.rmtree, unfinished, ignore_errors=True)
        yield unfinished


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _refuse_existing(folder: Path) -> None:
    if folder.exists() or folder.is_symlink():
        raise InputError(
            f"{folder} exists already", expected="a new folder for the report", remedy="name another, or remove it"
        )


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"the report cannot be written to {folder}: {error}",
            expected="a new folder in one with room that this user may write",
            remedy="name another folder, or give that right or free space there",
        ) from error
