"""Tables on the terminal: rich where it is one, plain text where the output goes elsewhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from ..verification.verdict import Verdict

__all__ = ["saved_in", "show", "show_code", "show_files", "show_ladder"]

WIDTH, _WIDE = 80, 60


def show(text: str) -> None:
    """Print a report: on a terminal in lines that it holds, elsewhere as it is; no number is cut."""
    import textwrap

    def held(line: str, width: int) -> str:
        if len(line) <= width:
            return line
        indent = " " * (10 if width >= _WIDE else 2)
        return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)

    width = _width() if sys.stdout.isatty() else None
    click.echo(text if width is None else "\n".join(held(line, width) for line in text.splitlines()))


def _width() -> int:
    """Characters that a line holds: the terminal's, 80 at most."""
    return min(WIDTH, shutil.get_terminal_size().columns)


def show_code(loops: Iterable[str]) -> None:
    """Print code as it is, whatever the terminal holds: it is to be pasted."""
    for code in loops:
        click.echo(f"\n{code}", nl=False)


def show_files(paths: Sequence[Path], as_json: bool) -> None:
    """Print which files were written, one in a line or as JSON."""
    import json

    names = [str(path) for path in paths]
    click.echo(json.dumps({"kind": "files", "files": names}, indent=2) if as_json else "\n".join(names))


def show_ladder(verdict: Verdict) -> None:
    """Print the ladder against the measurement."""
    if not sys.stdout.isatty():
        click.echo(verdict.table)
        return
    if _width() < max(map(len, verdict.table.splitlines())):
        _show_stacked(verdict)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name, side in (
        ("theory", "left"),
        ("excess loss", "right"),
        ("off by", "right"),
        ("z-rms", "right"),
        ("Frobenius", "right"),
        ("verdict", "left"),
    ):
        table.add_column(name, justify=side, no_wrap=True)  # type: ignore[arg-type]
    for row, cells in zip(verdict.rows, verdict.cells, strict=True):
        colour = "green" if row.consistent else "red"
        style = "bold" if row.role == "claim" else None
        table.add_row(*cells[:-1], f"[{colour}]{cells[-1]}[/]", style=style)
    console = Console(file=sys.stdout, highlight=False)
    console.print(table, width=min(WIDTH, console.width))


def _show_stacked(verdict: Verdict) -> None:
    """Print the ladder row by row, for a terminal that is too narrow for the table."""
    for name, loss, off, rms, frobenius, verdict_word in verdict.cells:
        show(f"{name}: {verdict_word}\n  excess loss {loss}, off by {off},\n  z-rms {rms}, Frobenius {frobenius}")


@contextmanager
def saved_in(directory: Path) -> Iterator[None]:
    """Tell that the verdict is safe when an interrupt comes while it is drawn."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(
            f"the verdict is in {directory}; `fluctua plot {directory}` and `fluctua report {directory}` draw it.",
            err=True,
        )
        raise
