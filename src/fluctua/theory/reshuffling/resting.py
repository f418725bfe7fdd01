r"""What a run in shuffled epochs comes to rest at, of the weights or of an average of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import gcd, lcm
from typing import Protocol

import numpy as np

from ..._arrays import Array
from ...errors import UnknownFloor
from ...recipe.averages import Average, RunningAverage
from ...recipe.sgd import Recipe
from .course_cycle import CourseCycle
from .measured import MeasuredEpochs
from .measured_average import MeasuredAverage
from .rare_average import RareAverage
from .stationary import Cycle

__all__ = ["Resting", "RestingMean", "at_rest"]

State = tuple[Array, Array]
_PHASES = 12  # epochs until updates fall on the same positions again, up to which the expansion follows them together


class Resting(Protocol):
    """A stationary state in shuffled epochs."""

    def settled_at(self, place: int | None) -> State:
        """S and E V of what is looked at, (r, r) and (c, r): at one position, or averaged over the epoch."""


def at_rest(sgd: Recipe, average: Average | None, cycle: Cycle, measured: MeasuredEpochs | None) -> Resting:
    """Return the stationary state of the weights or of their `average`: in `measured` epochs, or by the expansion."""
    found, n = measured or cycle, len(cycle.shuffle.sizes)
    if average is None:
        return found
    if isinstance(average, RunningAverage):
        return RestingMean(found, n, average.period)
    if measured is not None:
        return MeasuredAverage(measured, average)
    phases = lcm(n, average.period) // n
    if phases <= _PHASES:
        return CourseCycle(cycle.shuffle, sgd, average)
    return RareAverage(cycle, average) if average.period >= n else NotSought(cycle, average.period, phases)


@dataclass(frozen=True)
class NotSought:
    """The stationary state of an average that costs more than it tells: NaN, with a warning."""

    weights: Cycle
    every: int
    phases: int

    def settled_at(self, place: int | None) -> State:
        """Second moment and mean of the average, (r, r) and (c, r): all NaN."""
        del place
        warnings.warn(UnknownFloor(self.every, len(self.weights.shuffle.sizes), self.phases), stacklevel=6)
        r, c = self.weights.shuffle.problem.rank, self.weights.shuffle.problem.outputs
        return np.full((r, r), np.nan), np.full((c, r), np.nan)


@dataclass(frozen=True)
class RestingMean:
    """The mean over all time of the weights after every `every`-th step: E V there, which epochs displace.

    In time the updates come to all positions that are multiples of gcd(every, n) equally often.
    """

    weights: Cycle | MeasuredEpochs
    steps: int
    every: int

    def settled_at(self, place: int | None) -> State:
        """The square of the mean, (r, r), and the mean, (c, r): the same at every position."""
        del place
        between = gcd(self.every, self.steps)
        if between == 1:
            mean = self.weights.settled_at(None)[1]
        else:
            mean = self.weights.mean_over(list(range(0, self.steps, between)))
        return np.asarray(mean.T @ mean), mean
