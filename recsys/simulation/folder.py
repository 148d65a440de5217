"""Writing a shop's files so that a folder is either whole or not there."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

import recsys
from recsys.errors import InputError
from recsys.simulation.blocks import Simulation
from recsys.simulation.frames import BookFrames, consent_frame, customer_frames, event_frame, gift_frame
from recsys.simulation.spec import ShopSpec

FORMAT_VERSION = 2
RECORD = "simulation.json"
"""The file that says what a folder holds; a folder without it is no simulated shop."""
TRUTH = "truth"
_ROWS_PER_GROUP = 250_000


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a simulation.

    Attributes
    ----------
    folder : where it is.
    fresh : False when the very same simulation was there already and nothing was written.
    record : what `simulation.json` says.
    """

    folder: Path
    fresh: bool
    record: dict[str, Any]


def write_shop(spec: ShopSpec, folder: Path, progress: Callable[[int, int], None] | None = None) -> Written:
    """Simulates a shop into `folder`, which appears only when it is whole.

    Parameters
    ----------
    folder : must not exist, or be empty, or hold the very same simulation (then nothing is done).
    progress : called after each block with the number of blocks done and of all.

    Raises
    ------
    InputError : when the folder holds something else, cannot be written, or another process is writing it.
    """
    try:
        if folder.exists():
            there = _what_is_there(spec, folder)
            if there is not None:
                return Written(folder, False, there)
        with _unfinished(folder.absolute()) as temporary:
            record = _write_files(spec, temporary, progress or (lambda _done, _all: None))
            as_text = orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
            (temporary / RECORD).write_bytes(as_text)
            temporary.rename(folder)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written: {error}", expected="a place with room that may be written to"
        ) from error
    return Written(folder, True, record)


def read_record(folder: Path) -> dict[str, Any]:
    """What `simulation.json` in a folder says. Raises InputError when there is none or it is not one."""
    path = folder / RECORD
    try:
        record = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{folder} has no {RECORD}", expected="a folder that `bookmatch simulate` has written to its end"
        ) from None
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON: {error}", expected="the file as `bookmatch simulate` wrote it") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT_VERSION:
        raise InputError(
            f"{path} is not a record of format {FORMAT_VERSION}",
            expected="a shop simulated by this version",
            remedy="simulate it again",
        )
    return record


def _header(spec: ShopSpec) -> dict[str, Any]:
    """What makes two simulations the same."""
    return {"format": FORMAT_VERSION, "software": f"bookmatch {recsys.__version__}", "parameters": spec.to_json()}


def _what_is_there(spec: ShopSpec, folder: Path) -> dict[str, Any] | None:
    """The record of the same simulation in an existing folder, None when the folder is empty."""
    if not folder.is_dir():
        raise InputError(f"{folder} is a file", expected="a folder that does not exist yet")
    if not any(folder.iterdir()):
        return None
    remedy = "choose another folder or remove this one"
    if not (folder / RECORD).exists():
        raise InputError(f"{folder} is not empty", expected="a folder that does not exist yet", remedy=remedy)
    record = read_record(folder)
    header = _header(spec)
    if any(record.get(name) != value for name, value in header.items()):
        old, new = record.get("parameters", {}), spec.to_json()
        differing = [f"{name} {old.get(name)} instead of {new[name]}" for name in new if old.get(name) != new[name]]
        if record.get("software") != header["software"]:
            differing.append(f"software {record.get('software')} instead of {header['software']}")
        raise InputError(
            f"{folder} holds another simulation ({', '.join(differing)})",
            expected="an empty folder or the very same simulation",
            remedy=remedy,
        )
    return record


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`, removed unless it was renamed; what a killed process left is cleared."""
    temporary = folder.parent / f".{folder.name}.unfinished"
    temporary.mkdir(parents=True, exist_ok=True)
    lock = os.open(temporary, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"another process is writing {folder}", expected="one at a time", remedy="wait for it to end"
            ) from None
        try:
            for left in temporary.iterdir():
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink()
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    finally:
        os.close(lock)


def _write_files(spec: ShopSpec, folder: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
    truth, parts, said = folder / TRUTH, folder / "customers", folder / "consents"
    for each in (truth, parts, said):
        each.mkdir()
    simulation = Simulation(spec)
    books = BookFrames.of(spec, simulation.books)
    _write(books.items, folder / "items.parquet")
    _write(books.truth, truth / "books.parquet")
    _write(books.stock_outs, truth / "stock_outs.parquet")
    kinds: dict[str, int] = {}
    for number in range(spec.blocks):
        block = simulation.block(number)
        customers, of_customers = customer_frames(spec, block)
        events = event_frame(block, simulation.books, books, customers["customer_id"], spec.currency)
        name = f"{number:05d}.parquet"
        _write(customers, parts / name)
        _write(consent_frame(spec, block), said / name)
        _write(of_customers, truth / f"customers-{name}")
        _write(events, folder / f"events-{name}")
        _write(gift_frame(block, events["event_id"]), truth / f"gifts-{name}")
        for kind, count in events["kind"].value_counts().iter_rows():
            kinds[kind] = kinds.get(kind, 0) + count
        progress(number + 1, spec.blocks)
    for part in (parts, said):
        pl.scan_parquet(sorted(part.iterdir())).sink_parquet(
            folder / f"{part.name}.parquet", row_group_size=_ROWS_PER_GROUP, maintain_order=True
        )
        shutil.rmtree(part)
    return _header(spec) | {
        "books": spec.books,
        "customers": spec.customers,
        "events": sum(kinds.values()),
        "events_by_kind": dict(sorted(kinds.items())),
        "blocks": spec.blocks,
        "first": spec.start_ms,
        "end": spec.end_ms,
    }


def _write(frame: pl.DataFrame, path: Path) -> None:
    frame.write_parquet(path, row_group_size=_ROWS_PER_GROUP)
