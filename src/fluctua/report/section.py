"""What the page says of one verdict, as values for the template to lay out."""

from __future__ import annotations

import base64
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .._validate.plain import Keywords
from ..verification.verdict import Row, Verdict
from .explorer.ranges import Survey
from .numbers import csv_tables
from .on_page import OnPage, data_options, has_options, learned_from, recipe_options, repeat, strictness
from .reservations import caveats
from .words import balance_words, local_facts, measured_words, name_words, recipe_words, run_words

__all__ = ["Section"]


@dataclass(frozen=True)
class Section(OnPage):
    """A verdict at equal times on the page."""

    verdict: Verdict

    CAPTIONS: ClassVar = {
        "floors": "The noise floor against the learning rate on every rung of the local ladder, and the measured one; "
        "shaded where the weights leave the quadratic bowl and no floor is given.",
        "modes": "Variance of the weights along every mode of the curvature: measured, and on every rung of the "
        "ladder; below, the same divided by the theory under test.",
        "balance": "The fluctuation-dissipation balance, element by element, both sides measured along the runs.",
        "curve": "Expected excess loss, predicted and measured.",
    }

    def tables(self) -> dict[str, dict[str, str]]:
        """Return for each figure the tables behind it: file name to CSV."""
        return csv_tables(self.verdict)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What was run, on what, with what."""
        verdict = self.verdict
        return [
            *learned_from(self.verdict),
            ("Recipe", recipe_words(verdict)),
            ("Run", run_words(verdict)),
            ("Precision", f"simulated in {verdict.run.dtype}, predicted in float64"),
            ("Measured", measured_words(verdict)),
            *([("Balance F0", balance_words(verdict))] if verdict.loss == "squares" else local_facts(verdict)),
            *self.origin,
        ]

    @property
    def title(self) -> str:
        """The data and the recipe."""
        return f"{name_words(self.verdict)}: {recipe_words(self.verdict)}"

    @property
    def rows(self) -> list[tuple[Row, float]]:
        """The ladder, each with its relative error of the excess loss."""
        return [(row, self.verdict.off(row)) for row in self.verdict.rows]

    @property
    def caveats(self) -> list[str]:
        """What to keep in mind about this run."""
        return caveats(self.verdict, self.survey)

    @cached_property
    def survey(self) -> Survey | None:
        """What the explorer computes from."""
        return Survey.from_arrays(self.verdict.arrays)

    @property
    def settings(self) -> Keywords:
        """Where the explorer's sliders begin: the recipe, as far as they can hold it."""
        run = self.verdict.run
        recipe, sampling = run.recipe.to_dict(), run.recipe.sampling
        known = (
            sampling if sampling in ("with_replacement", "without_replacement", "shuffle") else "without_replacement"
        )
        kept = ("lr", "batch_size", "momentum", "dampening", "nesterov", "nu", "weight_decay", "drop_last")
        return {**{name: recipe.get(name) for name in kept}, "sampling": known, "horizon": run.steps}

    @property
    def explored(self) -> Keywords:
        """The survey and the recipe, for the page's scripts."""
        assert self.survey is not None
        return {**_packed(self.survey), "recipe": self.settings}

    @property
    def command(self) -> str:
        """The command that repeats the run on the same data; empty where it takes more than a command."""
        run = self.verdict.run
        if run.recipe.schedule or run.average or not has_options(self.verdict) or run.start not in ("optimum", "zero"):
            return ""
        asked = {
            **data_options(self.verdict),
            **({} if self.verdict.loss == "squares" else {"loss": "cross-entropy"}),
            **recipe_options(run.recipe),
            **{name: getattr(run, name) for name in ("steps", "replicas", "records", "start", "dynamics")},
            "theory": self.verdict.theory,
            "seed": run.entropy,
            **strictness(self.verdict),
        }
        return repeat(f"fluctua verify {self.named or 'DATA'}", asked)


def _packed(held: Any) -> Keywords:
    """The fields of a survey, or of a part of it, for the page's scripts."""
    out: Keywords = {}
    for item in fields(held):
        value = getattr(held, item.name)
        out[item.name] = _packed(value) if is_dataclass(value) else None if value is None else _plain(value)
    return out


def _plain(value: ArrayLike) -> Any:
    """A number as it is, NaN as null; an array in base64, so that the page has the same numbers, row by row."""
    array = np.asarray(value)
    if array.ndim == 0:
        return None if isinstance(array.item(), float) and not np.isfinite(array) else array.item()
    if array.ndim > 1:
        return [_plain(row) for row in array]
    kind = "float32" if array.dtype == np.float32 else "float64"
    return {kind: base64.b64encode(array.astype("<f4" if kind == "float32" else "<f8").tobytes()).decode()}
