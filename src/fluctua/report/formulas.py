"""Which formula each line of a page is of; the page carries those that it cites, and nothing is fetched."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from ..theory.ladder import RUNGS
from ..theory.local.ladder import LOCAL_RUNGS
from ..verification.conclusion import StatementVerdict
from ..verification.in_time.verdict import DynamicVerdict
from ..verification.verdict import INDEPENDENT, Verdict
from .figures.studied import page_of

__all__ = ["Formula", "formula_of", "formulas_of"]

_FACTS = {"Balance F0": "F0", "Measured": "F8"}
_FACTOR = re.compile(r" x [\d.e+-]+$")  # of a mutant
_EQUAL_TIME = ("F0", "F1", "F2", "F7", "F8", "F9", "F12", "F17")
_LOCAL = ("F71", "F72", "F73", "F74", "F75", "F76", "F77")
_IN_SHUFFLED_EPOCHS = ("F43", "F44")
_IN_TIME = {
    "correlation = S x response": "F21",
    "correlation": "F20",
    "response": "F22",
    "circulation": "F23",
    "equilibrium FDT, no current": "F23",
    "circulation of none": "F23",
    "circulation half turned away": "F23",
    "entropy": "F26",
    "areas": "F28",
    "plug-in": "F29",
    "relations": "F36",
}


class Formula(NamedTuple):
    """A formula of the documentation.

    Attributes
    ----------
    number, title : str
    latex, mathml : str
    """

    number: str
    title: str
    latex: str
    mathml: str


def formula_of(verdict: Verdict | DynamicVerdict | StatementVerdict, line: str) -> str:
    """Return the number of the formula that a row, or a fact, of a page is of; empty for none."""
    name = _FACTOR.sub("", line)
    if isinstance(verdict, StatementVerdict):
        return page_of(verdict).formulas.get(name, "")
    return _FACTS[line] if line in _FACTS else _of_a_row(verdict, name)


def _of_a_row(verdict: Verdict | DynamicVerdict, name: str) -> str:
    if isinstance(verdict, Verdict) and verdict.loss != "squares":
        return "F74" if name.removesuffix(", stationary") in LOCAL_RUNGS else ""
    if isinstance(verdict, DynamicVerdict):
        return _IN_TIME.get(name, "")
    if name in RUNGS and name != "exact":
        return "F7"
    if name not in ("exact", "exact, stationary", INDEPENDENT):
        return "F7" if name.endswith(", stationary") else ""
    shuffled = verdict.run.recipe.epochs and name != INDEPENDENT
    return "F43" if shuffled else "F1" if name.endswith("stationary") else "F9"


def formulas_of(verdicts: Sequence[Verdict | DynamicVerdict | StatementVerdict]) -> list[Formula]:
    """Return the formulas that the page of these verdicts cites."""
    numbers: set[str] = set()
    for verdict in verdicts:
        if isinstance(verdict, StatementVerdict):
            numbers |= {formula_of(verdict, line) for line in (*(row.name for row in verdict.rows), *verdict.facts)}
            continue
        if isinstance(verdict, DynamicVerdict):
            numbers |= {*_IN_TIME.values(), "F17"}
        elif verdict.loss != "squares":
            numbers |= {*_LOCAL, "F17"}
        else:
            numbers |= {*_EQUAL_TIME, *(_IN_SHUFFLED_EPOCHS if verdict.run.recipe.epochs else ("F44",))}
        if verdict.run.recipe.step.memory:
            numbers |= {"F10", "F11"}
    return [formula for number, formula in _all().items() if number in numbers]


@cache
def _all() -> dict[str, Formula]:
    held = json.loads((files("fluctua.report") / "page" / "formulas.json").read_text(encoding="utf-8"))
    return {number: Formula(number, **each) for number, each in held.items()}
