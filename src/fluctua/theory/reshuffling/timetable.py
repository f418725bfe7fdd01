r"""The timetable of an epoch: what a kernel does in n steps, and nodes that stand for all positions and all lags.

Knows no data. Sums over the steps of an epoch are sums over nodes, with weights that are exact for the kernel's decays:
only what the nodes carry is interpolated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels.constant import Kernel
from ..interpolation import Grid

__all__ = ["Epoch"]

Array = NDArray[np.float64]


class Epoch:
    """n steps of `kernel`, with batches of `sizes`.

    Parameters
    ----------
    kernel : Kernel
        Discrete, of the weights themselves: s' = m s + f D with D the deviation of the batch gradient.
    sizes : ndarray, (n,)
        Batch sizes, equal but for the last.
    nodes : int
        Positions, and lags, that stand for all.

    Attributes
    ----------
    times : ndarray, (J,)
        The positions' nodes; also the last step, where its batch is smaller.
    powers : ndarray, (n + 1, k r)
        m^t.
    sums : ndarray, (n + 1, k r)
        f times the sum of m^u over u < t.
    """

    def __init__(self, kernel: Kernel, sizes: NDArray[np.int64], nodes: int) -> None:
        self.kernel, self.sizes, self.steps, self.nodes = kernel, sizes, len(sizes), nodes
        n = self.steps
        self.drive = kernel.drive
        self.powers = kernel.decay ** np.arange(n + 1)[:, None]
        self.sums = np.zeros_like(self.powers)
        np.cumsum(self.drive * self.powers[:-1], axis=0, out=self.sums[1:])
        self.regular = int(np.sum(sizes == sizes[0]))
        self.positions, self.lags = Grid(self.regular, nodes), Grid(max(n - 1, 1), nodes)
        self.times = np.concatenate([self.positions.nodes, np.arange(self.regular, n)])
        self.share = np.append(self.positions.basis.sum(axis=0), np.ones(n - self.regular)) / n

    def fold(self, components: NDArray[Any]) -> Array:
        """Sum over the components of the last axis, (..., k r) to (..., r)."""
        shape = components.shape[:-1]
        return np.asarray(components.reshape(*shape, self.kernel.components, self.kernel.modes).sum(axis=-2).real)

    def fold_rows(self, components: Array) -> Array:
        """Sum over the components of the rows, (k r, r) to (r, r)."""
        return self.fold(components.T).T

    def tile(self, modes: Array) -> Array:
        """Repeat the last axis for every component, (..., r) to (..., k r)."""
        return np.tile(modes, (1,) * (modes.ndim - 1) + (self.kernel.components,))

    def tile_rows(self, matrices: Array) -> Array:
        """Repeat the rows for every component, (..., r, r) to (..., k r, r)."""
        return np.tile(matrices, (1,) * (matrices.ndim - 2) + (self.kernel.components, 1))

    def between(self, factors: Array, matrix: Array) -> Array:
        """factors_a factors_b matrix_pq for all components a of p and b of q, (k r, k r), for `matrix` (r, r)."""
        return np.asarray(np.multiply.outer(factors, factors) * self.tile(self.tile_rows(matrix)))

    def response(self, lag: int) -> Array:
        """Response of V to an impulse of D, `lag` + 1 steps later, (r,)."""
        return self.fold(self.drive * self.powers[lag])

    def average(self, values: Array) -> Array:
        """Average over the epoch of what has `values` at `times`, and maybe at the end."""
        return np.asarray(np.tensordot(self.share, values[: len(self.times)], 1))

    def met(self, time: int) -> Array:
        """Weights of the lags' nodes in the sum of m^u G(u) over u < `time`, (k r, J)."""
        return np.asarray(self.powers[:time].T @ self.lags.basis[:time])

    def cumulative(self, time: int) -> Array:
        """Weights of the lags' nodes in the sum of G(u) over u < `time`, (J,)."""
        return np.asarray(self.lags.basis[:time].sum(axis=0))

    def carried(self, time: int) -> Array:
        """Weights of the positions' nodes in the sum of m^(time-1-v) G(v) over regular v < `time`, (k r, J)."""
        until = min(time, self.regular)
        return np.asarray(self.powers[time - until : time][::-1].T @ self.positions.basis[:until])

    def before(self, values: Array, time: int, lag: int) -> Array:
        """What has `values` at `times`, `lag` + 1 steps before `time`."""
        basis = self.positions.basis[time - 1 - lag]
        near = np.flatnonzero(basis)
        return np.asarray(np.tensordot(basis[near], values[near], 1))

    def march(self, start: Array, added: Array) -> Array:
        """Follow S' = m m S + G from `start`, (k r, k r), with `added` = G at `times`: S there and at the end."""
        out = [start]
        for now, then in zip(self.times, [*self.times[1:], self.steps], strict=True):
            out.append(self.leg(out[-1], added, int(now), int(then)))
        return np.array(out)

    def leg(self, state: Array, added: Array, now: int, then: int) -> Array:
        """Follow S' = m m S + G from step `now` to step `then`."""
        out = np.multiply.outer(self.powers[then - now], self.powers[then - now]) * state
        if now == then:
            return np.asarray(out)
        if now >= self.regular:
            return np.asarray(out + added[-1])
        back, basis = self.powers[: then - now][::-1], self.positions.basis[now:then]
        for j in np.flatnonzero(basis.any(axis=0)):
            out += ((back * basis[:, j, None]).T @ back) * added[j]
        return np.asarray(out)
