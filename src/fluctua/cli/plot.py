"""fluctua plot RESULT: redraw the figures from saved data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from ..planning.swept import Sweep
from ..storage.writing import output_directory
from ..verification.in_time.verdict import DynamicVerdict
from ..verification.verdict import Verdict
from .options import json_option
from .place import Place
from .report import folder_of, loaded
from .tables import show_files

__all__ = ["plot"]

_RESULTS: dict[str, Callable[[Path], Verdict | DynamicVerdict | Sweep]] = {
    kind.STEM: kind.load for kind in (Verdict, DynamicVerdict, Sweep)
}


@click.command(short_help="Redraw the figures of a result.")
@click.argument("result", type=Place())
@click.option("--out", type=Place(), help="Directory of the figures.  [default: beside the result]")
@json_option("The files' names as JSON (schema: fluctua schema files).")
def plot(*, result: str, out: str | None, as_json: bool) -> int:
    """Redraw the figures of RESULT: a directory written by `fluctua verify` or `fluctua sweep`, or an .npz in it."""
    from ..report.figures import save_dynamic_figures, save_figures

    results = loaded(Path(result), _RESULTS)
    drawn: list[Path] = []
    with output_directory(out or folder_of(result)) as directory:
        for each in results:
            if isinstance(each, DynamicVerdict):
                drawn += save_dynamic_figures(each, directory)
            else:
                drawn += save_figures(each, directory)
        show_files(drawn, as_json)
    return 0
