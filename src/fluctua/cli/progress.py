"""The bars on the terminal: a stage whose share done is not known yet pulses, with the time it has taken.

Where stderr is no terminal there is a line now and then instead.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

__all__ = ["progress_bar"]

_FIRST, _AGAIN = 10.0, 10.0  # seconds until the first line where there is no terminal, and between lines


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
        yield _lines()
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


def _lines() -> Callable[[str, float], None]:
    """Return a function of stage and fraction that prints a line on stderr, the first after a while, when told."""
    began = time.monotonic()
    due = began + _FIRST

    def report(stage: str, fraction: float) -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due:
            due = now + _AGAIN
            share = f", {fraction:.0%}" if fraction > 0 else ""
            click.echo(f"{stage}{share} after {now - began:.0f} s", err=True)

    return report
