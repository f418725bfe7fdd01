"""Epochs of one recipe, run from any second moment of the state, for given orders of the samples."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from .._arrays import AnyArray, Array, Ints
from ..problem.least_squares import LeastSquares
from ..recipe.sgd import Recipe
from ..simulation.steppers import in_modes
from ..theory.fixed_points import fixed_point
from ..theory.law import Law

__all__ = ["EpochRun"]

_RTOL = 1e-4
_AT_ONCE = 32  # orders whose states are held


class EpochRun:
    """Epochs of one recipe, run from any second moment of the state, (k r, k r): V and, with momentum, its buffer."""

    def __init__(self, problem: LeastSquares, sgd: Recipe, rtol: float = _RTOL) -> None:
        self.problem, self.sgd, self.rtol, self.minimum = problem, sgd, rtol, problem.minimum(sgd.weight_decay)
        shuffle = Law(problem, sgd, "exact").shuffle
        assert shuffle is not None
        self.epoch = shuffle.epoch
        self.slots = sgd.step.slots
        self.setting = in_modes(problem, sgd)
        homogeneous = ((0, 0), (0, self.slots * problem.rank))
        self.residuals = np.pad(self.setting.residuals, homogeneous)
        self.constant = np.pad(self.setting.constant, homogeneous[::-1])

    def settled(self, orders: Ints, mean: Array) -> Array:
        """Return the stationary S, (r, r), averaged over the epoch, of these orders, and E of the state."""
        rank = self.problem.rank

        units = np.multiply.outer(self._units, self._units)

        def once(scaled: Array) -> Array:
            moment = scaled / units
            after = self._run(orders, mean, moment, [self.epoch.steps])[0]
            return units * self._relaxed(after - self._carried(moment))

        moment = fixed_point(once, once, units * (mean.T @ mean), self.rtol)[0] / units
        return self.epoch.average(self._run(orders, mean, moment, self.epoch.times.tolist())[:, :rank, :rank])

    @property
    def _units(self) -> Array:
        """What makes V, and the buffer, of all modes comparable, (k r,): the square root of the loss."""
        root = np.sqrt(self.minimum.curvatures)
        return np.concatenate([root, 1 / root][: self.slots])

    def settled_mean(self, orders: Ints) -> Array:
        """Return E of the state at the start of an epoch, (c, k r)."""
        drift, r, c = self._drift, self.problem.rank, self.problem.outputs
        if self.epoch.steps == 1:  # batches are independent, and E V is 0
            return np.zeros((c, self.slots * r))

        def once(mean: Array) -> Array:
            rows = np.ascontiguousarray(mean.reshape(c, self.slots, r).swapaxes(0, 1))
            ends = [state.sum(axis=1) for state, _ in self._advanced(orders, rows, [self.epoch.steps])]
            after = np.sum(ends, axis=0) / len(orders)
            left = after.transpose(2, 1, 0) - np.einsum("pia,acp->pci", drift, rows)
            found = np.linalg.solve((np.eye(self.slots) - drift)[:, None], left[..., None])[..., 0]
            return np.asarray(found.transpose(1, 2, 0).reshape(c, -1))

        return fixed_point(once, once, np.zeros((c, self.slots * r)), self.rtol)[0]

    def _run(self, orders: Ints, mean: Array, moment: Array, stops: list[int]) -> Array:
        """Second moments after `stops` steps, averaged over the orders, from `moment` at the start of the epoch."""
        roots, signs = self._rows(mean, moment)
        total = np.zeros((len(stops), *moment.shape))
        for state, k in self._advanced(orders, roots, stops):
            rows = state.transpose(1, 2, 0, 3).reshape(-1, len(moment))
            total[k] += (np.tile(signs, state.shape[1])[:, None] * rows).T @ rows
        return total / len(orders)

    def _advanced(self, orders: Ints, rows: Array, stops: list[int]) -> Iterator[tuple[AnyArray, int]]:
        """Yield states of some orders begun at `rows`, (k, rows, r), after each of `stops` steps, and which that is."""
        from ..simulation.compiled import descend

        ends, sizes, setting = np.cumsum(self.epoch.sizes), self.epoch.sizes, self.setting
        residuals, constant = self.residuals[:, : rows.shape[1]], self.constant[: rows.shape[1]]
        for some in np.array_split(orders, -(-len(orders) // _AT_ONCE)):
            state, now = np.repeat(rows[:, None], len(some), axis=1), 0
            for k, stop in enumerate(stops):
                for step in range(now, stop):
                    batches = np.ascontiguousarray(some[None, :, ends[step] - sizes[step] : ends[step]])
                    descend(state, setting.inputs, residuals, batches, constant, self.sgd, None, 1)
                now = stop
                yield state, k

    def _rows(self, mean: Array, moment: Array) -> tuple[Array, Array]:
        """E of the state and a square root of its covariance, as rows, (k, c + k r, r), and the rows' signs."""
        spread = moment - mean.T @ mean
        values, vectors = np.linalg.eigh(0.5 * (spread + spread.T))
        rows = np.concatenate([mean, (vectors * np.sqrt(np.abs(values))).T])
        signs = np.concatenate([np.ones(len(mean)), np.sign(values)])
        return np.ascontiguousarray(rows.reshape(len(rows), self.slots, -1).swapaxes(0, 1)), signs

    @cached_property
    def _drift(self) -> Array:
        """What an epoch without noise does to (V, u) of each mode, (r, k, k)."""
        step = self.sgd.step.transition(self.sgd.lr, self.minimum.curvatures)
        return np.linalg.matrix_power(step, self.epoch.steps)

    def _pairs(self, moment: Array) -> Array:
        """(k r, k r) as (r, r, k, k)."""
        r = self.problem.rank
        return moment.reshape(self.slots, r, self.slots, r).transpose(1, 3, 0, 2)

    def _joint(self, pairs: Array) -> Array:
        """And back."""
        return pairs.transpose(2, 0, 3, 1).reshape((self.slots * self.problem.rank,) * 2)

    def _carried(self, moment: Array) -> Array:
        """What is left of a second moment after an epoch without noise."""
        drift = self._drift
        return self._joint(np.einsum("pia,pqab,qjb->pqij", drift, self._pairs(moment), drift, optimize=True))

    def _relaxed(self, added: Array) -> Array:
        """Solve S - D S D^T = added, D the drift of an epoch."""
        k, r = self.slots, self.problem.rank
        keep = np.eye(k * k) - np.einsum("pia,qjb->pqijab", self._drift, self._drift).reshape(r, r, k * k, k * k)
        return self._joint(np.linalg.solve(keep, self._pairs(added).reshape(r, r, k * k, 1)).reshape(r, r, k, k))
