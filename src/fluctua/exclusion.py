r"""Averages over a sample that cannot come back: what one sample's part in two batches of an epoch would have done.

In an epoch no sample comes twice, so batches are anti-correlated through every statistic of a sample. With D_i(V) =
g_i + V B_i sample i's deviation from the mean gradient, B_i = x_i x_i^T - A and g_i = D_i(0), and X the diagonal
response of V, one lag later, to an impulse of D, the averages needed are

    echo     <E[D_i^T D_i] X B_i>                    both its noise and its curvature, once each
    double   <B_i X E[D_i^T D_i] X B_i>              its noise, seen twice by its curvature
    drift    <B_i X B_i> = K[X], <g_i X B_i>         its curvature twice; noise, then curvature: a shift of the mean

Each is a sum of <q_i x_i x_i^T> with scalars q_i per sample, and of products of matrices of the modes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .problem import LeastSquares, Minimum

__all__ = ["Exclusion"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Deviation:
    """E[D_i(V)^T D_i(V')] of every sample, e x x^T - x y^T - y' x^T + P, for S = E[V^T V'] and means of V and V'.

    e is E[rho^T rho'], rho = r + V x; y = E[p'^T rho] = a S^T x + ..., with p = V A - gamma W* the mean gradient.
    """

    squares: Array  # e, (N,)
    left: Array  # y' = (left) x + (shift) r, (r, r) and (r, c)
    right: Array
    shift: Array
    mean: Array  # P, (r, r)
    spread: Array  # <e x x^T>, (r, r)


class Exclusion:
    """The averages over the samples of `problem`, at the minimum for `weight_decay`, in the modes.

    Cost: 2 to 8 N r^2 flops each. Memory: a few vectors of N.
    """

    def __init__(self, problem: LeastSquares, minimum: Minimum) -> None:
        self.problem, self.minimum, self.a = problem, minimum, problem.curvatures
        self.pull = -minimum.weight_decay * minimum.mode_weights  # <r x^T>, (c, r)

    def form(self, matrix: Array) -> Array:
        """x_i^T matrix x_i, (N,); `matrix` may be a diagonal, (r,)."""
        out = np.empty(self.problem.samples)
        for rows in self.problem.blocks(self.problem.rank):
            z = self.problem.projections[rows]
            right = z * matrix.astype(z.dtype) if matrix.ndim == 1 else z @ matrix.astype(z.dtype)
            out[rows] = np.einsum("ij,ij->i", right, z)
        return out

    def residual_sum(self, weights: Array) -> Array:
        """<weights_i r_i x_i^T>, (c, r)."""
        out = np.zeros_like(self.pull)
        for rows in self.problem.blocks(self.problem.rank):
            r = self.minimum.residuals[rows] * weights[rows, None].astype(self.minimum.residuals.dtype)
            out += r.T @ self.problem.projections[rows]
        return out / self.problem.samples

    def residual_form(self, matrix: Array) -> Array:
        """r_i^T matrix x_i, (N,), for `matrix` (c, r)."""
        out = np.empty(self.problem.samples)
        for rows in self.problem.blocks(self.problem.rank):
            z = self.problem.projections[rows]
            out[rows] = np.einsum("ic,ic->i", self.minimum.residuals[rows], z @ matrix.T.astype(z.dtype))
        return out

    def deviation(self, covariance: Array, mean: Array) -> _Deviation:
        """E[D^T D'] of every sample for S = `covariance`, not always symmetric, and E V = E V' = `mean`, (c, r)."""
        a, pull = self.a, self.pull
        e = self.minimum.squared_residuals + self.form(covariance)
        if mean.any():
            e += 2 * self.residual_form(mean)
        shift = (mean * a + pull).T
        crossed = pull.T @ mean
        mixed = a[:, None] * mean.T @ pull
        return _Deviation(
            e, a[:, None] * covariance + crossed, a[:, None] * covariance.T + crossed, shift,
            a[:, None] * covariance * a + pull.T @ pull + mixed + mixed.T, self.problem.scatter(e),
        )  # fmt: skip

    def noise_then_curvature(self, response: Array) -> Array:
        """<g_i X B_i>, (c, r), for a response (r,) or (r, r)."""
        full = response.ndim == 2
        back = self.pull @ response if full else self.pull * response
        return self.residual_sum(self.form(response)) - back * self.a

    def echo(self, response: Array, found: _Deviation) -> Array:
        """<E[D_i^T D_i'] X B_i>, (r, r)."""
        q = self.form(response)
        once = self._once(q, response, found)
        return once - self._seen(q, found) + (2 * found.mean - found.spread) * (response * self.a)

    def double(self, response: Array, found: _Deviation) -> Array:
        """<B_i X (E[D_i^T D_i] - its average) X B_i>, (r, r), for a symmetric S."""
        q, xa = self.form(response), response * self.a
        once = self._once(q, response, found)
        crossed = 2 * q * self._across(response, found)
        middle = response[:, None] * found.mean * response
        twice = self.problem.scatter(q * q * found.squares - crossed + self.form(middle))
        side = (once - self._seen(q, found).T) * xa
        centred = xa[:, None] * (found.spread - 3 * found.mean) * xa
        average = self.problem.feedback(response[:, None] * (found.spread - found.mean) * response)
        return twice - side - side.T + centred - average

    def _once(self, q: Array, response: Array, found: _Deviation) -> Array:
        """<(e q - y X x) x x^T>."""
        return self.problem.scatter(found.squares * q - self._across(response, found))

    def _seen(self, q: Array, found: _Deviation) -> Array:
        """<q y' x^T>."""
        return np.asarray(found.left @ self.problem.scatter(q) + found.shift @ self.residual_sum(q))

    def _across(self, response: Array, found: _Deviation) -> Array:
        """y_i X x_i, (N,)."""
        return self.form(found.right.T * response) + self.residual_form(found.shift.T * response)

    def twice(self, weights: Array, responses: Array, drifts: Array) -> Array:
        """Sum over j, k of weights_jk <g_i X_j B_i X_k B_i>, (c, r), for responses (J, r) and `drifts` = K[X_k]."""
        q = np.stack([self.form(x) for x in responses], axis=1)
        a, mixed = self.a, np.einsum("jk,jp,kp->p", weights, responses, responses)
        total = np.einsum("ij,jk,ik->i", q, weights, q) - self.form(mixed * a)
        ends = np.stack([self.residual_sum(column) for column in q.T])
        out = self.residual_sum(total) + self.pull * mixed * a * a
        out -= np.einsum("jk,jcp,kp->cp", weights, ends, responses) * a
        pulled = self.pull * (weights.T @ responses)[:, None, :]
        return np.asarray(out - sum(first @ drift for first, drift in zip(pulled, drifts, strict=True)))
