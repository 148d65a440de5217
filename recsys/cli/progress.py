"""Progress bars on a terminal; nothing elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Bars:
    """One bar per stage, on standard error, so that output can be piped. A context manager."""

    def __init__(self, *, visible: bool) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not (visible and console.is_terminal),
        )
        self._task: TaskID | None = None
        self._stage = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def start(self, stage: str, total: int | None) -> None:
        """A stage begins; `total` steps, or one when it is not known."""
        self._task = self._progress.add_task(stage, total=total or 1)

    def advance(self, done: int) -> None:
        """So many steps of the stage are done."""
        if self._task is not None:
            self._progress.update(self._task, completed=done)

    def follow(self, stage: str, done: int, total: int) -> None:
        """So many of all steps of a stage are done; another stage than before begins."""
        if stage != self._stage:
            self.finish()
            self._stage = stage
            self.start(stage, total)
        self.advance(done)

    def finish(self) -> None:
        """The stage is over."""
        if self._task is not None:
            task = next(task for task in self._progress.tasks if task.id == self._task)
            self._progress.update(self._task, completed=task.total)
            self._task = None
