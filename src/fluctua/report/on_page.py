"""What every verdict has on the page: its figures with the numbers behind them, its result as a file, its origin."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from inspect import signature
from typing import ClassVar

from .._validate.plain import JsonObject, Keywords
from ..data.prepared import preparation_options
from ..recipe.sgd import Recipe
from ..verification.conclusion import StatementVerdict
from ..verification.equal_time import verify
from ..verification.in_time.verdict import DynamicVerdict
from ..verification.verdict import Verdict
from .figures import draw_svg
from .formulas import formula_of
from .words import data_words, prepared_words

__all__ = ["OnPage", "data_options", "has_options", "learned_from", "recipe_options", "repeat", "strictness"]


@dataclass(frozen=True)
class OnPage(ABC):
    """One verdict on the page; `key` keeps the names of its elements apart from other sections'."""

    verdict: Verdict | DynamicVerdict | StatementVerdict
    key: str
    drawn: bool = True

    CAPTIONS: ClassVar[Mapping[str, str]] = {}

    @property
    def captions(self) -> Mapping[str, str]:
        """Of each figure."""
        return self.CAPTIONS

    @abstractmethod
    def tables(self) -> dict[str, dict[str, str]]:
        """Return for each figure the tables behind it: file name to CSV."""

    @cached_property
    def figures(self) -> list[JsonObject]:
        """Each figure with its caption and the numbers behind it."""
        if not self.drawn:
            return []
        tables = self.tables()
        return [
            {
                "name": name,
                "caption": self.captions[name],
                "svg": svg,
                "tables": {file: _data_url("text/csv", text) for file, text in tables[name].items()},
            }
            for name, svg in draw_svg(self.verdict, prefix=f"{self.key}-").items()
        ]

    @property
    def result(self) -> JsonObject:
        """The JSON that the section came from."""
        return self.verdict.to_dict()

    def formula(self, line: str) -> str:
        """Return the number of the formula that a line is of; empty for none."""
        return formula_of(self.verdict, line)

    @property
    def named(self) -> str:
        """What names the data on the command line; empty where nothing is known to."""
        return str(self.verdict.data.get("command") or "")

    @property
    def download(self) -> str:
        """The same as a file."""
        return _data_url("application/json", self.verdict.to_json())

    @property
    def origin(self) -> list[tuple[str, str]]:
        """What made the result, and of which data."""
        verdict = self.verdict
        versions = ", ".join(f"{name} {number}" for name, number in verdict.provenance.items())
        known = "sha256" in verdict.data
        return [("Versions", versions), *([("SHA-256 of the data", str(verdict.data["sha256"]))] if known else [])]


def learned_from(verdict: Verdict | DynamicVerdict) -> list[tuple[str, str]]:
    """Return the data, and what was done to them."""
    done = prepared_words(verdict)
    return [("Data", data_words(verdict)), *([("Prepared", done)] if done else [])]


def repeat(command: str, asked: Keywords) -> str:
    """Return the command with its options."""
    return " ".join([command, *(_option(name, value) for name, value in asked.items())])


def recipe_options(recipe: Recipe) -> Keywords:
    """Return the options of a command that ask for `recipe`: those that are not zero, or that it cannot do without."""
    needed = [each.name for each in fields(recipe) if each.default is MISSING]
    return {name: value for name, value in recipe.to_dict().items() if value or name in needed}


def has_options(verdict: Verdict | DynamicVerdict) -> bool:
    """Whether a command could have made a run.

    No option holds weights of samples, in the loss or in the sampling, a pipeline, or a seed of the split alone.
    """
    run, done = verdict.run, verdict.data.get("preparation") or {}
    unequal = not isinstance(run.recipe.sampling, str) or run.problem.sample_weight is not None
    return not unequal and not done.get("pipeline") and str(done.get("seed", run.entropy)) == run.entropy


def data_options(verdict: Verdict | DynamicVerdict) -> Keywords:
    """Return the options that prepare the data as the verdict's were."""
    return preparation_options(verdict.data.get("preparation") or {})


def strictness(verdict: Verdict | DynamicVerdict) -> dict[str, float]:
    """Return level and resolution of the verdict where they are not the default ones."""
    usual, given = signature(verify).parameters, {"level": verdict.level, "resolution": verdict.resolution}
    return {name: value for name, value in given.items() if value != usual[name].default}


def _option(name: str, value: object) -> str:
    return f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")


def _data_url(kind: str, text: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"
