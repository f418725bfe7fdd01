"""A download bar, drawn by rich in the shape that pooch drives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["DownloadBar", "progress_bar"]


class DownloadBar:
    """What pooch asks of a bar: a settable `total`, and `update`, `reset`, `close`."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    @property
    def total(self) -> int:
        """Bytes expected; 0 while unknown."""
        return int(self._progress.tasks[0].total or 0)

    @total.setter
    def total(self, size: int) -> None:
        self._progress.update(self._task, total=size or None)

    def update(self, size: int) -> None:
        """Count `size` more bytes."""
        self._progress.advance(self._task, size)

    def reset(self) -> None:
        """Start counting again; pooch does so before it sets the bar to full."""
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        """Do nothing: `progress_bar` takes the bar down, after failures too."""


@contextmanager
def progress_bar(label: str, shown: bool) -> Iterator[DownloadBar | None]:
    """Yield a bar on stderr with size, speed and time left; None unless `shown`."""
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield DownloadBar(progress, progress.add_task(label, total=None))
