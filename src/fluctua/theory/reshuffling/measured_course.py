"""A run in shuffled epochs whose steps differ, followed with maps of every epoch, F62: rates that move, averages.

Exact where all epochs are listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..._arrays import Array
from ...kernels.time_varying import Course
from ..overflow import overflowing, overflown
from .followed import ChangingRun, SampledRun
from .measured import MeasuredEpochs
from .random_map import followed, joined

__all__ = ["MeasuredCourse", "square_root"]

State = tuple[Array, Array]


class MeasuredCourse(ChangingRun, SampledRun):
    """F62: a run of `course` in such epochs from E V(0) = `mean`, (c, r), without spread, or from W*.

    Each epoch has maps of its own. They act on rows: E s, and a square root of the covariance, whose directions are
    followed without targets. Cost: what `random_map.followed` takes, for every epoch of the run.
    """

    def __init__(self, epochs: MeasuredEpochs, course: Course, mean: Array | None) -> None:
        self.epochs, self._start = epochs, mean
        super().__init__(course, mean, epochs.problem.outputs)

    def with_epochs(self, epochs: MeasuredEpochs) -> MeasuredCourse:
        """The same run, with other orders."""
        return MeasuredCourse(epochs, self.course, self._start)

    def at_each(self, steps: Sequence[int]) -> dict[int, State]:
        """S and E V at each of `steps`, (r, r) and (c, r), in one pass through the epochs."""
        rank = self.epochs.rank
        nothing = np.zeros((rank, rank)), np.zeros((self.epochs.problem.outputs, rank))
        out = dict.fromkeys(sorted(set(steps)), nothing)
        with overflowing():
            for time, weights, state in self._passed(set(steps), max(steps), every=False):
                s, mean = self._moments(weights, state[self.course.shown])
                out[time] = out[time][0] + s, out[time][1] + mean
        return {time: (overflown(s), overflown(mean)) for time, (s, mean) in out.items()}

    def _averaged(self, steps: tuple[int, ...], observable: Array | None) -> tuple[Array, Array, Array]:
        rank, last = self.epochs.rank, steps[-1]
        s, mean = np.zeros((rank, rank)), np.zeros((self.epochs.problem.outputs, rank))
        curve = np.zeros(0 if observable is None else last + 1)
        for time, weights, state in self._passed(set(steps), last, every=observable is not None):
            now, count = state[self.course.shown], steps.count(time)
            if count:
                found = self._moments(weights, now)
                s, mean = s + count * found[0], mean + count * found[1]
            if observable is not None:
                curve[time] += weights @ np.einsum("wij,wij->wj", now, now) @ observable
        return s / len(steps), mean / len(steps), curve

    def _passed(self, wanted: set[int], last: int, every: bool) -> Iterator[tuple[int, Array, Array]]:
        """Yield a time, weights of some orders, (m,), and their parts, (k, m, rows, r), for each time looked at."""
        epochs, begin = self.epochs, self.mean
        n, felt = epochs.steps, len(begin)
        for first in range(0, last + 1, n):
            inside = range(first, min(first + n, last + 1))
            stops = [t - first for t in inside if every or t in wanted] + [n] * (first + n <= last)
            if not np.isfinite(begin).all():  # it has overflowed, and stays there
                lost = np.full((self.course.components, 1, felt, epochs.rank), np.inf)
                yield from ((first + stop, np.ones(1), lost) for stop in stops if stop < n)
                continue
            moves = self.course.motion[first : first + n], self.course.push[first : first + n]
            found = np.zeros((begin.shape[1],) * 2), np.zeros_like(self.mean)
            for k, part, state in followed(epochs.problem, epochs.sgd, epochs.orders, stops, begin, felt, moves):
                weights = epochs.orders.weights[part]
                if stops[k] < n:
                    yield first + stops[k], weights, state
                else:
                    s, mean = self._moments(weights, joined(state))
                    found = found[0] + s, found[1] + mean
            begin = square_root(*found) if np.isfinite(found[0]).all() else np.full_like(self.mean, np.inf)

    def _moments(self, weights: Array, rows: Array) -> State:
        """What some orders add to the second moment and to the mean of the rows' columns."""
        squared = np.tensordot(rows * weights[:, None, None], rows, axes=([0, 1], [0, 1]))
        return np.asarray(squared), np.tensordot(weights, rows[:, -len(self.mean) :], 1)


def square_root(moment: Array, mean: Array) -> Array:
    """Return rows whose squares add up to the second moment, the last of them the mean."""
    values, vectors = np.linalg.eigh(moment - mean.T @ mean)
    kept = values > 0
    return np.vstack([np.sqrt(values[kept])[:, None] * vectors[:, kept].T, mean])
