"""The bars on the terminal: a stage whose share done is not known yet pulses, with the time it has taken."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["progress_bar"]


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """Give a function of stage and fraction that shows a bar for each stage on stderr, only where that is a terminal.

    A stage pulses until its fraction is above 0, and is done when it is told of another.
    """
    from rich import progress as rich
    from rich.console import Console
    from rich.progress import TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:  # a bar that is off still ends in a new line before rich 14.1
        yield lambda _stage, _fraction: None
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
