"""fluctua plot RESULT: redraw the figures from saved data."""

from __future__ import annotations

from pathlib import Path

import click

from ..dynamic_verdict import DynamicVerdict
from ..verdict import Verdict
from ..writing import output_directory
from .tables import show_files

__all__ = ["plot"]

DYNAMIC = "dynamic.npz"


@click.command(short_help="Redraw the figures of a result.")
@click.argument("result", type=click.Path())
@click.option("--out", type=click.Path(), help="Directory of the figures.  [default: beside the result]")
@click.option("--json", "as_json", is_flag=True, help="The files' names as JSON (schema: fluctua schema files).")
def plot(*, result: str, out: str | None, as_json: bool) -> int:
    """Redraw the figures of RESULT, a directory written by `fluctua verify` or its result.npz or dynamic.npz."""
    from ..plot import save_dynamic_figures, save_figures

    beside = Path(result) if Path(result).is_dir() else Path(result).parent
    drawn: list[Path] = []
    in_time = (beside / DYNAMIC).exists() if Path(result).is_dir() else Path(result).name == DYNAMIC
    equal = (beside / "result.npz").exists() or not in_time if Path(result).is_dir() else not in_time
    with output_directory(out or beside) as directory:
        if equal:
            drawn += save_figures(Verdict.load(result), directory)
        if in_time:
            drawn += save_dynamic_figures(DynamicVerdict.load(result), directory)
        show_files(drawn, as_json)
    return 0
