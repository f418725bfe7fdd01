"""fluctua report RESULT...: the page of saved results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import click

from ..errors import ResultError
from ..report import save_report
from ..storage.paths import kind_of
from ..storage.writing import check_writable
from ..studies import show
from ..verification.conclusion import StatementVerdict
from ..verification.in_time.verdict import DynamicVerdict
from ..verification.verdict import Verdict
from .helped import command
from .options import json_option
from .place import Place
from .progress import progress_bar
from .tables import show_files

__all__ = ["folder_of", "found_in", "load_study", "loaded", "report"]

Result = TypeVar("Result")


def load_study(path: Path) -> StatementVerdict:
    """Return the verdict of a study, and import what draws it."""
    verdict = StatementVerdict.load(path)
    show(verdict.study)
    return verdict


_VERDICTS: dict[str, Callable[[Path], Verdict | DynamicVerdict | StatementVerdict]] = {
    f"{Verdict.STEM}.npz": Verdict.load,
    f"{DynamicVerdict.STEM}.npz": DynamicVerdict.load,
    f"{StatementVerdict.STEM}.npz": load_study,
}


@command(group="Page", examples=("fluctua report fluctua-digits", "fluctua report one two --out both.html"))
@click.argument("results", metavar="RESULT...", type=Place(), nargs=-1, required=True)
@click.option("--out", type=Place(dir_okay=False), help="The page.  [default: report.html beside a single result]")
@json_option("The file's name as JSON (schema: fluctua schema files).")
def report(*, results: tuple[str, ...], out: str | None, as_json: bool) -> int:
    """Write one self-contained page, report.html, of each RESULT.

    A RESULT is a directory of `fluctua verify` or `fluctua study`, or an .npz in it.

    Several results share the page, below a table of all.
    """
    verdicts = [verdict for result in results for verdict in found_in(result)]
    beside = folder_of(results[0]) if len(results) == 1 else Path()
    place = Path(out) if out else beside / "report.html"
    check_writable(place)
    with progress_bar() as progress:
        progress("page", 0.0)
        written = save_report(verdicts, place)
    show_files([written], as_json)
    return 0


def folder_of(result: Path | str) -> Path:
    """Return the directory of a result: itself, or that of the file."""
    return Path(result) if kind_of(result, ResultError) == "directory" else Path(result).parent


def found_in(place: Path | str) -> list[Verdict | DynamicVerdict | StatementVerdict]:
    """Return the verdict of a file, or those of a directory: at equal times, in time, of a study.

    Raises `ResultError`.
    """
    return loaded(Path(place), _VERDICTS)


def loaded(path: Path, loaders: Mapping[str, Callable[[Path], Result]]) -> list[Result]:
    """Return the result of a file, or those in a directory, by the loaders of the files' names.

    Where there is none of them, the first says what is missing.
    """
    if kind_of(path, ResultError) == "directory":
        names = [name for name in loaders if kind_of(path / name, ResultError) == "file"]
    else:
        names = [name for name in loaders if Path(name).stem == path.stem]
    return [loaders[name](path) for name in names or list(loaders)[:1]]
