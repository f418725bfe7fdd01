"""A plan held against real training runs: its winner and the winner's neighbours, simulated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from ._validate import positive_int
from .plan import Plan
from .problem import LeastSquares
from .sampling import Rng, seed_sequence
from .sgd import SGD
from .simulate import simulate
from .start import Start
from .thinned import final

__all__ = ["Rehearsal", "Run", "rehearse"]

_RTOL = 1e-2
_FAR, _APART = 4.0, 3.0  # standard errors: beyond them a prediction is off, and two runs are told apart


@dataclass(frozen=True)
class Run:
    """One recipe, predicted and trained.

    Attributes
    ----------
    sgd : SGD
    predicted : float
        Expected training loss at the end.
    measured, error : float
        Mean over the replicas, and its standard error.
    """

    sgd: SGD
    predicted: float
    measured: float
    error: float

    @property
    def score(self) -> float:
        """(measured - predicted)/error."""
        return (self.measured - self.predicted) / self.error if self.error else 0.0


@dataclass(frozen=True)
class Rehearsal:
    """The winner first, then its neighbours; made by `rehearse`.

    Attributes
    ----------
    runs : tuple of Run
    replicas : int
    """

    runs: tuple[Run, ...]
    replicas: int

    @property
    def agrees(self) -> bool:
        """Whether every measured loss is within 4 standard errors of the predicted one (false alarms: 6e-5 each)."""
        return all(abs(run.score) < _FAR for run in self.runs)

    @property
    def ordered(self) -> bool:
        """Whether the runs that the measurement tells apart, by 3 standard errors, are in the predicted order."""
        pairs = combinations(self.runs, 2)
        apart = [(a, b) for a, b in pairs if abs(a.measured - b.measured) > _APART * np.hypot(a.error, b.error)]
        return all((a.measured < b.measured) == (a.predicted < b.predicted) for a, b in apart)


def rehearse(
    problem: LeastSquares,
    found: Plan,
    *,
    replicas: int = 64,
    rng: Rng = None,
    start: ArrayLike | str = "zero",
    progress: Callable[[float], None] | None = None,
) -> Rehearsal:
    """Train the winner of a plan, the same at half and at twice its learning rate, and the runner-up.

    Rates are kept below 0.97 of the largest stable one.

    Parameters
    ----------
    problem : LeastSquares
    found : Plan
    replicas : int
        Runs of each recipe.
    rng : numpy.random.Generator, int or None
    start : "zero" or array_like, (c, d)
        As for `plan`.
    progress : callable, optional
        Called with the fraction done.

    Notes
    -----
    Cost: four recipes times `replicas` runs, as `simulate`, and four predictions on all samples.
    """
    positive_int("replicas", replicas, minimum=2)
    best = found.best.sgd
    top = 0.97 * found.limits[best.momentum]
    recipes = [best, replace(best, lr=0.5 * best.lr), replace(best, lr=min(2 * best.lr, top))]
    recipes += [one.sgd for one in found.candidates[1:2]]
    begin = Start.at(problem.minimum(best.weight_decay), start)
    seeds, runs = seed_sequence(rng).spawn(len(recipes)), []
    for done, (sgd, seed) in enumerate(zip(recipes, seeds, strict=True)):
        predicted = final(problem, sgd, found.steps, begin, _RTOL)
        share = None if progress is None else lambda part, done=done: progress((done + part) / len(recipes))
        measured = simulate(problem, sgd, steps=found.steps, replicas=replicas, rng=np.random.default_rng(seed),
                            start=start, records=1, progress=share)  # fmt: skip
        last = predicted.optimum_loss + measured.replica_losses[:, -1]
        error = float(last.std(ddof=1) / np.sqrt(replicas))
        runs.append(Run(sgd, predicted.optimum_loss + predicted.excess_loss, float(last.mean()), error))
    return Rehearsal(tuple(runs), replicas)
