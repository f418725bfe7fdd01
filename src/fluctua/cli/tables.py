"""Tables on the terminal: rich where it is one, plain text where the output goes elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from ..verification.verdict import Verdict
from .narrow import WIDTH, columns, fitted

__all__ = ["saved_in", "show", "show_code", "show_files", "show_ladder"]


def show(text: str) -> None:
    """Print a report: on a terminal in lines that it holds, elsewhere as it is."""
    click.echo(fitted(text, sys.stdout))


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
    if not sys.stdout.isatty() or columns() < max(map(len, verdict.table.splitlines())):
        show(verdict.table)
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
