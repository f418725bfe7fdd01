"""The bars on the terminal: a stage whose share done is not known yet pulses, with the time it has taken.

Where stderr is no terminal there is a line now and then instead.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

__all__ = ["progress_bar"]

_FIRST, _AGAIN = 10.0, 10.0  # seconds until the first line where there is no terminal, and between lines
_LOOK = 1.0  # seconds between looks whether a line is due while nothing reports


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """Give a function of stage and fraction that shows a bar for each stage on stderr, where that is a terminal.

    A stage pulses until its fraction is above 0, and is done when it is told of another. Elsewhere what takes longer
    than ten seconds says so in a line, and again every ten.
    """
    from rich import progress as rich
    from rich.console import Console
    from rich.progress import TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:  # a bar that is off still ends in a new line before rich 14.1
        with _lines() as report:
            yield report
        return
    columns = (
        TextColumn("{task.description:<10}"),
        rich.BarColumn(),
        rich.TaskProgressColumn("{task.percentage:3.0f} %"),
        rich.TimeElapsedColumn(),
        rich.TimeRemainingColumn(),
        TextColumn("left"),
    )
    with rich.Progress(
        *columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()
    ) as bar:  # else the lines would go to stderr
        tasks: dict[str, Any] = {}

        def report(stage: str, fraction: float) -> None:
            if stage not in tasks:
                for task in tasks.values():
                    bar.update(task, total=1.0, completed=1.0)
                tasks[stage] = bar.add_task(stage, total=None)
            if fraction > 0:
                bar.update(tasks[stage], total=1.0, completed=fraction)

        yield report


@contextmanager
def _lines() -> Iterator[Callable[[str, float], None]]:
    """Give a function of stage and fraction that prints a line on stderr, the first after a while.

    A stage that tells nothing for long is told of too.
    """
    lines, over = _Lines(), threading.Event()
    watch = threading.Thread(target=lines.watch, args=(over,), daemon=True)
    watch.start()
    try:
        yield lines.report
    finally:
        over.set()
        watch.join()


class _Lines:
    """When the next line is due, and what it says."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.due, self.stage, self.fraction, self.since = self.began + _FIRST, "", 0.0, self.began
        self.lock = threading.Lock()

    def report(self, stage: str, fraction: float) -> None:
        """Take in how far a stage is."""
        now = time.monotonic()
        with self.lock:
            self.since = self.since if stage == self.stage else now
            self.stage, self.fraction = stage, fraction
            self._say(now)

    def watch(self, over: threading.Event) -> None:
        """Say where it is, also while nothing reports, until it is over."""
        while not over.wait(min(_AGAIN, _LOOK)):
            with self.lock:
                if self.stage:
                    self._say(time.monotonic())

    def _say(self, now: float) -> None:
        if now >= self.due:
            self.due = now + _AGAIN
            share = left = ""
            if self.fraction > 0:
                share = f", {self.fraction:.0%}"
                left = f", about {(now - self.since) * (1 / self.fraction - 1):.0f} s left"
            click.echo(f"{self.stage}{share} after {now - self.began:.0f} s{left}", err=True)
