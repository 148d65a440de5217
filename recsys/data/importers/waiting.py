"""Where the good rows of an import wait until all files are judged."""

from __future__ import annotations

import io
import tempfile
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import polars as pl

from recsys.errors import InputError

ROWS_IN_MEMORY = 2_000_000
"""Of an import's rows so many wait in memory; the others on the disk that the shop is on."""


class Waiting:
    """Frames, first in, first out. A context manager: at its end, nothing is left.

    What does not stay in memory is written to a file without a name, in the nearest folder above the shop that there
    is: the system takes it away even when the process is killed.
    """

    def __init__(self, home: Path) -> None:
        self._folder = next(path for path in home.absolute().parents if path.is_dir())
        self._frames: deque[pl.DataFrame | tuple[BinaryIO, int, int]] = deque()
        self._rows = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._frames.clear()
        if self._file is not None:
            self._file.close()

    def put(self, frame: pl.DataFrame) -> None:
        """Adds a frame; InputError when there is no room for it on the disk."""
        self._rows += frame.height
        if self._rows <= ROWS_IN_MEMORY:
            self._frames.append(frame)
            return
        packed = io.BytesIO()
        frame.write_ipc(packed, compression="lz4")
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed by __exit__
            start = self._file.seek(0, io.SEEK_END)
            self._file.write(packed.getbuffer())
        except OSError as error:
            raise InputError(
                f"the rows of so many files cannot be kept in {self._folder} until all are read: {error}",
                expected="a folder with room that this user may write; nothing was imported",
                remedy="free space on that disk, or import fewer files at once",
            ) from error
        self._frames.append((self._file, start, self._file.tell() - start))

    def take(self) -> pl.DataFrame:
        """The frame that has waited longest."""
        frame = self._frames.popleft()
        if isinstance(frame, pl.DataFrame):
            return frame
        file, start, size = frame
        file.seek(start)
        return pl.read_ipc(io.BytesIO(file.read(size)))
