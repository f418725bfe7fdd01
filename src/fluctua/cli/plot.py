"""fluctua plot RESULT: redraw the figures from saved data."""

from __future__ import annotations

from pathlib import Path

import click

from ..dynamic_verdict import DynamicVerdict
from ..results import output_directory
from ..verdict import Verdict

__all__ = ["plot"]

DYNAMIC = "dynamic.npz"


@click.command()
@click.argument("result", type=click.Path())
@click.option("--out", type=click.Path(), help="Directory of the figures.  [default: beside the result]")
def plot(result: str, out: str | None) -> int:
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
        for path in drawn:
            click.echo(path)
    return 0
