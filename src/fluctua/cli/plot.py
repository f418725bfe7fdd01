"""fluctua plot RESULT: redraw the figures from saved data."""

from __future__ import annotations

from pathlib import Path

import click

from ..storage.writing import output_directory
from ..verification.in_time.verdict import DynamicVerdict
from .options import json_option
from .place import Place
from .report import folder_of, found_in
from .tables import show_files

__all__ = ["plot"]


@click.command(short_help="Redraw the figures of a result.")
@click.argument("result", type=Place())
@click.option("--out", type=Place(), help="Directory of the figures.  [default: beside the result]")
@json_option("The files' names as JSON (schema: fluctua schema files).")
def plot(*, result: str, out: str | None, as_json: bool) -> int:
    """Redraw the figures of RESULT: a directory written by `fluctua verify`, or the result.npz or dynamic.npz in it."""
    from ..report.figures import save_dynamic_figures, save_figures

    verdicts = found_in(result)
    drawn: list[Path] = []
    with output_directory(out or folder_of(result)) as directory:
        for verdict in verdicts:
            if isinstance(verdict, DynamicVerdict):
                drawn += save_dynamic_figures(verdict, directory)
            else:
                drawn += save_figures(verdict, directory)
        show_files(drawn, as_json)
    return 0
