"""A plan held against real training runs: its winner and the winner's neighbours, simulated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from .._results import Brief, Tables, Tabular, clipped
from .._validate.arguments import door
from .._validate.values import instance, positive_int
from ..problem.least_squares import LeastSquares
from ..problem.start import Start
from ..recipe.sgd import SGD, Recipe
from ..simulation.batches import Rng, seed_sequence
from ..simulation.replicas import simulate
from .rates import edge
from .recipes import Plan
from .reduced import final

__all__ = ["FEWEST", "Rehearsal", "Run", "own_error", "rehearse", "spread_of_mean", "widened"]

_RTOL, _PRECISION = 1e-2, 3e-4  # of the worst mode's variance, and of the loss that follows
_CLOSURE = 5e-3  # of the excess loss: what the law of shuffled epochs leaves out (docs/shuffle.md)
_FAR, _DISTINCT = 6e-5, 2.7e-3  # two-sided levels at which a prediction is off, and from which two runs are distinct
FEWEST = 16  # replicas: the losses are skewed, and Student's t of fewer of them raises too many alarms


@dataclass(frozen=True, repr=False)
class Run(Brief):
    """One recipe, predicted and trained.

    Attributes
    ----------
    sgd : SGD
    predicted : float
        Expected training loss at the end.
    measured, error : float
        Mean over the replicas, and its standard error with the prediction's own accuracy: 3e-4 of it, and with shuffled
        epochs 0.5 % of the excess loss. The standard error is that of `spread_of_mean`.
    """

    sgd: SGD
    predicted: float
    measured: float
    error: float

    @property
    def score(self) -> float:
        """(measured - predicted)/error."""
        return (self.measured - self.predicted) / self.error


@dataclass(frozen=True, repr=False)
class Rehearsal(Tabular):
    """The winner first, then its neighbours; made by `rehearse`.

    Attributes
    ----------
    runs : tuple of Run
        Each recipe, predicted and trained.
    replicas : int
        Runs of each.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.planning.rehearsal import Run
    >>> run = Run(fl.SGD(lr=0.1, batch_size=8), predicted=0.15, measured=0.151, error=0.002)
    >>> rehearsal = fl.Rehearsal((run,), replicas=64)
    >>> print(f"{run.score:.1f} {rehearsal.agrees}")
    0.5 True
    """

    runs: tuple[Run, ...]
    replicas: int

    def _tables(self) -> Tables:
        names = ("predicted", "measured", "error", "score")
        return {
            "runs": lambda: {
                "recipe": [run.sgd.words for run in self.runs],
                "lr": [run.sgd.lr for run in self.runs],
                **{name: [getattr(run, name) for run in self.runs] for name in names},
            }
        }

    def __repr__(self) -> str:
        said = "losses as predicted" if self.agrees else "losses NOT as predicted"
        order = "in the predicted order" if self.ordered else "NOT in the predicted order"
        return clipped(f"Rehearsal({len(self.runs)} recipes x {self.replicas} runs: {said}, {order})")

    @property
    def agrees(self) -> bool:
        """Whether no measured loss is off by Student's t at level 6e-5 for each run.

        Of true predictions, 12 and 150 samples, a run was called off in 0.01 % of 9,000 checks with 64 replicas, and in
        0.04 % of 36,000 with 16 (0.1 % on the worst data), up to half the stability limit; at 0.8 and 0.9 of it in up
        to 1 %, because the spread of 64 runs is there mostly far below that of all.
        """
        return all(abs(run.score) < self._quantile(_FAR) for run in self.runs)

    @property
    def ordered(self) -> bool:
        """Whether the runs that the measurement tells apart, at level 2.7e-3, are in the predicted order."""
        pairs, far = combinations(self.runs, 2), self._quantile(_DISTINCT)
        distinct = [(a, b) for a, b in pairs if abs(a.measured - b.measured) > far * np.hypot(a.error, b.error)]
        return all((a.measured < b.measured) == (a.predicted < b.predicted) for a, b in distinct)

    def _quantile(self, level: float) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(self.replicas - 1, 1 - level / 2))


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

    Where twice the rate would be beyond 0.97 of the largest stable one, 0.9 with shuffled epochs, that run is at this
    limit, or left out if it is within half of the winner's rate.

    Parameters
    ----------
    problem : LeastSquares
        The data that the plan was made for.
    found : Plan
        What to rehearse.
    replicas : int
        Runs of each recipe, at least 16.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy.
    start : "zero" or array_like, (c, d)
        As for `plan`.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    Rehearsal
        The winner first.

    Raises
    ------
    InvalidInput
        For arguments out of range, and where the runs would not fit into memory or not end in time.
    NotConverged
        If a prediction was not found to the accuracy stated.

    Notes
    -----
    Cost: four recipes times `replicas` runs, as `simulate`, and four predictions on all samples.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", limit=200)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> found = fl.plan(problem, 100, batch_size=8, momenta=[0.0], schedules=["constant"])
    >>> rehearsal = fl.rehearse(problem, found, replicas=16, rng=1)
    >>> [round(run.sgd.lr / found.best.sgd.lr, 2) for run in rehearsal.runs]
    [1.0, 0.5, 1.9]
    """
    door(problem, progress=progress)
    instance("found", found, Plan, "a plan, fluctua.plan(problem, steps)")
    positive_int("replicas", replicas, minimum=FEWEST)
    best = found.best.sgd
    problem = best.seen(problem)
    top = edge(best) * found.limits[best.momentum]
    recipes = [best, replace(best, lr=0.5 * best.lr)]
    if top > 1.5 * best.lr:
        recipes.append(replace(best, lr=min(2 * best.lr, top)))
    recipes += [one.sgd for one in found.candidates[1:2]]
    begin = Start.at(problem.minimum(best.weight_decay), start)
    seeds, runs = seed_sequence(rng).spawn(len(recipes)), []
    for done, (sgd, seed) in enumerate(zip(recipes, seeds, strict=True)):
        predicted = final(problem, sgd, found.steps, begin, _RTOL)
        share = None if progress is None else lambda part, done=done: progress((done + part) / len(recipes))
        measured = simulate(
            problem,
            sgd,
            steps=found.steps,
            replicas=replicas,
            rng=np.random.default_rng(seed),
            start=start,
            records=1,
            progress=share,
        )
        last = predicted.optimum_loss + measured.replica_losses[:, -1]
        own = own_error(sgd, float(last.mean()), predicted.excess_loss)
        error = float(np.hypot(spread_of_mean(measured.replica_losses[:, -1], predicted.excess_loss), own))
        runs.append(Run(sgd, predicted.optimum_loss + predicted.excess_loss, float(last.mean()), error))
    return Rehearsal(tuple(runs), replicas)


def own_error(sgd: Recipe, loss: float, excess: float) -> float:
    """Return what a predicted loss is off by: 3e-4 of it, and in shuffled epochs 0.5 % of the excess loss."""
    return _PRECISION * loss + sgd.epochs * _CLOSURE * excess


def spread_of_mean(excess: Array, predicted: float) -> float:
    """Return the standard error of the mean of the runs' excess losses, (R,), for a test of `predicted`.

    Losses are skewed, so that a low mean comes with a low spread, and Student's t calls it far off too often. What
    hardly moves with the mean is the spread over the mean. Where the mean is below the prediction by a factor q, the
    spread is therefore taken (q + q^(1/2))/2 times as large, which makes the distance in spreads 2 (1 - q^(-1/2)):
    calibrated as a spread in proportion to the prediction is, and with twice its power against a far one.
    """
    return widened(float(excess.mean()), float(excess.std(ddof=1) / np.sqrt(len(excess))), predicted)


def widened(mean: float, error: float, predicted: float) -> float:
    """Return `spread_of_mean` of a mean and its standard error."""
    low = max(1.0, predicted / mean) if mean > 0 else 1.0
    return float(error * 0.5 * (low + np.sqrt(low)))
