"""What earlier runs left in a directory of results, and must not stay beside a new one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import ResultError
from ..report.figures import FORMATS, figure_names
from ..storage.paths import kind_of
from ..storage.writing import remove
from ..verification.in_time.verdict import DynamicVerdict
from ..verification.noise_found import GradientNoise
from ..verification.verdict import Verdict

__all__ = ["REPORT", "clear_drawn", "clear_figures", "clear_for", "drawn_in"]

REPORT = "report.html"
Result = Verdict | DynamicVerdict | GradientNoise
_FILES: dict[type[Result], tuple[str, ...]] = {
    Verdict: ("npz", "json"),
    DynamicVerdict: ("npz", "json"),
    GradientNoise: ("json",),
}
"""Endings of the files of each kind, that of the file that is read first."""


def clear_for(result: Result, directory: Path) -> None:
    """Remove the figures and the page of what `result` takes the place of, and results of other runs beside it.

    A verdict at equal times and one in time share a directory, and a page, if they are of the same data and recipe; the
    gradient noise, which is on no page, shares it if it is of the same data.
    """
    clear_drawn(directory, type(result))
    if not isinstance(result, GradientNoise):
        remove(directory / REPORT)
    for other, endings in _FILES.items():
        there = kind_of(directory / f"{other.STEM}.{endings[0]}") == "file"
        if other is not type(result) and there and not _alike(result, other, directory):
            clear_drawn(directory, other)
            for name in (f"{other.STEM}.{ending}" for ending in endings):
                remove(directory / name)
            if other is not GradientNoise:
                remove(directory / REPORT)


def clear_drawn(directory: Path, kind: type[Result]) -> None:
    """Remove the figures of a kind of result."""
    clear_figures(directory, figure_names(kind))


def clear_figures(directory: Path, names: Iterable[str]) -> None:
    """Remove figures by their names."""
    for name in names:
        for ending in FORMATS:
            remove(directory / f"{name}.{ending}")


def drawn_in(directory: Path, names: Iterable[str] | None = None) -> str:
    """Return which of some figures are there, by default of those of runs, with commas; other pictures are not ours."""
    known = names if names is not None else (name for kind in _FILES for name in figure_names(kind))
    return ", ".join(sorted(name for name in known if (directory / f"{name}.png").exists()))


def _alike(result: Result, other: type[Result], directory: Path) -> bool:
    """Whether the result beside is whole, and of the same data and, for a verdict beside another, recipe."""
    try:
        beside = other.load(directory)
    except ResultError:
        return False
    recipes = GradientNoise not in (other, type(result))  # of the same recipe too
    same = not recipes or (beside.run.recipe == result.run.recipe and beside.run.problem == result.run.problem)
    return same and beside.data.get("sha256") == result.data.get("sha256")
