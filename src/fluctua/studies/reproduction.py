"""The source paper's claim on its data sets: which runs, each with a name that says what it is, and their summary.

A cell is one recipe on one data set, verified. Its directory carries a hash of everything that fixes its numbers, so a
reproduction that was interrupted goes on with the cells, and inside a cell with the replicas, that are missing.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import ClassVar

from .._validate.plain import Keywords
from ..data import Dataset, load
from ..problem.least_squares import LeastSquares
from ..recipe.sgd import SGD
from ..report.explorer.ranges import surveyed
from ..simulation.executors import Report
from ..storage.checkpoint import Checkpoint
from ..storage.results import provenance
from ..verification.equal_time import verify
from ..verification.formats import shown
from ..verification.verdict import Verdict
from .cells import Keyed, of_runs

__all__ = ["SETS", "Cell", "Posed", "cells", "machine", "posed", "summary"]


@dataclass(frozen=True)
class _Set:
    """A data set, three learning rates and three batch sizes for it; the middle ones are the base recipe."""

    lrs: tuple[float, float, float]
    batch_sizes: tuple[int, int, int]
    options: Keywords = field(default_factory=dict)
    quick: Keywords | None = None
    shuffles: bool = False


SETS = {
    "digits": _Set((0.01, 0.05, 0.1), (2, 8, 32), quick={}, shuffles=True),
    "mnist": _Set((0.003, 0.012, 0.03), (4, 16, 64), quick={"limit": 4000}, shuffles=True),
    "emnist": _Set((0.002, 0.01, 0.025), (4, 16, 64), {"subset": "test"}, shuffles=True),
    "cifar10": _Set((0.0002, 0.0007, 0.0016), (4, 16, 64), {"limit": 10_000}),
}
"""Learning rates are some 5, 25 and 60 % of 2/h_max. Shuffled epochs are verified where their law is exact enough for
it: 4,000 images of MNIST and 10,000 of CIFAR-10 have too many modes for it."""
_MOMENTUM = 0.9
_COLUMNS = (
    "data",
    "samples",
    "recipe",
    "lr",
    "b",
    "measured excess loss",
    "exact, %",
    "Langevin, %",
    "z-rms",
    "F0",
    "catches, %",
    "verdict",
)
Posed = tuple[Dataset, LeastSquares]
_LEVEL = 0.01 / 32  # of a cell: 1 % for a whole reproduction of up to 32
_FULL: Keywords = {"steps": 2000, "replicas": None, "resolution": 0.05}
_QUICK: Keywords = {"steps": 500, "replicas": 256, "resolution": 0.05}


@dataclass(frozen=True)
class Cell(Keyed):
    """One recipe on one data set.

    Attributes
    ----------
    data : str
    options : dict
        Of `fluctua.load`.
    recipe : str
        What sets it apart from the others.
    sgd : SGD
    run : dict
        Options of `fluctua.verify`.
    seed : int
        Of the whole reproduction; every cell draws its own from it.
    """

    FINDS: ClassVar[type[Verdict]] = Verdict

    data: str
    options: Keywords
    recipe: str
    sgd: SGD
    run: Keywords
    seed: int

    @property
    def stem(self) -> str:
        """The data set and what sets the recipe apart."""
        return f"{self.data}-{self.recipe}"

    @property
    def label(self) -> tuple[str, str]:
        """The data set and the recipe."""
        return self.data, self.recipe

    def made(self, shared: Posed, checkpoint: Checkpoint | None, report: Report) -> Verdict:
        """Verify the recipe on its data; the base recipe's verdict has the survey of the explorer."""
        data, problem = shared
        verdict = verify(
            problem, self.sgd, rng=self.entropy, checkpoint=checkpoint, shard=None, progress=of_runs(report), **self.run
        ).about(data.about)
        return surveyed(verdict, problem) if self.base else verdict

    @property
    def fixed(self) -> Keywords:
        """All that fixes the numbers."""
        return {**asdict(self), "sgd": self.sgd.to_dict()}

    @property
    def base(self) -> bool:
        """Whether it is the middle recipe of its data set."""
        return self.recipe == "base"


def cells(names: Sequence[str], *, quick: bool, seed: int) -> list[Cell]:
    """Return the cells of a reproduction: on each data set three rates, three batch sizes, samplings, and momentum."""
    run = {**(_QUICK if quick else _FULL), "level": _LEVEL}
    found = []
    for name in names:
        chosen = SETS[name]
        options = chosen.quick if quick and chosen.quick is not None else chosen.options
        whole = options == chosen.options
        recipes = (each for each in _recipes(chosen) if whole or not each[1].epochs)
        found += [Cell(name, options, recipe, sgd, run, seed) for recipe, sgd in recipes]
    return found


def _recipes(chosen: _Set) -> Iterator[tuple[str, SGD]]:
    (low, lr, high), (small, size, large) = chosen.lrs, chosen.batch_sizes
    yield "base", SGD(lr, size)
    yield "low lr", SGD(low, size)
    yield "high lr", SGD(high, size)
    yield "small batch", SGD(lr, small)
    yield "large batch", SGD(lr, large)
    yield "without replacement", SGD(lr, large, sampling="without_replacement")
    yield "momentum", SGD(float(f"{lr * (1 - _MOMENTUM):.2g}"), size, momentum=_MOMENTUM)
    if chosen.shuffles:
        yield "shuffle", SGD(lr, size, sampling="shuffle")


def posed(cell: Cell, data_dir: str | None) -> Posed:
    """Return the data of a cell and the problem that they pose."""
    data = load(cell.data, **cell.options, data_dir=data_dir)
    return data, LeastSquares(data.inputs, data.targets)


def summary(found: Sequence[tuple[Cell, Verdict]]) -> str:
    """Return the table of all cells in Markdown.

    "exact" and "Langevin" are what these theories predict over what was measured, less 1; "F0" is dissipated over
    injected, "catches" the smallest relative error that the run would have caught.
    """
    lines = [f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|"]
    lines += [f"| {' | '.join(_line(cell, verdict))} |" for cell, verdict in found]
    return "\n".join(lines) + "\n"


def _line(cell: Cell, verdict: Verdict) -> list[str]:
    balance, rungs = verdict.balance, {row.name: row for row in verdict.rows}
    return [
        cell.data,
        f"{verdict.run.problem.samples:,}",
        cell.recipe,
        f"{cell.sgd.lr:g}",
        str(cell.sgd.batch_size),
        f"{verdict.excess_loss:.5g} ± {1.96 * verdict.excess_loss_error:.1g}",
        _off(rungs["exact"].excess_loss, verdict),
        _off(rungs["langevin"].excess_loss, verdict) if "langevin" in rungs else "",
        f"{verdict.tested.comparison.z_rms:.2f}",
        "" if balance is None else f"{balance.trace_ratio:.4f}",
        f"{100 * verdict.detectable:.2g}",
        "passed" if verdict.passed else "**failed**",
    ]


def _off(predicted: float, verdict: Verdict) -> str:
    return shown(100 * (predicted / verdict.excess_loss - 1), "+.2f")


def machine() -> str:
    """What the numbers were made on."""
    versions = ", ".join(f"{name} {number}" for name, number in provenance().items())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, {versions}"
