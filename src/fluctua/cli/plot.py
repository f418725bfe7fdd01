"""fluctua plot RESULT: redraw the figures from saved data."""

from __future__ import annotations

from pathlib import Path

import click

from ..results import output_directory
from ..verdict import Verdict
from .tables import show_files

__all__ = ["plot"]


@click.command(short_help="Redraw the figures of a result.")
@click.argument("result", type=click.Path())
@click.option("--out", type=click.Path(), help="Directory of the figures.  [default: beside the result]")
@click.option("--json", "as_json", is_flag=True, help="The files' names as JSON (schema: fluctua schema files).")
def plot(*, result: str, out: str | None, as_json: bool) -> int:
    """Redraw the figures of RESULT, a directory written by `fluctua verify` or its result.npz."""
    from ..plot import save_figures

    verdict = Verdict.load(result)
    beside = Path(result) if Path(result).is_dir() else Path(result).parent
    with output_directory(out or beside) as directory:
        show_files(save_figures(verdict, directory), as_json)
    return 0
