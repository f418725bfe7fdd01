r"""Averages over one sample's noise and curvature, as sums over the samples: F40 and F55.

With D_i(V) = g_i + V B_i sample i's deviation from the mean gradient (F40) and P the diagonal propagator of one lag,
the averages are

    third        <E[D_i^T D_i] P B_i>                    of F48 and F50
    fourth       <B_i P (E[D_i^T D_i] - G) P B_i>        of F51
    mean shift   <g_i P B_i>                             of F52

Each is a sum of <q_i x_i x_i^T> with scalars q_i per sample, and of products of matrices of the modes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..._arrays import Array
from ...problem.least_squares import LeastSquares, Minimum
from ...problem.moments import quadratic_form
from .mean_path import MeanPath
from .path_cumulants import PathCumulants

__all__ = ["Deviation", "SampleCumulants"]


@dataclass(frozen=True)
class Deviation:
    """F55: E[D_i(V)^T D_i(V')] of every sample, e x x^T - x y^T - y' x^T + E[p^T p'].

    e is E[rho^T rho'] with rho = r + V x, and y is E[p'^T rho] with p = V A - gamma W* the mean gradient.
    """

    squares: Array  # e, (N,)
    crossed: dict[int, Array]  # y^T P_j x of the lags asked for, (N,) each
    left: Array  # y' = (left) x + (shift) r, (r, r) and (r, c)
    right: Array  # y = (right) x + (shift) r
    shift: Array
    mean_square: Array  # E[p^T p'], (r, r)
    scattered: Array  # <e x x^T>, (r, r)
    once: dict[int, Array] = field(default_factory=dict)  # <(e q_j - y^T P_j x) x x^T>, as asked for


class SampleCumulants:
    """Averages of g_i and B_i, F40, over the samples of `problem`, at the minimum for `weight_decay`, in the modes.

    Cost: 2 to 6 N r^2 flops for each average. Memory: J + a few vectors of N, 2 J matrices (r, r).

    Parameters
    ----------
    problem : LeastSquares
    minimum : Minimum
    responses : ndarray, (J, r)
        P_j, that averages are asked for.
    """

    def __init__(self, problem: LeastSquares, minimum: Minimum, responses: Array) -> None:
        self.problem, self.minimum, self.responses, self.a = problem, minimum, responses, problem.curvatures
        self.pull = -minimum.weight_decay * minimum.mode_weights  # <r x^T>, (c, r)

    # -- sums over the samples --------------------------------------------------------------------------------------

    @property
    def residual_power(self) -> float:
        """<|r|^2>."""
        return float(self.minimum.squared_residuals.mean())

    def along(self, path: MeanPath) -> PathCumulants:
        """Return what samples do along a path of the mean."""
        return PathCumulants(path, self)

    def scatter(self, weights: Array) -> Array:
        """<weights_i x_i x_i^T>, (r, r)."""
        return self.problem.scatter(weights)

    @cached_property
    def forms(self) -> Array:
        """q_j = x^T P_j x of every sample, (J, N)."""
        out = np.empty((len(self.responses), self.problem.samples))
        for rows in self.problem.blocks(self.problem.rank):
            z = self.problem.projections[rows]
            out[:, rows] = self.responses.astype(z.dtype) @ np.square(z).T
        return out

    @cached_property
    def scatters(self) -> Array:
        """<q_j x x^T>, (J, r, r)."""
        return np.array([self.scatter(q) for q in self.forms])

    @cached_property
    def residual_scatters(self) -> Array:
        """<q_j r x^T>, (J, c, r)."""
        return np.array([self.residual_scatter(q) for q in self.forms])

    def form(self, matrix: Array) -> Array:
        """x_i^T matrix x_i, (N,)."""
        blocks = self.problem.blocks(self.problem.rank)
        return np.concatenate([quadratic_form(self.problem.projections[rows], matrix) for rows in blocks])

    def residual_scatter(self, weights: Array) -> Array:
        """<weights_i r_i x_i^T>, (c, r)."""
        out = np.zeros_like(self.pull)
        for rows in self.problem.blocks(self.problem.rank):
            r = self.minimum.residuals[rows] * weights[rows, None].astype(self.minimum.residuals.dtype)
            out += r.T @ self.problem.projections[rows]
        return out / self.problem.samples

    # -- F55 --------------------------------------------------------------------------------------------------------

    def deviation(self, covariance: Array, mean: Array, lags: Sequence[int] | None = None) -> Deviation:
        """F55: E[D^T D'] of every sample for S = `covariance`, not always symmetric, and E V = E V' = `mean`, (c, r).

        Averages are then known at `lags`, by default at all.
        """
        a, pull = self.a, self.pull
        crossed, mixed, shift = pull.T @ mean, a[:, None] * mean.T @ pull, (mean * a + pull).T
        e, products = self._products(
            covariance, mean, shift, list(range(len(self.responses)) if lags is None else lags)
        )
        return Deviation(
            squares=e,
            crossed=products,
            left=a[:, None] * covariance + crossed,
            right=a[:, None] * covariance.T + crossed,
            shift=shift,
            mean_square=a[:, None] * covariance * a + pull.T @ pull + mixed + mixed.T,
            scattered=self.scatter(e),
        )

    def _products(
        self, covariance: Array, mean: Array, shift: Array, lags: list[int]
    ) -> tuple[Array, dict[int, Array]]:
        """e, (N,), and y^T P_j x, (N,) each, in one pass; y = a S^T x + <r x^T>^T E V x + (shift) r."""
        e, crossed = self.minimum.squared_residuals.copy(), np.empty((len(lags), self.problem.samples))
        for rows in self.problem.blocks(self.problem.rank):
            z, r = self.problem.projections[rows], self.minimum.residuals[rows]
            given = (covariance, mean, shift, self.a, self.pull, self.responses[lags])
            s, m, t, a, pull, responses = (each.astype(z.dtype) for each in given)
            moved, drifted = z @ s, z @ m.T
            e[rows] += np.einsum("ij,ij->i", moved, z) + 2 * np.einsum("ic,ic->i", r, drifted)
            y = moved * a + drifted @ pull + r @ t.T
            crossed[:, rows] = responses @ (y * z).T
        return e, dict(zip(lags, crossed, strict=True))

    # -- the averages -----------------------------------------------------------------------------------------------

    def third(self, j: int, found: Deviation) -> Array:
        """F48, F50: <E[D_i^T D_i'] P_j B_i>, (r, r): a sample's noise, twice, and its curvature."""
        closing = (2 * found.mean_square - found.scattered) * (self.responses[j] * self.a)
        return np.asarray(self._once(j, found) - self._mean_gradient(j, found) + closing)

    def fourth(self, j: int, found: Deviation) -> Array:
        """F51: <B_i P_j (E[D_i^T D_i] - G) P_j B_i>, (r, r), for a symmetric S: noise and curvature, twice each."""
        x, a = self.responses[j], self.a
        middle = x[:, None] * (2 * found.mean_square - found.scattered) * x
        side = (x * a)[:, None] * (self._once(j, found) - self._mean_gradient(j, found))
        return np.asarray(self._twice(j, found, middle) - side - side.T - 2 * a[:, None] * middle * a)

    def _twice(self, j: int, found: Deviation, middle: Array) -> Array:
        """<(q_j^2 e - 2 q_j y^T P_j x + x^T middle x) x x^T>."""
        q = self.forms[j]
        return self.scatter(q * (q * found.squares - 2 * found.crossed[j]) + self.form(middle))

    def _once(self, j: int, found: Deviation) -> Array:
        """<(e q_j - y^T P_j x) x x^T>."""
        if j not in found.once:
            found.once[j] = self.scatter(found.squares * self.forms[j] - found.crossed[j])
        return found.once[j]

    def _mean_gradient(self, j: int, found: Deviation) -> Array:
        """<q_j y' x^T>."""
        return np.asarray(found.left @ self.scatters[j] + found.shift @ self.residual_scatters[j])

    def noise_curvature(self, response: Array) -> Array:
        """F52: <g_i P B_i>, (c, r), for a response P, (r, r)."""
        return self.residual_scatter(self.form(response)) - (self.pull @ response) * self.a
