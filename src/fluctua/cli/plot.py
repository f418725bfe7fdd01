"""fluctua plot RESULT: redraw the figures from saved data."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import click

from .._validate.values import choice
from ..planning.swept import Sweep
from ..storage.writing import output_directory
from ..verification.conclusion import StatementVerdict
from ..verification.in_time.verdict import DynamicVerdict
from ..verification.noise_found import GradientNoise
from ..verification.verdict import Verdict
from .helped import command
from .options import json_option
from .place import Place
from .progress import progress_bar
from .report import folder_of, load_study, loaded
from .tables import show_files

__all__ = ["plot"]

_RESULTS: dict[str, Callable[[Path], Verdict | DynamicVerdict | StatementVerdict | Sweep | GradientNoise]] = {
    **{f"{kind.STEM}.npz": kind.load for kind in (Verdict, DynamicVerdict, Sweep)},
    f"{StatementVerdict.STEM}.npz": load_study,
    f"{GradientNoise.STEM}.json": GradientNoise.load,
}


@command(
    group="Figures",
    examples=("fluctua plot fluctua-digits --format pdf --size 3.4in", "fluctua plot fluctua-digits --figure modes"),
)
@click.argument("result", type=Place())
@click.option("--figure", "names", multiple=True, help="May be repeated: modes, balance, ....  [default: all]")
@click.option("--format", "formats", multiple=True, help="May be repeated: png, svg, pdf.  [default: png and svg]")
@click.option("--size", help="Width, or width x height: 3.4in, 8.6cm, 246pt, 3.4x2.5in.  [default: 6.2in]")
@click.option("--style", help="A style of Matplotlib's, over fluctua's own.")
@click.option("--out", type=Place(), help="Directory of the figures.  [default: beside the result]")
@json_option("The files' names as JSON (schema: fluctua schema files).")
def plot(
    *,
    result: str,
    names: tuple[str, ...],
    formats: tuple[str, ...],
    size: str | None,
    style: str | None,
    out: str | None,
    as_json: bool,
) -> int:
    """Redraw the figures of RESULT: a directory of `fluctua verify`, `study`, `sweep` or `noise`, or a file in it.

    In a journal's column (--size 3.4in) panels stand below one another, and nothing is cut.
    """
    from ..report.figures import pictures, save_pictures
    from ..report.figures.sheet import Sheet
    from ..report.figures.size import figure_size

    sheet, results = Sheet(*figure_size(size), style=style), loaded(Path(result), _RESULTS)
    every = [list(pictures(each)) for each in results]
    asked = [choice("figure", name, dict.fromkeys(chain(*every))) for name in names]
    drawn: list[Path] = []
    with output_directory(out or folder_of(result)) as directory, progress_bar() as progress:
        for done, (each, known) in enumerate(zip(results, every, strict=True)):

            def watch(fraction: float, done: int = done) -> None:
                progress("figures", (done + fraction) / len(results))

            here = [name for name in asked or known if name in known]
            if here:
                drawn += save_pictures(
                    each, directory, formats or ("png", "svg"), names=here, sheet=sheet, progress=watch
                )
    show_files(drawn, as_json)
    return 0
