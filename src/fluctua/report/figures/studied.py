"""How a study is shown: its figures and its formulas, as the study hands them over.

A study calls `present` in its module `figures`; a verdict whose study did not has the figure of its statements alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ...verification.conclusion import StatementVerdict
from .sheet import Sheet
from .statements_figure import scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Drawn", "StudyPage", "page_of", "present"]

SCORES = "statements"


@dataclass(frozen=True)
class Drawn:
    """A figure of a study.

    Attributes
    ----------
    draw : callable
        Of the verdict, whose `arrays` it draws, and the sheet; it returns Matplotlib's figure.
    caption : str
    tables : tuple of str
        The tables of the verdict behind it.
    """

    draw: Callable[[StatementVerdict, Sheet], Figure]
    caption: str
    tables: tuple[str, ...]


@dataclass(frozen=True)
class StudyPage:
    """How a study is shown.

    Attributes
    ----------
    study : str
        Its name, `fluctua.studies.NAME`.
    figures : mapping of str to Drawn
        By name, the one that says most first.
    formulas : mapping of str to str
        Number of the formula that a statement, by its name without a factor, or a fact is of.
    letters : str
        What the letters of these formulas are, in a sentence or two.
    reference : str
        The paper.
    """

    study: str
    figures: Mapping[str, Drawn] = field(default_factory=dict)
    formulas: Mapping[str, str] = field(default_factory=dict)
    letters: str = ""
    reference: str = ""


_PAGES: dict[str, StudyPage] = {}
_SCORES = Drawn(
    scores,
    "Every number of every statement: measured less predicted, in standard errors. The band is what sampling alone "
    "gives; what is wrong on purpose has to lie beyond it.",
    ("quantities",),
)


def present(page: StudyPage) -> None:
    """Say how a study is shown; it does so itself, when it is imported."""
    _PAGES[page.study] = page


def page_of(verdict: StatementVerdict) -> StudyPage:
    """Return how a verdict's study is shown: its figures, and that of its statements."""
    page = _PAGES.get(verdict.study, StudyPage(verdict.study))
    there = {name: one for name, one in page.figures.items() if set(one.tables) <= set(verdict.tables)}
    return replace(page, figures={**there, SCORES: _SCORES})
