r"""One shuffled epoch as a random linear map of the weights, without any expansion: Pi and xi of F58, radius of F59.

In one order of the samples an epoch takes the state s (V and, with momentum, its buffer) to s Pi + xi, and the orders
of different epochs are independent. Homogeneous second moments therefore follow Gamma[S] = E[Pi^T S Pi] over the
orders, and the recipe is mean-square stable exactly where the spectral radius of Gamma is below 1.

Gamma keeps covariances positive, so that its radius is one of its eigenvalues. Flat modes have eigenvalues just below 1
at any learning rate. The split Gamma = Gamma_0 + Gamma_1 with Gamma_0[S] = E[Pi]^T S E[Pi] sets them aside. Both parts
are positive. So where Gamma_0 has a radius below 1, that of Gamma is below 1 exactly where that of
(1 - Gamma_0)^-1 Gamma_1 is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..._arrays import Array, Ints
from ...errors import NotConverged
from ...problem.least_squares import LeastSquares
from ...recipe.sgd import Recipe
from .orders import Orders

__all__ = ["EpochMap", "advanced", "epoch_map", "followed", "joined"]

_AT_ONCE = 32  # orders whose states are held while an epoch passes
_DENSE = 144  # elements of S up to which the map is written as a matrix
_VECTORS, _RESTARTS = 6, 300  # of the Krylov space
_FLATTEST = 1e-11  # of the largest curvature
_DOUBLINGS = 100  # 2^100 epochs are enough for any mode that forgets in 2^53


def advanced(
    problem: LeastSquares, sgd: Recipe, orders: Orders, stops: list[int], outputs: bool
) -> Iterator[tuple[int, Ints, Array]]:
    """Yield which stop, which orders, and their states after so many steps of an epoch, (m, rows, k r).

    The rows begin at the unit states, without targets: they become Pi. If `outputs`, one row for each output begins
    at W* and feels the targets: it becomes xi. Cost: 4 N r (k r + c) flops an order.
    """
    motion, push = sgd.step.at(sgd.lr)
    size = len(push) * problem.rank
    felt = problem.outputs if outputs else 0
    begin, steps = np.vstack([np.eye(size), np.zeros((felt, size))]), len(sgd.batch_sizes(problem.samples))
    course = np.broadcast_to(motion, (steps, *motion.shape)), np.broadcast_to(push, (steps, *push.shape))
    for k, part, state in followed(problem, sgd, orders, stops, begin, felt, course):
        yield k, part, joined(state)


def followed(
    problem: LeastSquares,
    sgd: Recipe,
    orders: Orders,
    stops: list[int],
    begin: Array,
    felt: int,
    moves: tuple[Array, Array],
) -> Iterator[tuple[int, Ints, Array]]:
    """Yield which stop, which orders, and states begun at the rows of `begin`, (rows, k r), after so many steps.

    A state has its parts apart, (k, m, rows, r), and is to be used before the next is asked for. The last `felt` rows
    feel the targets. Step t of the epoch is B_t and e_t of `moves`, (n, k, k) and (n, k).
    """
    minimum, slots = problem.minimum(sgd.weight_decay), moves[1].shape[1]
    z, residuals = problem.projections.astype(np.float64, copy=False), minimum.residuals if felt else None
    start = begin.reshape(-1, slots, problem.rank).swapaxes(0, 1)
    ends = np.cumsum(sgd.batch_sizes(problem.samples))
    begins = np.append(0, ends[:-1])
    for part in np.array_split(np.arange(len(orders.weights)), -(-len(orders.weights) // _AT_ONCE)):
        state, now = np.repeat(start[:, None], len(part), axis=1), 0
        other = np.empty_like(state)
        for k, stop in enumerate(stops):
            for t in range(now, stop):
                batch, (motion, push) = orders.samples[part, begins[t] : ends[t]], (moves[0][t], moves[1][t])
                pulled = _gradient(state[0], z[batch], None if residuals is None else residuals[batch])
                if felt:
                    pulled[:, -felt:] += sgd.weight_decay * minimum.mode_weights
                _advance(state, motion + sgd.weight_decay * np.outer(push, np.eye(slots)[0]), push, pulled, other)
                state, other = other, state
            now = stop
            yield k, part, state


def joined(state: Array) -> Array:
    """The parts of a state side by side, (m, rows, k r)."""
    _, count, rows, _ = state.shape
    return state.transpose(1, 2, 0, 3).reshape(count, rows, -1)


def _gradient(weights: Array, x: Array, residuals: Array | None) -> Array:
    """The gradient of a batch of each order, (m, b, r), at `weights`, (m, rows, r), of which the last feel targets."""
    error = np.matmul(weights, x.swapaxes(1, 2))
    if residuals is not None:
        error[:, -residuals.shape[2] :] += residuals.swapaxes(1, 2)
    error /= x.shape[1]
    return np.asarray(np.matmul(error, x))


def _advance(state: Array, motion: Array, push: Array, pulled: Array, out: Array) -> None:
    """Write B s + e g into `out`, (k, m, rows, r), for B = `motion`, (k, k), and e = `push`, (k,)."""
    np.matmul(motion, state.reshape(len(state), -1), out=out.reshape(len(state), -1))
    for part, share in enumerate(push):
        if share:
            out[part] += pulled if share == 1 else share * pulled


def epoch_map(problem: LeastSquares, sgd: Recipe, orders: Orders) -> EpochMap:
    """Return Gamma of a whole epoch of the recipe, averaged over `orders`.

    Modes so flat that what an epoch does to them is lost in rounding are left out: nothing grows there.
    """
    steps, h = len(sgd.batch_sizes(problem.samples)), problem.minimum(sgd.weight_decay).curvatures
    kept = np.flatnonzero(np.tile(h > _FLATTEST * h[0], sgd.step.slots))
    maps = np.empty((len(orders.weights), len(kept), len(kept)))
    with np.errstate(over="ignore", invalid="ignore"):
        for _, part, rows in advanced(problem, sgd, orders, [steps], outputs=False):
            maps[part] = rows[:, kept][:, :, kept]
    return EpochMap(maps, orders.weights)


@dataclass(frozen=True, eq=False)
class EpochMap:
    """The map Gamma of second moments, (n, n) to (n, n), as an average over orders.

    Attributes
    ----------
    maps : ndarray, (m, n, n)
        Pi of every order.
    weights : ndarray, (m,)
    """

    maps: Array
    weights: Array

    @cached_property
    def mean(self) -> Array:
        """E[Pi]."""
        return np.asarray(np.tensordot(self.weights, self.maps, 1))

    @cached_property
    def fluctuation(self) -> EpochMap:
        """F59: Gamma_1 = Gamma - Gamma_0, from Pi - E[Pi]: in the difference flat modes would be lost to rounding."""
        return EpochMap(self.maps - self.mean, self.weights)

    @cached_property
    def _weighted(self) -> Array:
        return self.maps * np.sqrt(self.weights)[:, None, None]

    @cached_property
    def adjoint(self) -> EpochMap:
        """The map of observables, U to E[Pi U Pi^T]."""
        return EpochMap(np.ascontiguousarray(self.maps.swapaxes(1, 2)), self.weights)

    def __call__(self, s: Array) -> Array:
        """Gamma[S]."""
        left = np.matmul(self._weighted.swapaxes(1, 2), s)
        return np.asarray(np.tensordot(left, self._weighted, axes=([0, 2], [0, 1])))

    @cached_property
    def dense(self) -> Array:
        """Gamma as a matrix on vec S, (n^2, n^2)."""
        n = len(self.mean)
        flat = self._weighted.reshape(len(self.maps), -1)
        return (flat.T @ flat).reshape(n, n, n, n).transpose(1, 3, 0, 2).reshape(n * n, n * n)

    @property
    def small(self) -> bool:
        """Whether Gamma is cheap as a matrix."""
        return self.mean.size <= _DENSE

    @cached_property
    def mean_radius(self) -> float:
        """Spectral radius of E[Pi]."""
        if not np.isfinite(self.maps).all():
            return np.inf
        return float(np.abs(np.linalg.eigvals(self.mean)).max())

    def resolvent(self, source: Array) -> Array:
        """F59: return (1 - Gamma_0)^-1 of `source`, by doubling the epochs: S with S - Gamma_0[S] = source."""
        total = source
        for power in self._powers:
            total = total + power.T @ total @ power
        return total

    @cached_property
    def _powers(self) -> list[Array]:
        """E[Pi] to the powers 1, 2, 4, ... until nothing is left."""
        powers = [self.mean]
        while np.abs(powers[-1]).max() ** 2 > np.finfo(float).eps * 1e-3:
            if len(powers) == _DOUBLINGS:
                raise NotConverged("what an epoch forgets", _DOUBLINGS, float(np.abs(powers[-1]).max()), 1e-9)
            powers.append(powers[-1] @ powers[-1])
        return powers

    def leading(self, start: Array | None = None, rtol: float = 1e-9) -> tuple[float, Array]:
        """F59: return the spectral radius of (1 - Gamma_0)^-1 Gamma_1 and its eigenvector, (n, n).

        Infinite where that of Gamma_0 is 1 or more.

        Parameters
        ----------
        start : ndarray, (n, n), optional
            A positive matrix near the eigenvector.
        rtol : float
            Relative accuracy of the radius.

        Raises
        ------
        NotConverged
            If the Krylov space did not.
        """
        n = len(self.mean)
        start = np.eye(n) if start is None else start
        if not self.mean_radius < 1:
            return np.inf, start
        value, vector = self._dense_leading() if self.small else self._krylov_leading(start, rtol)
        s = vector.real.reshape(n, n)
        s = s + s.T
        return max(float(value.real), 0.0), s / (np.trace(s) or 1.0)

    def _dense_leading(self) -> tuple[complex, NDArray[np.complex128]]:
        drift = np.kron(self.mean.T, self.mean.T)
        values, vectors = np.linalg.eig(np.linalg.solve(np.eye(len(drift)) - drift, self.fluctuation.dense))
        top = int(np.argmax(values.real))
        return complex(values[top]), vectors[:, top]

    def _krylov_leading(self, start: Array, rtol: float) -> tuple[complex, NDArray[np.complex128]]:
        from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

        n = len(self.mean)

        def fed_back(flat: Array) -> Array:
            s = flat.reshape(n, n)
            s = 0.5 * (s + s.T)
            return self.resolvent(self.fluctuation(s)).ravel()

        operator = LinearOperator((n * n, n * n), matvec=fed_back, dtype=np.float64)
        try:
            values, vectors = eigs(
                operator, k=1, which="LR", v0=start.ravel(), ncv=_VECTORS, tol=rtol, maxiter=_RESTARTS
            )
        except ArpackNoConvergence as stalled:
            raise NotConverged("the radius of an epoch's map", _RESTARTS, np.inf, rtol) from stalled
        return complex(values[0]), vectors[:, 0]

    def contributions(self, observable: Array, s: Array) -> Array:
        """Return <U, Pi^T S Pi> for every order, (m,): <U, Gamma[S]> is their average."""
        return np.asarray(np.einsum("wij,wij->w", self.maps @ observable, np.matmul(s, self.maps)))
