r"""The stationary state of an average of the weights, from the maps of one epoch: exact where all epochs are listed.

An average moves nothing. From a stationary s at the start of an epoch and a = 0, the epochs until updates fall on the
same positions again make s' = s Pi + xi and a' = w; from any other a they make a' = D a + w. So of the moments with a
nothing is left to be found but X = E[s^T a] and A = E[a^T a], from

    X = D (E[Pi]^T X + E[xi]^T E a) + E[s'^T w],    (1 - D^2) A = D (E[w^T a] + its transpose) + E[w^T w].
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from math import lcm

import numpy as np

from ..._arrays import Array, standard_error
from ...kernels.time_varying import Course
from ...recipe.averages import EMA
from .course_cycle import alike
from .measured import MeasuredEpochs
from .measured_course import square_root
from .random_map import followed, joined

__all__ = ["MeasuredAverage"]

State = tuple[Array, Array]


class MeasuredAverage:
    """F58 with an average: the stationary state of `average` in such epochs.

    Cost: what `random_map.followed` takes, four times, for every epoch until updates fall on the same positions again:
    every/gcd(every, n) of them.

    Parameters
    ----------
    epochs : MeasuredEpochs
    average : EMA
    """

    def __init__(self, epochs: MeasuredEpochs, average: EMA) -> None:
        self.epochs, self.average = epochs, average
        self.phases = lcm(epochs.steps, average.period) // epochs.steps
        self.course: Course = alike(epochs.curvatures, epochs.sgd, average, self.phases * epochs.steps)
        self.kept = average.decay ** (self.phases * epochs.steps // average.period)

    def _epoch(self, phase: int, begin: Array, felt: int, stops: list[int]) -> Iterator[tuple[int, Array, Array]]:
        """Yield which stop, weights of some orders, and their rows then, begun at `begin`."""
        epochs, n = self.epochs, self.epochs.steps
        steps = slice(phase * n, (phase + 1) * n)
        moves = self.course.motion[steps], self.course.push[steps]
        for k, part, state in followed(epochs.problem, epochs.sgd, epochs.orders, stops, begin, felt, moves):
            yield k, epochs.orders.weights[part], joined(state)

    def _after(self, phase: int, state: State) -> State:
        """Second moments and means of s and a an epoch later."""
        return self._along(phase, state, [self.epochs.steps])[0]

    def _along(self, phase: int, state: State, stops: list[int]) -> list[State]:
        """The same after `stops` steps of the epoch."""
        moment, mean = state
        found = [(np.zeros_like(moment), np.zeros_like(mean)) for _ in stops]
        for k, weights, rows in self._epoch(phase, square_root(moment, mean), len(mean), stops):
            weighted = rows * weights[:, None, None]
            found[k][0][:] += np.tensordot(weighted, rows, axes=([0, 1], [0, 1]))
            found[k][1][:] += weighted[:, -len(mean) :].sum(axis=0)
        return found

    def _mean_map(self) -> tuple[Array, Array]:
        """E[Pi] and the E w of each s, (k r, k r) and (k r, r): of the homogeneous rows."""
        size = self.epochs.size
        rows = np.eye(size, size + self.epochs.rank)
        for phase in range(self.phases):
            moved = np.zeros_like(rows)
            for _, weights, found in self._epoch(phase, rows, 0, [self.epochs.steps]):
                moved += np.tensordot(weights, found, 1)
            rows = moved
        return rows[:, :size], rows[:, size:]

    @cached_property
    def _settled(self) -> State:
        """Stationary moments of s and a together, (k r + r, k r + r) and (c, k r + r)."""
        (s, mean), size, kept = self.epochs.settled, self.epochs.size, self.kept
        state = np.pad(s, (0, self.epochs.rank)), np.pad(mean, ((0, 0), (0, self.epochs.rank)))
        for phase in range(self.phases):
            state = self._after(phase, state)
        (moment, means), (moved, seen) = state, self._mean_map()
        average = means[:, size:] / (1 - kept)
        shift, entered = mean - mean @ moved, means[:, size:] - mean @ seen  # E xi, and the E w without s
        right = kept * shift.T @ average + moment[:size, size:]
        crossed = np.linalg.solve(np.eye(size) - kept * moved.T, right)
        met = seen.T @ crossed + entered.T @ average
        squared = (kept * (met + met.T) + moment[size:, size:]) / (1 - kept**2)
        return np.block([[s, crossed], [crossed.T, squared]]), np.hstack([mean, average])

    def settled_at(self, place: int | None) -> State:
        """Second moment and mean of the average, (r, r) and (c, r): at one position, or averaged over the epoch.

        Both are averages over the epochs until updates fall on the same positions again.
        """
        stops, share = self.epochs.positions if place is None else ([place], np.ones(1))
        state, size = self._settled, self.epochs.size
        total = np.zeros((self.epochs.rank,) * 2), np.zeros((len(state[1]), self.epochs.rank))
        for phase in range(self.phases):
            *seen, then = self._along(phase, state, [*stops, self.epochs.steps])
            for weight, (moment, mean) in zip(share / self.phases, seen, strict=True):
                total[0][:] += weight * moment[size:, size:]
                total[1][:] += weight * mean[:, size:]
            state = then
        return total

    @cached_property
    def error(self) -> float:
        """Relative standard error of 1/2 tr(H S): from the groups of the orders, 0 where all are listed."""
        if self.epochs.orders.listed:
            return 0.0
        groups = [MeasuredAverage(self.epochs.of(orders), self.average) for orders in self.epochs.orders.groups()]
        whole, *parts = (self.epochs.curvatures @ np.diag(each.settled_at(None)[0]) for each in (self, *groups))
        return float(standard_error(np.array(parts)) / whole)
