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

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...problem.least_squares import LeastSquares, Minimum

__all__ = ["Exclusion"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Deviation:
    """E[D_i(V)^T D_i(V')] of every sample, e x x^T - x y^T - y' x^T + P, for S = E[V^T V'] and means of V and V'.

    e is E[rho^T rho'], rho = r + V x; y = E[p'^T rho] = a S^T x + ..., with p = V A - gamma W* the mean gradient.
    """

    squares: Array  # e, (N,)
    met: Array  # y X_j x, (J, N)
    left: Array  # y' = (left) x + (shift) r, (r, r) and (r, c)
    right: Array
    shift: Array
    mean: Array  # P, (r, r)
    spread: Array  # <e x x^T>, (r, r)
    once: dict[int, Array] = field(default_factory=dict)  # <(e q_j - y X_j x) x x^T>, as asked for


class Exclusion:
    """The averages over the samples of `problem`, at the minimum for `weight_decay`, in the modes.

    Cost: 2 to 6 N r^2 flops for each average. Memory: J + a few vectors of N, 2 J matrices (r, r).

    Parameters
    ----------
    problem : LeastSquares
    minimum : Minimum
    responses : ndarray, (J, r)
        X_j, that averages are asked for.
    """

    def __init__(self, problem: LeastSquares, minimum: Minimum, responses: Array) -> None:
        self.problem, self.minimum, self.responses, self.a = problem, minimum, responses, problem.curvatures
        self.pull = -minimum.weight_decay * minimum.mode_weights  # <r x^T>, (c, r)

    @cached_property
    def forms(self) -> Array:
        """q_j = x^T X_j x of every sample, (J, N)."""
        out = np.empty((len(self.responses), self.problem.samples))
        for rows in self.problem.blocks(self.problem.rank):
            z = self.problem.projections[rows]
            out[:, rows] = self.responses.astype(z.dtype) @ np.square(z).T
        return out

    @cached_property
    def scatters(self) -> Array:
        """<q_j x x^T>, (J, r, r)."""
        return np.array([self.problem.scatter(q) for q in self.forms])

    @cached_property
    def ends(self) -> Array:
        """<q_j r x^T>, (J, c, r)."""
        return np.array([self.residual_sum(q) for q in self.forms])

    def form(self, matrix: Array) -> Array:
        """x_i^T matrix x_i, (N,)."""
        out = np.empty(self.problem.samples)
        for rows in self.problem.blocks(self.problem.rank):
            z = self.problem.projections[rows]
            out[rows] = np.einsum("ij,ij->i", z @ matrix.astype(z.dtype), z)
        return out

    def residual_sum(self, weights: Array) -> Array:
        """<weights_i r_i x_i^T>, (c, r)."""
        out = np.zeros_like(self.pull)
        for rows in self.problem.blocks(self.problem.rank):
            r = self.minimum.residuals[rows] * weights[rows, None].astype(self.minimum.residuals.dtype)
            out += r.T @ self.problem.projections[rows]
        return out / self.problem.samples

    def deviation(self, covariance: Array, mean: Array) -> _Deviation:
        """E[D^T D'] of every sample for S = `covariance`, not always symmetric, and E V = E V' = `mean`, (c, r)."""
        a, pull = self.a, self.pull
        crossed, mixed, shift = pull.T @ mean, a[:, None] * mean.T @ pull, (mean * a + pull).T
        right = a[:, None] * covariance.T + crossed
        e, met = self._squares(covariance, mean, shift)
        return _Deviation(
            e,
            met,
            a[:, None] * covariance + crossed,
            right,
            shift,
            a[:, None] * covariance * a + pull.T @ pull + mixed + mixed.T,
            self.problem.scatter(e),
        )

    def _squares(self, covariance: Array, mean: Array, shift: Array) -> tuple[Array, Array]:
        """e, (N,), and y X_j x, (J, N), in one pass; y = a S^T x + <r x^T>^T E V x + (shift) r."""
        e, met = self.minimum.squared_residuals.copy(), np.empty_like(self.forms)
        for rows in self.problem.blocks(self.problem.rank):
            z, r = self.problem.projections[rows], self.minimum.residuals[rows]
            given = (each.astype(z.dtype) for each in (covariance, mean, shift, self.a, self.pull, self.responses))
            s, m, t, a, pull, responses = given
            moved, drifted = z @ s, z @ m.T
            e[rows] += np.einsum("ij,ij->i", moved, z) + 2 * np.einsum("ic,ic->i", r, drifted)
            y = moved * a + drifted @ pull + r @ t.T
            met[:, rows] = responses @ (y * z).T
        return e, met

    def noise_then_curvature(self, response: Array) -> Array:
        """<g_i X B_i>, (c, r), for a response (r, r)."""
        return self.residual_sum(self.form(response)) - (self.pull @ response) * self.a

    def echo(self, j: int, found: _Deviation) -> Array:
        """<E[D_i^T D_i'] X_j B_i>, (r, r)."""
        closing = (2 * found.mean - found.spread) * (self.responses[j] * self.a)
        return np.asarray(self._once(j, found) - self._seen(j, found) + closing)

    def double(self, j: int, found: _Deviation) -> Array:
        """<B_i X_j (E[D_i^T D_i] - its average) X_j B_i>, (r, r), for a symmetric S."""
        q, x, a = self.forms[j], self.responses[j], self.a
        middle = x[:, None] * (2 * found.mean - found.spread) * x
        twice = self.problem.scatter(q * (q * found.squares - 2 * found.met[j]) + self.form(middle))
        side = (self._once(j, found) - self._seen(j, found).T) * (x * a)
        return np.asarray(twice - side - side.T - 2 * a[:, None] * middle * a)

    def _once(self, j: int, found: _Deviation) -> Array:
        if j not in found.once:
            found.once[j] = self.problem.scatter(found.squares * self.forms[j] - found.met[j])
        return found.once[j]

    def _seen(self, j: int, found: _Deviation) -> Array:
        """<q_j y' x^T>."""
        return np.asarray(found.left @ self.scatters[j] + found.shift @ self.ends[j])

    def twice(self, weights: Array, drifts: Array) -> Array:
        """Sum over j, k of weights_jk <g_i X_j B_i X_k B_i>, (c, r), with `drifts` = K[X_k]."""
        a, x, q = self.a, self.responses, self.forms
        mixed = np.einsum("jk,jp,kp->p", weights, x, x)
        total = np.einsum("ji,jk,ki->i", q, weights, q, optimize=True) - self.form(np.diag(mixed * a))
        out = self.residual_sum(total) + self.pull * mixed * a * a
        out -= np.einsum("jk,jcp,kp->cp", weights, self.ends, x) * a
        pulled = self.pull * (weights.T @ x)[:, None, :]
        return np.asarray(out - sum(first @ drift for first, drift in zip(pulled, drifts, strict=True)))
