"""One page that holds everything of a verdict, and of several: `report.html`.

The page stands alone: figures, numbers and the explorer are inside it, and nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._validate.values import instance
from ..errors import InvalidInput
from ..storage.results import provenance
from ..storage.writing import save_text
from ..verification.conclusion import StatementVerdict
from ..verification.formats import caught, shown
from ..verification.in_time.verdict import DynamicVerdict
from ..verification.verdict import Verdict
from .formulas import formulas_of
from .in_time import SectionInTime
from .section import Section
from .study import SectionOfStudy

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render", "save_report"]

Reported = Verdict | DynamicVerdict | StatementVerdict
_EXPECTED = "a Verdict, a DynamicVerdict, a StatementVerdict, or a list of them"
_SCRIPTS = ("law.js", "chart.js", "explorer.js")


def render(verdicts: Reported | Sequence[Reported], *, brief: Collection[int] = ()) -> str:
    """Return the page of one verdict, or of several below a table of all.

    Text from outside, such as the name of a data set, is escaped wherever it appears.

    Parameters
    ----------
    verdicts : Verdict, DynamicVerdict, StatementVerdict, or sequence of them
        From `verify`, `verify_dynamic`, a study, or their `load`. Those with a survey
        (`explorer.ranges.surveyed`) get an explorer.
    brief : collection of int
        Places in the sequence of the verdicts to report without figures.

    Returns
    -------
    str
        HTML in one piece: styles, figures and numbers are in it, and nothing is fetched.

    Raises
    ------
    InvalidInput
        For an empty sequence, and for what is no verdict.

    Notes
    -----
    Cost: about a second for the figures of each verdict; memory in proportion to the page.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", classes=[3, 8], limit=100)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> verdict = fl.verify(problem, fl.SGD(lr=0.02, batch_size=8), steps=100, replicas=32, rng=1)
    >>> from fluctua.report import render
    >>> page = render(verdict, brief=[0])
    >>> page.startswith("<!doctype html>"), verdict.words[:10] in page
    (True, True)
    """
    given: list[Any] = list(verdicts) if isinstance(verdicts, list | tuple) else [verdicts]
    if not given:
        raise InvalidInput("a report needs at least one verdict, got none.")
    for one in given:
        instance("verdicts", one, (Verdict, DynamicVerdict, StatementVerdict), _EXPECTED)
    sections = [_section(verdict, f"v{i + 1}", i not in brief) for i, verdict in enumerate(given)]
    pages = [section.shown for section in sections if isinstance(section, SectionOfStudy)]
    return (
        _environment()
        .get_template("report.html")
        .render(
            sections=sections,
            style=_page("style.css"),
            versions=provenance(),
            formulas=formulas_of(given),
            letters=list(dict.fromkeys(filter(None, (page.letters for page in pages)))),
            references=list(dict.fromkeys(filter(None, (page.reference for page in pages)))),
            scripts=[_page(name) for name in _SCRIPTS] if any(section.survey for section in sections) else [],
        )
    )


def save_report(verdicts: Reported | Sequence[Reported], path: Path | str, *, brief: Collection[int] = ()) -> Path:
    """Write the page of `render` to `path`, whole or not at all, and return the path.

    Parameters
    ----------
    verdicts : Verdict, DynamicVerdict, StatementVerdict, or sequence of them
        As for `render`.
    path : path
        The file. Directories on the way are made if they are missing.
    brief : collection of int
        As for `render`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InvalidInput
        For an empty sequence, and for what is no verdict.
    OutputError
        If the file cannot be written.

    Notes
    -----
    Cost: that of `render`.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", classes=[3, 8], limit=100)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> verdict = fl.verify(problem, fl.SGD(lr=0.02, batch_size=8), steps=100, replicas=32, rng=1)
    >>> from tempfile import TemporaryDirectory
    >>> from fluctua.report import save_report
    >>> with TemporaryDirectory() as place:
    ...     print(save_report(verdict, f"{place}/report.html", brief=[0]).name)
    report.html
    """
    save_text(path, render(verdicts, brief=brief))
    return Path(path)


def _section(verdict: Reported, key: str, drawn: bool) -> Section | SectionInTime | SectionOfStudy:
    if isinstance(verdict, StatementVerdict):
        return SectionOfStudy(verdict, key, drawn)
    if isinstance(verdict, DynamicVerdict):
        return SectionInTime(verdict, key, drawn)
    return Section(verdict, key, drawn)


def _page(name: str) -> str:
    return (files(__name__) / "page" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader(__name__, "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = repr  # as short as reads back the same
    made.filters.update(shown=shown, caught=caught)
    return made
