"""The minimiser W* and the gradient noise there."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .._arrays import AnyArray, Array
from .._results import Brief, ByValue
from .._validate.plain import Keywords
from ..errors import BelowRounding, InvalidInput
from .known_fit import Fit
from .left_out import VISIBLE, shares_left_out
from .moments import difference, quadratic_form, squared_mean

if TYPE_CHECKING:
    from .least_squares import LeastSquares

__all__ = ["Minimum"]

_EPS = float(np.finfo(float).eps)
_EXACT_FIT = 8.0  # residuals over eps times their terms' root sum of squares, up to which they may be rounding alone:
# found up to 4 at 1,000 features, in exact fits of all conditions
_SETTLED = 1e-10  # change of the residuals relative to them, of which L(W*) feels the square
_KNOWN = 1e-2  # residuals known to less than this are worth one too


class Minimum(Brief, ByValue):
    """The minimiser W* of the regularised loss and the gradient noise there, all of it in the modes.

    Made by `LeastSquares.minimum`. With gamma > 0 the curvatures are those of H = A + gamma I. From a `fit` that is
    known, of samples whose `problem` was made from another, nothing is solved and nothing warned of again.

    Attributes
    ----------
    weights : ndarray, (c, d)
        W*; the minimiser of least norm where A is singular.
    mode_weights : ndarray, (c, r)
        W* U.
    loss : float
        L(W*), with the weight-decay term.
    residuals : ndarray, (N, c)
        r_i = W* x_i - y_i.
    squared_residuals : ndarray, (N,)
    interpolates : bool
        Whether W* fits every sample to within rounding: then no batch gradient fluctuates there.

    Warns
    -----
    BelowRounding
        Where rounding hides a visible part of the residuals, or a direction that would explain them.

    Notes
    -----
    W* without weight decay comes from the normal equations in the modes, applied to its own residuals again until they
    say no more than rounding: as accurate as a QR decomposition of the inputs. Weight decay then shrinks each mode,
    W*_p = h_p/(h_p + gamma) W*_p(0); what it takes from an exact fit is the residual, exact however small.
    Cost: 4 N c d flops a round, 2 of them as a rule.
    """

    weights: Array
    mode_weights: Array
    residuals: AnyArray
    squared_residuals: Array
    loss: float
    interpolates: bool
    _known_noise: Array | None = None

    def __init__(self, problem: LeastSquares, weight_decay: float, fit: Fit | None = None) -> None:
        self.problem, self.weight_decay = problem, weight_decay
        if fit is None:
            self._find()
        else:
            self.weights, self.mode_weights, self.residuals, self.squared_residuals = fit[:4]
            self.loss, self.interpolates, self._known_noise = fit[4:]
            self._warned = True

    def __repr__(self) -> str:
        decay = f", weight_decay={self.weight_decay:g}" if self.weight_decay else ""
        return f"Minimum(loss={self.loss:.7g}{decay}, {len(self.curvatures)} modes)"

    def _shown(self) -> Keywords:
        named = {name: getattr(self, name) for name in ("loss", "weight_decay", "interpolates")}
        return {**named, "modes": len(self.curvatures), "weights": self.weights}

    def _compared(self) -> Keywords:
        return {name: getattr(self, name) for name in ("problem", "weight_decay", "weights")}

    def _find(self) -> None:
        """Solve for W*."""
        problem, weight_decay = self.problem, self.weight_decay
        self.residuals = np.zeros((problem.samples, problem.outputs), problem.inputs.dtype)
        self.squared_residuals = np.zeros(problem.samples)
        self._warned, self._unsettled = False, 0.0  # and the last change of W*, where it was more than rounding
        if weight_decay:
            self._shrink(problem.undecayed)
        else:
            self._solve()
        decay = weight_decay * float(np.sum(self.weights**2))
        self.loss = 0.5 * (float(self.squared_residuals.mean()) + decay)

    def _solve(self) -> None:
        """W* without weight decay, by the normal equations of the residuals, repeated."""
        problem, before = self.problem, np.inf
        self.mode_weights = np.zeros((problem.outputs, problem.rank))
        while True:  # each round halves the change or is the last, and below rounding it ends: 55 at most
            self.weights = self.mode_weights @ problem.modes.T
            slope = self._measure_residuals() if self.mode_weights.any() or problem.slope is None else self._at_zero()
            rounding = self._rounding()
            change = slope @ problem.modes / problem.curvatures
            size = float(np.sqrt(np.sum(problem.curvatures * change**2)))
            left = float(np.sqrt(self.squared_residuals.mean()))
            if size <= max(rounding, _SETTLED * left) or not size <= 0.5 * before:
                break
            self.mode_weights, before = self.mode_weights - change, size
        self._unsettled = size
        hidden = left <= _EXACT_FIT * np.sqrt(1 + problem.features / 1000) * rounding
        self.interpolates = problem.rank == problem.samples or (hidden and left <= VISIBLE * _spread(problem.targets))
        if self.interpolates:
            self.residuals[:] = self.squared_residuals[:] = 0.0
            self._known_noise = None

    def _rounding(self) -> float:
        """What rounding makes of residuals, root mean square: eps times the root sum of squares of their terms."""
        targets = self.problem.targets
        power = np.sum(np.square(targets, dtype=np.float64)) / len(targets)
        return _EPS * float(np.sqrt(power + np.sum((self.problem.spectrum.scale * self.weights) ** 2)))

    def _measure_residuals(self, step: Array | None = None) -> Array:
        """Residuals at the weights, or -x `step`; returns <r x^T>, (c, d)."""
        problem, slope = self.problem, np.zeros_like(self.weights)
        weights, square = self.weights if step is None else -step, problem.second_pass_square
        for rows in problem.blocks(problem.features):
            x = problem.inputs[rows].astype(np.float64)
            r = x @ weights.T - (problem.targets[rows] if step is None else 0.0)
            self.residuals[rows], self.squared_residuals[rows] = r, np.einsum("ij,ij->i", r, r)
            slope += r.T @ x
            if square is not None:  # while the samples are at hand: reading them again is dear
                x *= np.sqrt(self.squared_residuals[rows])[:, None]
                square += x.T @ x
        if square is not None:
            decay = self.weight_decay * self.mode_weights
            scattered = problem.modes.T @ square @ problem.modes / problem.samples
            self._known_noise = difference(scattered, decay.T @ decay, problem.inputs.dtype)
        return slope / problem.samples

    def _at_zero(self) -> Array:
        """The same at weights of zero, where <r x^T> is known."""
        assert self.problem.slope is not None
        self.residuals[:] = -self.problem.targets
        self.squared_residuals[:] = np.square(self.problem.targets, dtype=np.float64).sum(axis=1)
        return self.problem.slope

    def warn_below_rounding(self) -> None:
        """Warn, once, where a direction left out, or rounding, hides a visible part of the residuals."""
        warned, self._warned = self._warned, True
        if warned or self.problem.undecayed.interpolates:
            return
        shares = shares_left_out(self.problem, self.residuals, self.weight_decay)
        left = float(np.sqrt(self.squared_residuals.mean()))
        error = max(self._rounding(), self._unsettled) / left
        if shares.size or error > _KNOWN:
            warnings.warn(BelowRounding(shares.size, float(shares.max(initial=0.0)), error), stacklevel=3)

    def _shrink(self, bare: Minimum) -> None:
        """W* from that without weight decay; where that fits every sample, so do the residuals, (W* - W*(0)) x."""
        problem = self.problem
        lost = bare.mode_weights * (self.weight_decay / self.curvatures)
        self.mode_weights = bare.mode_weights * (problem.curvatures / self.curvatures)
        self.weights = self.mode_weights @ problem.modes.T
        self._measure_residuals(lost @ problem.modes.T if bare.interpolates else None)
        self.interpolates = bare.interpolates and not self.mode_weights.any()

    @property
    def fit(self) -> Fit:
        """What it is made of."""
        found = self.weights, self.mode_weights, self.residuals, self.squared_residuals
        return Fit(*found, self.loss, self.interpolates)

    def with_unit_noise(self) -> Minimum:
        """Return the same with residuals of unit size that know nothing of the inputs, C = A: noise to find a limit by.

        What is stable does not depend on the residuals; where they are zero nothing grows that could be seen.
        """
        still, unit = np.zeros_like(self.residuals), np.ones_like(self.squared_residuals)
        fit = self.fit._replace(residuals=still, squared_residuals=unit, loss=0.5)
        return Minimum(self.problem, self.weight_decay, fit)

    def refuse_interpolation(self) -> None:
        """Raise `InvalidInput` where there is no fluctuation about W* to measure."""
        if self.interpolates:
            n, r = self.problem.samples, self.problem.rank
            raise InvalidInput(
                f"the model fits all {n} samples exactly ({r} modes, weight_decay {self.weight_decay:g}): every batch "
                f"gradient vanishes at W* and SGD comes to rest there, so no fluctuation can be measured from W*. Use "
                f"weight_decay > 0, more samples, or start='zero' to follow the approach."
            )

    @property
    def curvatures(self) -> Array:
        """Eigenvalues h_p of H = A + gamma I on the range of A, largest first, (r,)."""
        return self.problem.curvatures + self.weight_decay

    @cached_property
    def noise(self) -> Array:
        """C = <|r|^2 x x^T> - gamma^2 W*^T W*, the per-sample gradient covariance at W*, (r, r)."""
        if self._known_noise is not None:
            return self._known_noise
        decay = self.weight_decay * self.mode_weights
        scattered = self.problem.scatter(weights=self.squared_residuals)
        return difference(scattered, decay.T @ decay, self.problem.inputs.dtype)

    @property
    def population(self) -> int:
        """Number of samples that batches are drawn from, N."""
        return self.problem.population

    @property
    def precision(self) -> float:
        """Relative accuracy of the products over samples."""
        return self.problem.precision

    def feedback(self, covariance: Array) -> Array:
        """K[S], what the fluctuation adds to the noise, (r, r)."""
        return self.problem.feedback(covariance)

    def output_noise(self, k: int, l: int) -> Array:  # noqa: E741  (output indices, F6)
        """C_kl = <r_k r_l x x^T> - gamma^2 w*_k w*_l^T, symmetrised in the two outputs, (r, r)."""
        product = self.residuals[:, k].astype(np.float64) * self.residuals[:, l]
        decay = self.weight_decay**2 * np.outer(self.mode_weights[k], self.mode_weights[l])
        return self.problem.scatter(weights=product) - 0.5 * (decay + decay.T)

    def source(self, covariance: Array, mean: Array | None = None) -> Array:
        """C + K[S] + X(E V), the per-sample gradient covariance averaged over the law of W (F4), (r, r).

        Parameters
        ----------
        covariance : ndarray, (r, r)
            S = E[V^T V], about W*, the mean's own square included.
        mean : ndarray, (c, r), optional
            E V; None means zero.
        """
        if mean is None and not covariance.any():
            return self.noise  # at W*: known, and saves a pass over the samples
        if self.problem.feedback_samples:  # C is of all samples
            still = self.squared_mean(np.zeros_like(covariance), None)
            return self.noise + still + self.fed_back(covariance, mean) - self.squared_mean(covariance, mean)
        weights = self.squared_residuals if mean is None else self.squared_residuals + self._crossed(mean)
        return self.problem.scatter(weights, covariance) - self.squared_mean(covariance, mean)

    def fed_back(self, covariance: Array, mean: Array | None) -> Array:
        """<(z^T S z + 2 r . E V z) z z^T>, what the fluctuation adds to <|W x - y|^2 x x^T>, (r, r)."""
        return self.problem.scatter(None if mean is None else self._crossed(mean), covariance)

    def squared_mean(self, covariance: Array, mean: Array | None) -> Array:
        """E[p^T p] of the mean gradient p = V A - gamma W*, (r, r)."""
        return squared_mean(self.problem.curvatures, self.weight_decay * self.mode_weights, covariance, mean)

    def residual_products(self, form: Array | None) -> Array:
        """<rho r r^T z^T form z>, (c, c), rho the samples' importance; None is <r r^T>, of the loss."""
        out = np.zeros((self.problem.outputs,) * 2)
        for rows in self.problem.blocks(self.problem.rank):
            r = self.residuals[rows].astype(np.float64)
            out += r.T @ (r if form is None else r * self._counted(rows, form)[:, None])
        return out / self.problem.samples

    def _counted(self, rows: slice, form: Array) -> Array:
        """Rho z^T form z of some samples."""
        q, importance = quadratic_form(self.problem.projections[rows], form), self.problem.importance
        return q if importance is None else q * importance[rows]

    def _crossed(self, mean: Array) -> Array:
        """2 r_i . E V x_i, (N,): what neither |r|^2 nor S carries of E|W x_i - y_i|^2."""
        out, shift = np.empty(self.problem.samples), mean.T.astype(self.problem.projections.dtype)
        for rows in self.problem.blocks(self.problem.rank):
            out[rows] = 2 * np.einsum("ij,ij->i", self.problem.projections[rows] @ shift, self.residuals[rows])
        return out


def _spread(targets: AnyArray) -> float:
    """Root mean square distance of the targets from their means, exact beside any offset; infinite for constants."""
    return float(np.sqrt(np.sum(np.var((targets - targets[0]).astype(np.float64), axis=0)))) or np.inf
