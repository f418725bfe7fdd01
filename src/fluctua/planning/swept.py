"""The result of a sweep: its cells, as a table, as columns, as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, ClassVar

import numpy as np

from .._arrays import Arrays
from .._results import ByValue, Tables, Tabular, clipped
from .._tables import Columns, html_table
from .._validate.plain import Header, Json, JsonObject, Keywords
from .._validate.shards import Shard
from ..errors import InvalidInput
from ..recipe.averages import Average, read_average
from ..recipe.reading import read_recipe
from ..recipe.sgd import Recipe
from ..storage.layout import hold_arrays
from ..storage.results import finite
from ..storage.saved import Saved
from .sweep_cells import NEAR, Cell, Measured, Predicted
from .sweep_table import cells_of, text_of

__all__ = ["LEVEL", "Sweep"]

LEVEL = 1e-4
"""Family-wise level at which measured losses are called off."""
_START = {"zero": "from zero", "optimum": "from the optimum"}


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(ByValue, Tabular, Saved):
    """Every combination of some recipes' parameters, predicted and, where it was asked for, measured; made by `sweep`.

    Attributes
    ----------
    sgd : Recipe
        What all cells share.
    axes : dict of str to tuple
        The parameters that are varied, and their values as plain JSON types.
    cells : tuple of Cell
        In the order of the values, the last parameter fastest.
    steps, samples : int or None
        The budget of a run, in one of the two.
    start : str
        "zero", "optimum", or a fingerprint of the weights.
    average : EMA or RunningAverage or None
        Looked at instead of the weights.
    target : float or None
        Expected loss that `steps_to_target` is about.
    longest : int
        Steps after which a target counts as never reached.
    identity, provenance : dict
        The seed, the size and a fingerprint of the problem; versions.
    arrays : dict
        Empty.
    data : dict
        Name and hash of the data, where `about` attached them.
    shard : str or None
        "i/n" where the cells are those of the i-th of n parts.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", classes=[3, 8], limit=100)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> sweep = fl.sweep(problem, fl.SGD(lr=0.02, batch_size=8), lr=[0.01, 0.03], batch_size=[2, 8], steps=100)
    >>> len(sweep.cells), sweep.best.values
    (4, {'batch_size': 8, 'lr': 0.03})
    """

    KIND: ClassVar[str] = "sweep"
    STEM: ClassVar[str] = "sweep"
    NOUN: ClassVar[str] = "sweep"
    MADE_BY: ClassVar[str] = "fluctua sweep --out"

    sgd: Recipe
    axes: Mapping[str, tuple[Json, ...]]
    cells: tuple[Cell, ...]
    steps: int | None
    samples: int | None
    start: str
    average: Average | None
    target: float | None
    longest: int
    identity: Header
    provenance: Mapping[str, str]
    arrays: Arrays = field(default_factory=dict)
    data: Header = field(default_factory=dict)
    shard: str | None = None

    @property
    def measured(self) -> bool:
        """Whether any cell was."""
        return any(cell.measured for cell in self.cells)

    @property
    def best(self) -> Cell:
        """The cell with the least predicted loss after the budget; without one, with the least floor.

        Raises
        ------
        InvalidInput
            Of a shard without a cell.
        """
        if not self.cells:
            raise InvalidInput(f"shard {self.shard} has no cell, and so none is the best. The whole sweep has one.")
        return min(self.cells, key=self._rank)

    def _rank(self, cell: Cell) -> float:
        excess = cell.floor if self.steps is self.samples is None else cell.excess_loss
        return np.inf if excess is None or not cell.stable else cell.predicted.optimum_loss + excess

    @property
    def scores(self) -> dict[int, float]:
        """(measured - predicted)/error by the number of the cell, of those up to 0.7 of the limit of stability."""
        found = {i: cell.score for i, cell in enumerate(self.cells) if cell.share <= NEAR}
        return {i: score for i, score in found.items() if score is not None}

    @property
    def agrees(self) -> bool:
        """Whether none of `scores` is off by Student's t, at a family-wise level of 1e-4; true where there is none."""
        scores = self.scores
        return all(abs(score) < self._quantile(i, len(scores)) for i, score in scores.items())

    def _quantile(self, cell: int, count: int) -> float:
        from scipy.special import stdtrit

        found = self.cells[cell].measured
        assert found is not None
        return float(stdtrit(found.replicas - 1, 1 - LEVEL / (2 * count)))

    @property
    def budget(self) -> str:
        """The budget and the start in words; empty without a budget."""
        if self.steps is self.samples is None:
            return ""
        size = f"{self.steps:,} steps" if self.steps is not None else f"{self.samples:,} samples"
        return f"{size} {_START.get(self.start, 'from given weights')}"

    @property
    def words(self) -> str:
        """What was found, in a paragraph."""
        beyond = sum(not cell.stable for cell in self.cells)
        part = "" if self.shard is None else f" of shard {self.shard}"
        if not self.cells:
            return f"shard {self.shard} has nothing to do, there are {prod(map(len, self.axes.values()))} cells."
        parts = [f"{len(self.cells)} cells{part}, {beyond} of them beyond the limit of stability"]
        if self.budget:
            same = ", predicted and measured at the same step" if self.measured else ""
            parts.append(f"losses are those after {self.budget}{same}")
        if self.measured:
            parts.append(self._agreement)
        return "; ".join(parts) + "."

    @property
    def _agreement(self) -> str:
        sizes = [cell.measured.replicas for cell in self.cells if cell.measured]
        runs = f"{sum(sizes):,} runs, {min(sizes)} to {max(sizes)} of a cell"
        if not (scores := self.scores):
            return f"{runs}, none of them below {NEAR:g} of the limit, so that there is nothing to compare"
        far = max(map(abs, scores.values()))
        said = "as predicted" if self.agrees else "NOT as predicted"
        return f"{runs}: {said}, the farthest of {len(scores)} cells below {NEAR:g} of the limit {far:.1f} errors off"

    def _tables(self) -> Tables:
        return {"cells": lambda: self._numbers}

    @property
    def _numbers(self) -> Columns:
        """Every number of every cell, a column each: infinite beyond the limit, NaN where there is none."""
        cells, rows = self.cells, [cell.numbers for cell in self.cells]
        names = rows[0] if rows else ()
        return {
            "cell": range(1, len(cells) + 1),
            **{name: [_spelled(cell.values[name]) for cell in cells] for name in self.axes},
            **{name: [np.nan if row[name] is None else row[name] for row in rows] for name in names},
        }

    @property
    def _attributes(self) -> dict[str, str | float]:
        told = {"steps": self.steps, "samples": self.samples, "target": self.target}
        return {"start": self.start, **{name: value for name, value in told.items() if value is not None}}

    @property
    def table(self) -> str:
        """The cells in text, a line each."""
        return text_of(self)

    def _repr_html_(self) -> str:
        return html_table(cells_of(self), caption=repr(self))

    def __repr__(self) -> str:
        sizes = " x ".join(f"{len(values)} {name}" for name, values in self.axes.items())
        what = "predicted and measured" if self.measured else "predicted"
        return clipped(f"Sweep({sizes}, {what}{', ' if self.budget else ''}{self.budget})")

    def to_dict(self) -> JsonObject:
        """Return everything as plain JSON types (schema: `fluctua schema sweep`)."""
        found: dict[str, Any] = {
            "kind": self.KIND,
            "words": self.words,
            "agrees": self.agrees if self.measured else None,
            "recipe": self.sgd.to_dict(),
            "axes": {name: list(values) for name, values in self.axes.items()},
            "steps": self.steps,
            "samples": self.samples,
            "start": self.start,
            "average": None if self.average is None else self.average.to_dict(),
            "target": self.target,
            "longest": self.longest,
            "identity": dict(self.identity),
            "provenance": dict(self.provenance),
            "data": dict(self.data),
            **({} if self.shard is None else {"shard": self.shard}),
            "cells": [cell.to_dict() for cell in self.cells],
        }
        plain: JsonObject = finite(found)
        return plain

    @classmethod
    def _updated(cls, header: Header) -> Keywords:
        return dict(header)

    @staticmethod
    def _hold(header: Header, arrays: Arrays) -> None:
        del header
        hold_arrays(arrays, {}, {}, only=True)

    @classmethod
    def _read(cls, header: Header, arrays: Arrays) -> Sweep:
        combinations = [dict(zip(header["axes"], each, strict=True)) for each in product(*header["axes"].values())]
        shard = header.get("shard")
        if shard is not None:
            combinations = list(Shard.read("shard", shard).of(combinations))
        if [each["values"] for each in header["cells"]] != combinations:
            raise ValueError("its cells are not all combinations of its values")
        names = ("steps", "samples", "start", "target", "longest", "identity", "provenance", "data")
        average = header["average"]
        return cls(
            sgd=read_recipe(header["recipe"]),
            axes={name: tuple(values) for name, values in header["axes"].items()},
            cells=tuple(_cell(header, each) for each in header["cells"]),
            average=None if average is None else read_average(average),
            arrays=arrays,
            shard=shard,
            **{name: header[name] for name in names},
        )


def _cell(header: Header, given: Header) -> Cell:
    sgd = read_recipe({**header["recipe"], **given["values"]})
    steps = steps_of(sgd, header["steps"], header["samples"])
    scheduled, target = sgd.schedule is not None, header["target"] is not None
    predicted = Predicted.of(given["predicted"], scheduled=scheduled, budget=steps is not None, target=target)
    measured = None if given["measured"] is None else Measured.of(given["measured"])
    return Cell(sgd, steps, dict(given["values"]), predicted, measured)


def steps_of(sgd: Recipe, steps: int | None, samples: int | None) -> int | None:
    """Return the steps of a budget that is in steps, or in samples."""
    return steps if samples is None or sgd.batch_size is None else samples // sgd.batch_size


def _spelled(value: Json) -> Json:
    """Return what a cell of a table can hold: a schedule and a weighted sampling by their names."""
    return value["name"] if isinstance(value, dict) else "none" if value is None else value
