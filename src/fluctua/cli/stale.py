"""What earlier runs left in a directory of results, and must not stay beside a new one."""

from __future__ import annotations

from pathlib import Path

from ..errors import ResultError
from ..report.figures import FORMATS
from ..storage.paths import kind_of
from ..storage.writing import remove
from ..verification.in_time.verdict import DynamicVerdict
from ..verification.verdict import Verdict

__all__ = ["REPORT", "clear_drawn", "clear_for"]

REPORT = "report.html"
_FIGURES = {
    Verdict.STEM: ("modes", "balance", "curve"),
    DynamicVerdict.STEM: ("regression", "response", "circulation", "current"),
    "noise": ("noise",),
}


def clear_for(verdict: Verdict | DynamicVerdict, directory: Path) -> None:
    """Remove the page and the figures of what `verdict` takes the place of, and a result of other runs beside it.

    A verdict at equal times and one in time share a directory, and a page, if they are of the same data and recipe.
    """
    remove(directory / REPORT)
    clear_drawn(directory, verdict.STEM)
    other: type[Verdict | DynamicVerdict] = Verdict if isinstance(verdict, DynamicVerdict) else DynamicVerdict
    if kind_of(directory / f"{other.STEM}.npz") == "file" and not _alike(verdict, other, directory):
        clear_drawn(directory, other.STEM)
        for ending in ("npz", "json"):
            remove(directory / f"{other.STEM}.{ending}")


def clear_drawn(directory: Path, stem: str) -> None:
    """Remove the figures of a result."""
    for name in _FIGURES[stem]:
        for ending in FORMATS:
            remove(directory / f"{name}.{ending}")


def _alike(verdict: Verdict | DynamicVerdict, other: type[Verdict | DynamicVerdict], directory: Path) -> bool:
    """Whether the result beside is whole, and of the same data and recipe."""
    try:
        beside = other.load(directory)
    except ResultError:
        return False
    same = beside.run.recipe == verdict.run.recipe and beside.run.problem == verdict.run.problem
    return same and beside.data.get("sha256") == verdict.data.get("sha256")
