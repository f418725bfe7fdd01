"""The loss on other data as a quadratic form about W* (F15)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import AnyArray, Array, Ints
from .._half import Rows
from .._validate.targets import columns_of
from .._validate.values import real_array, sample_rows
from ..errors import InvalidInput
from ..problem.least_squares import LeastSquares
from ..problem.minimum import Minimum
from ..problem.moments import blocks
from ..problem.start import Start
from .law import Law
from .prediction import Prediction
from .readings import left_outside
from .reshuffling.followed import FollowedRun

__all__ = ["HeldOut"]


class HeldOut:
    """The loss on other data as a quadratic form about W*, ready for many predictions of one problem.

    It is kept in the modes of the training data, where data whose columns have very different sizes lose nothing.

    Parameters
    ----------
    problem : LeastSquares
        The training data; they say what held-out targets are.
    minimum : Minimum
    inputs : array_like, (n, d)
    targets : array_like, (n, c) or (n,)

    Attributes
    ----------
    optimum : float
        1/2 <|r'|^2>, the loss at W*.
    form : ndarray, (r, r)
        <z z^T> of the held-out inputs in the modes, z = U^T x.
    slope : ndarray, (c, r)
        <r' z^T>.
    """

    def __init__(self, problem: LeastSquares, minimum: Minimum, inputs: ArrayLike, targets: ArrayLike) -> None:
        given = columns_of(
            "held-out targets", targets, problem.coding.classes, problem.inputs.dtype, "the training data"
        )
        self.inputs = sample_rows("held-out inputs", inputs)
        self.targets = real_array("held-out targets", given, ndim=2, shape="(samples, outputs)")
        _refuse_misfit(self.inputs, self.targets, minimum)
        self.weights, self.modes = minimum.weights, problem.modes
        self.optimum, self.slope = 0.0, np.zeros((len(self.weights), problem.rank))
        self.form = np.zeros((problem.rank,) * 2)
        for x, residuals in self._samples():
            z = x @ self.modes
            self.optimum += 0.5 * float(np.sum(residuals**2)) / len(self.inputs)
            self.slope += residuals.T @ z / len(self.inputs)
            self.form += z.T @ z / len(self.inputs)

    def excess(self, prediction: Prediction) -> float:
        """Return what the weights that `prediction` describes add to the loss in expectation; 2 r^2 flops."""
        if not np.isfinite(prediction.excess_loss):
            return float("inf")
        excess = 0.5 * float(np.vdot(self.form, prediction.mode_covariance))
        excess += float(np.vdot(self.slope, prediction.mean @ self.modes))
        if prediction.start is not None and prediction.steps is not None and prediction.start.null.any():
            linear, square, crossed = self._outside(prediction.start)
            left = left_outside(prediction.law, np.array(prediction.steps))
            excess += float(np.mean(linear * left + square * left**2)) + float(
                np.vdot(crossed, prediction.mean_with_left)
            )
        return excess + float(self.warm_outside(prediction.law, prediction.steps).mean())

    def warm_outside(self, law: Law, steps: Sequence[int] | None) -> Array:
        """What thermal noise adds in directions that the training data have not, stationary, (1,), or at `steps`."""
        variances = law.variance_outside(steps)
        if not variances.any():
            return variances
        square = sum(float(np.sum((x - x @ self.modes @ self.modes.T) ** 2)) for x, _ in self._samples())
        return np.asarray(0.5 * variances * square / len(self.inputs))

    def followed(self, law: Law, start: Start | None, steps: Ints, run: FollowedRun) -> Array:
        """The expected loss at each of `steps` of a `run` in epochs, whose batches displace the mean, (n,)."""
        found = run.at_each(steps.tolist())
        inside = {t: 0.5 * np.vdot(self.form, s) + np.vdot(self.slope, mean) for t, (s, mean) in found.items()}
        out = self.optimum + np.array([inside[t] for t in steps.tolist()])
        if start is not None and start.null.any():
            linear, square, crossed = self._outside(start)
            felt = np.array([np.vdot(crossed, found[t][1]) for t in steps.tolist()])
            left = left_outside(law, steps)
            out += left * (linear + felt) + square * left**2
        return np.asarray(out)

    def drifted(self, start: Start, inner: Array, left: Array) -> Array:
        """What a displaced mean adds to 1/2 tr(form S), (n,), given its factors in the modes, (n, r), and outside."""
        linear, square, crossed = self._outside(start)
        inside, felt = (inner @ (start.modes * each).sum(axis=0) for each in (self.slope, crossed))
        return np.asarray(inside + left * (linear + felt) + square * left**2)

    def _outside(self, start: Start) -> tuple[float, float, Array]:
        """<p . r'>, 1/2 <|p|^2> and <p^T z>, (c, r), of what the start has outside the modes, p = null x."""
        linear, square, crossed = 0.0, 0.0, np.zeros(self.slope.shape)
        if start.null.any():
            for x, residuals in self._samples():
                p = x @ start.null.T
                linear += float(np.vdot(p, residuals)) / len(self.inputs)
                square += 0.5 * float(np.sum(p**2)) / len(self.inputs)
                crossed += p.T @ (x @ self.modes) / len(self.inputs)
        return linear, square, crossed

    def _samples(self) -> Iterator[tuple[Array, Array]]:
        """Yield blocks of inputs and of residuals at W*."""
        for rows in blocks(*self.inputs.shape):
            x = self.inputs[rows].astype(np.float64)
            yield x, x @ self.weights.T - self.targets[rows]


def _refuse_misfit(inputs: Rows, targets: AnyArray, minimum: Minimum) -> None:
    """Refuse held-out data of other sizes than the training data's."""
    given, expected = (targets.shape[1], inputs.shape[1]), minimum.weights.shape
    if given != expected:
        raise InvalidInput(
            f"held-out data have {given[1]} inputs and {given[0]} outputs, the training data {expected[1]} and "
            f"{expected[0]}. Prepare both in the same way: labels for both, or a column per output for both."
        )
    if len(inputs) != len(targets):
        raise InvalidInput(
            f"held-out inputs hold {len(inputs)} samples and held-out targets {len(targets)}: every sample needs its "
            f"target."
        )
