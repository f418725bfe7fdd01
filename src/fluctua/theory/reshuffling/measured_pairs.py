r"""Second moments of every pair of outputs in shuffled epochs, from the maps of an epoch: F58 for E[s_k^T s_l].

All outputs see the same orders, so that one Pi serves all: E[s_k^T s_l] after an epoch is E[Pi^T S_kl Pi] and what the
noise of both adds. Exact where all epochs are listed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..._arrays import Array
from ...kernels.time_varying import Course
from ..fixed_points import fixed_point
from .measured import MeasuredEpochs
from .random_map import EpochMap, followed, joined

__all__ = ["MeasuredPairs"]

State = tuple[Array, Array]
_RTOL = 1e-10


class MeasuredPairs:
    """F58 for pairs of outputs: S_kl, (c, c, k r, k r), and the means, (c, k r).

    Cost: c^2 products of (k r, k r) matrices beside what `random_map.followed` takes, for each order.

    Parameters
    ----------
    epochs : MeasuredEpochs
    course : Course, optional
        The steps of a run; without one they are all alike.
    """

    def __init__(self, epochs: MeasuredEpochs, course: Course | None = None) -> None:
        self.epochs, self.course = epochs, course
        parts = epochs.sgd.step.slots if course is None else course.components
        self.size, self.shown = parts * epochs.rank, 0 if course is None else course.shown

    def after(self, step: int, start: Array | None) -> State:
        """Covariances, (c, c, r, r), and means, (c, r), at a step of a run from E V(0) = `start`, (c, r), or W*."""
        outputs, n = self.epochs.problem.outputs, self.epochs.steps
        mean = np.zeros((outputs, self.size))
        if start is not None:
            entry = np.eye(1, self.size // self.epochs.rank)[0] if self.course is None else self.course.entry
            mean = np.multiply.outer(entry, start).swapaxes(0, 1).reshape(outputs, -1)
        state = np.einsum("ka,lb->klab", mean, mean), mean
        for first in range(0, step + 1, n):
            state = self._along(first, state, [min(n, step - first)])[0]
        return self._seen(state)

    def settled_at(self, places: list[int]) -> Iterator[State]:
        """Yield covariances and means in the stationary state, at positions of the epoch, rising."""
        outputs, (_, mean) = self.epochs.problem.outputs, self.epochs.settled
        none = np.zeros((outputs, outputs, self.size, self.size)), mean
        renewed, moved = self._along(0, none, [self.epochs.steps])[0][0], self.epochs.map
        settled = np.empty_like(renewed)
        for k, l in np.ndindex(outputs, outputs):  # noqa: E741  (output indices, F6)
            added = renewed[k, l]

            def once(s: Array, added: Array = added) -> Array:
                return moved.resolvent(moved.fluctuation(s) + added)

            settled[k, l] = fixed_point(once, once, np.outer(mean[k], mean[l]), _RTOL)[0]
        yield from map(self._seen, self._along(0, (settled, mean), places))

    def _along(self, first: int, state: State, stops: list[int]) -> list[State]:
        """S_kl and the means after `stops` steps of the epoch that begins with step `first`."""
        s, mean = state
        found = [(np.zeros_like(s), np.zeros_like(mean)) for _ in stops]
        for k, weights, rows in self._passed(first, stops):
            maps, noise = rows[:, : self.size], rows[:, self.size :]
            moved, step = mean @ maps, EpochMap(maps, weights)
            together = (moved + noise) * weights[:, None, None]
            found[k][0][:] += np.einsum("wka,wlb->klab", together, noise, optimize=True)
            found[k][0][:] += np.einsum("wka,wlb->klab", weights[:, None, None] * noise, moved, optimize=True)
            found[k][0][:] += np.array([[step(each) for each in row] for row in s])
            found[k][1][:] += together.sum(axis=0)
        return found

    def _passed(self, first: int, stops: list[int]) -> Iterator[tuple[int, Array, Array]]:
        """Yield which stop, weights of some orders, and Pi and xi of them, (m, k r + c, k r)."""
        epochs, n, outputs = self.epochs, self.epochs.steps, self.epochs.problem.outputs
        if self.course is None:
            motion, push = epochs.sgd.step.at(epochs.sgd.lr)
            moves = np.broadcast_to(motion, (n, *motion.shape)), np.broadcast_to(push, (n, *push.shape))
        else:
            moves = self.course.motion[first : first + n], self.course.push[first : first + n]
        begin = np.vstack([np.eye(self.size), np.zeros((outputs, self.size))])
        for k, part, state in followed(epochs.problem, epochs.sgd, epochs.orders, stops, begin, outputs, moves):
            yield k, epochs.orders.weights[part], joined(state)

    def _seen(self, state: State) -> State:
        """Covariances and means of what is looked at."""
        shown = slice(self.shown * self.epochs.rank, (self.shown + 1) * self.epochs.rank)
        s, mean = state[0][:, :, shown, shown], state[1][:, shown]
        return s - np.einsum("kp,lq->klpq", mean, mean), mean
