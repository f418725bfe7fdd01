r"""The timetable of an epoch: m^t, Lambda(t) and P_u of F43, and sums over the steps of an epoch as sums over nodes.

Knows no data. A dozen positions and lags, the nodes, stand for all. Weights of sums over nodes are exact for the
kernel's decays: only what the nodes carry is interpolated.
"""

from __future__ import annotations

import numpy as np

from ..._arrays import AnyArray, Array, Ints
from ...kernels.constant import Kernel
from ..interpolation import Grid

__all__ = ["Epoch", "weighted"]


class Epoch:
    """F43: n steps of `kernel`, with batches of `sizes`.

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
    drive : ndarray, (k r,)
        f.
    powers : ndarray, (n + 1, k r)
        m^t.
    sums : ndarray, (n + 1, k r)
        Lambda(t), f times the sum of m^u over u < t.
    """

    def __init__(self, kernel: Kernel, sizes: Ints, nodes: int) -> None:
        self.kernel, self.drive = kernel, kernel.drive
        self.powers: Array = kernel.decay ** np.arange(len(sizes) + 1)[:, None]
        self.sums: Array = np.zeros_like(self.powers)
        np.cumsum(self.drive * self.powers[:-1], axis=0, out=self.sums[1:])
        self._position_powers: dict[int, Array] = {}
        self._lay_out(sizes, nodes)

    def _lay_out(self, sizes: Ints, nodes: int) -> None:
        """Choose the nodes."""
        self.sizes, self.steps, self.nodes = sizes, len(sizes), nodes
        n = self.steps
        self.regular = int(np.sum(sizes == sizes[0]))
        self.positions, self.lags = Grid(self.regular, nodes), Grid(max(n - 1, 1), nodes)
        self.times = np.concatenate([self.positions.nodes, np.arange(self.regular, n)])
        self._histories: dict[int, Grid] = {}
        self.share = np.append(self.positions.basis.sum(axis=0), np.ones(n - self.regular)) / n

    @property
    def stops(self) -> list[int]:
        """`times` and the end of the epoch."""
        return [*self.times.tolist(), self.steps]

    # -- components -------------------------------------------------------------------------------------------------

    def fold(self, components: AnyArray) -> Array:
        """Sum over the components of the last axis where that is real, (..., k r) to (..., r)."""
        return self.fold_columns(components).real

    def fold_columns(self, components: AnyArray) -> AnyArray:
        """Sum over the components of the last axis, (..., k r, k r) to (..., k r, r); complex where modes oscillate."""
        shape = components.shape[:-1]
        return np.asarray(components.reshape(*shape, self.kernel.components, self.kernel.modes).sum(axis=-2))

    def fold_rows(self, components: AnyArray) -> Array:
        """Sum over the components of the rows, (k r, r) to (r, r)."""
        return self.fold(components.T).T

    def tile(self, modes: Array) -> Array:
        """Repeat the last axis for every component, (..., r) to (..., k r)."""
        return np.tile(modes, (1,) * (modes.ndim - 1) + (self.kernel.components,))

    def tile_rows(self, matrices: Array) -> Array:
        """Repeat the rows for every component, (..., r, r) to (..., k r, r)."""
        return np.tile(matrices, (1,) * (matrices.ndim - 2) + (self.kernel.components, 1))

    def squared(self, factors: Array, matrix: Array) -> Array:
        """factors_a factors_b matrix_pq for all components a of p and b of q, (k r, k r), for `matrix` (r, r)."""
        return np.asarray(np.multiply.outer(factors, factors) * self.tile(self.tile_rows(matrix)))

    # -- sums over steps --------------------------------------------------------------------------------------------

    def response(self, lag: int) -> Array:
        """F43: P_u, the response of V to an impulse of D, u + 1 steps later, (r,)."""
        return self.fold(self.drive * self.powers[lag])

    def response_sum(self, time: int) -> Array:
        """F43: Z(t), the sum of P_u over u < t, (r,)."""
        return self.fold(self.sums[time])

    def spread(self, values: Array) -> Array:
        """What has `values` at `times`, at every step, (n, ...)."""
        regular = np.tensordot(self.positions.basis, values[: self.positions.basis.shape[1]], 1)
        return np.concatenate([regular, values[len(self.positions.nodes) :]])

    def average(self, values: Array) -> Array:
        """Average over the epoch of what has `values` at `times`, and maybe at the end."""
        return np.asarray(np.tensordot(self.share, values[: len(self.times)], 1))

    def lag_responses(self, time: int, along: Array | None = None) -> Array:
        """Weights of the lags' nodes in the sum of f m^u q(u) over u < `time`, (k r, J).

        Maybe each with what `along`, (n,), is at the earlier step.
        """
        return np.asarray(self.drive[:, None] * (self.powers[:time].T @ weighted(self.lags.basis[:time], along)))

    def lag_counts(self, time: int, along: Array | None = None) -> Array:
        """Weights of the lags' nodes in the sum of q(u) over u < `time`, (J,); `along` as for `lag_responses`."""
        return np.asarray(weighted(self.lags.basis[:time], along).sum(axis=0))

    def lag_squares(self, time: int) -> Array:
        """The same for what has the response to a lag twice, (J,)."""
        return self.lag_counts(time)

    def lag_sums(self, time: int) -> Array:
        """Weights of the lags' nodes in the sum of Z(w) q(u) over w + 1 + u = `time`, (r, J)."""
        return np.asarray(self.fold(self.sums[:time][::-1]).T @ self.lags.basis[:time])

    def lag_positions(self, time: int) -> Array:
        """Weights of the nodes in the sum of q(u, t') over u + 1 + t' = `time`, lags and positions, (J, J)."""
        return np.asarray(self.lags.basis[:time].T @ self.positions.basis[:time][::-1])

    def position_powers(self, time: int) -> Array:
        """Weights of the positions' nodes in the sum of m^(time-1-v) q(v) over regular v < `time`, (k r, J)."""
        if time not in self._position_powers:
            until = min(time, self.regular)
            self._position_powers[time] = self.powers[time - until : time][::-1].T @ self.positions.basis[:until]
        return self._position_powers[time]

    def position_responses(self, time: int) -> Array:
        """The same with f m^(time-1-v)."""
        return self.drive[:, None] * self.position_powers(time)

    def history(self, time: int) -> Grid:
        """Nodes among the lags of all steps before `time`."""
        if time not in self._histories:
            self._histories[time] = Grid(time, self.nodes)
        return self._histories[time]

    def history_responses(self, time: int) -> Array:
        """Weights of the nodes of `history` in the sum of f m^u q(u) over u < `time`, (k r, L)."""
        return self.drive[:, None] * (self.powers[:time].T @ self.history(time).basis)

    def history_lags(self, time: int) -> Array:
        """Weights in the sum of q(u) p(u) over u < `time`: q at the nodes of `history`, p at those of lags, (L, J)."""
        history = self.history(time)
        return np.asarray(history.basis.sum(axis=0)[:, None] * self.lags.basis[history.nodes])

    def since(self, time: int, lag: int) -> Array:
        """The sum of f m^u over u up to `lag`: what the steps from `time` - 1 - `lag` on have done by then, (k r,)."""
        del time
        return np.asarray(self.sums[lag + 1])

    def carried(self, matrix: AnyArray, time: int, lag: int) -> Array:
        """`matrix`, (k r, r), whose rows have decayed from `time` - 1 - `lag` to `time`."""
        del time
        return np.asarray(self.powers[lag + 1][:, None] * matrix)

    def lag_carried(self, matrix: AnyArray, j: int) -> Array:
        """`matrix`, (k r, r), whose rows have decayed for the lag of a node, and a step."""
        return self.carried(matrix, self.steps, int(self.lags.nodes[j]))

    def begun(self, start: Array, time: int) -> Array:
        """`start`, (c, k r), decayed until `time`."""
        return np.asarray(start * self.powers[time])

    @property
    def last_drive(self) -> Array:
        """The drive of the last step, (k r,)."""
        return self.drive

    def earlier(self, values: Array, time: int, lag: int) -> Array:
        """What has `values` at `times`, `lag` + 1 steps before `time`."""
        basis = self.positions.basis[time - 1 - lag]
        near = np.flatnonzero(basis)
        return np.asarray(np.tensordot(basis[near], values[near], 1))

    def decayed(self, start: Array) -> Array:
        """`start` m^t, (c, k r), at `stops`: E of the components where batches shift nothing, (J + 1, c, k r)."""
        return np.array([self.begun(start, t) for t in self.stops])

    # -- the recursion ----------------------------------------------------------------------------------------------

    def march(self, start: Array, added: Array) -> Array:
        """Follow S' = m m S + added from `start`, (k r, k r), with `added` at `times`: S there and at the end."""
        out = [start]
        for now, then in zip(self.times, [*self.times[1:], self.steps], strict=True):
            out.append(self.advance(out[-1], added, int(now), int(then)))
        return np.array(out)

    def advance(self, state: Array, added: Array, now: int, then: int) -> Array:
        """Follow S' = m m S + added from step `now` to step `then`, with `added` at `times`."""
        out = np.multiply.outer(self.powers[then - now], self.powers[then - now]) * state
        if now == then:
            return np.asarray(out)
        if now >= self.regular:
            return np.asarray(out + added[-1])
        back, basis = self.powers[: then - now][::-1], self.positions.basis[now:then]
        for j in np.flatnonzero(basis.any(axis=0)):
            out += ((back * basis[:, j, None]).T @ back) * added[j]
        return np.asarray(out)


def weighted(by_lag: Array, along: Array | None) -> Array:
    """What has a value `by_lag`, (t, J), times what `along` is at the step that is so long ago."""
    return by_lag if along is None else by_lag * along[: len(by_lag)][::-1, None]
