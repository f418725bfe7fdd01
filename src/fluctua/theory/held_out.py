"""What the fluctuation costs on data that the training never saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import AnyArray, Array, Ints
from .._half import Rows
from .._results import Brief
from .._validate.arguments import door
from .._validate.targets import columns_of
from .._validate.values import instance, real_array, real_number, sample_rows, step_list
from ..errors import InvalidInput
from ..problem.least_squares import LeastSquares
from ..problem.minimum import Minimum
from ..problem.moments import blocks
from ..problem.start import Start
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from .answers import Prediction
from .law import Law
from .overflow import overflowing, overflown
from .readings import left_outside
from .reshuffling.followed import FollowedRun
from .stability import warn_unstable

__all__ = ["HeldOut", "HeldOutLoss", "held_out_curve", "held_out_loss"]


@dataclass(frozen=True, repr=False)
class HeldOutLoss(Brief):
    """Expected loss on held-out data, without the weight-decay term; made by `held_out_loss`.

    Attributes
    ----------
    optimum : float
        At the minimiser W* of the training loss.
    excess : float
        What the weights' distance from W* adds to it in expectation. It may be negative away from equilibrium: a run
        that has not converged can be better on new data than W*.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.HeldOutLoss(optimum=0.25, excess=0.0625).expected
    0.3125
    """

    optimum: float
    excess: float

    @property
    def expected(self) -> float:
        """E L(W) on the held-out data."""
        return self.optimum + self.excess


def held_out_loss(prediction: Prediction, inputs: ArrayLike, targets: ArrayLike) -> HeldOutLoss:
    r"""Return the expected loss on other data of the weights that `prediction` describes.

    With W = W* + V, A' = <x x^T> over the held-out data and residuals r' = W* x - y there,

    E 1/2 <|W x - y|^2> = 1/2 <|r'|^2> + 1/2 tr(A' S) + <r'^T (E V) x>    (F15):

    exact, because the loss is quadratic and S = E[V^T V] and E V are. Held-out data also see directions that no
    training sample has; they keep what the start left there.

    Parameters
    ----------
    prediction : Prediction
        Stationary, or at or averaged over finite steps.
    inputs : array_like, (n, d)
        One sample is enough.
    targets : array_like, (n, c) or (n,)
        Read as the training targets were: labels are scored by the training's outputs, whichever of them occur here.

    Returns
    -------
    HeldOutLoss
        Both terms, in units of the squared targets.

    Raises
    ------
    InvalidInput
        For arrays that do not fit the training data's, and for a label that they do not have.
    NotConverged
        If the stationary state, where it is asked for here first, was not found to the accuracy stated.

    Notes
    -----
    Cost: one pass over the held-out samples, 2 n (d + r) (r + c) flops; from a start with a part outside the modes
    another one.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> train, held_out = slice(0, 1200), slice(1200, None)
    >>> problem = fl.LeastSquares(data.inputs[train], data.targets[train])
    >>> prediction = fl.predict(problem, fl.SGD(lr=0.05, batch_size=8))
    >>> loss = fl.held_out_loss(prediction, data.inputs[held_out], data.targets[held_out])
    >>> print(f"{loss.optimum:.5f} + {loss.excess:.5f}; in training + {prediction.excess_loss:.5f}")
    0.20184 + 0.00872; in training + 0.00875
    """
    instance("prediction", prediction, Prediction, "a prediction, fluctua.predict(problem, sgd)")
    return HeldOut(prediction.law.problem, prediction.law.minimum, inputs, targets).loss(prediction)


def held_out_curve(
    problem: LeastSquares,
    sgd: Recipe,
    steps: Sequence[int],
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    start: ArrayLike | str = "zero",
    average: Average | None = None,
    rtol: float = 1e-4,
) -> Array:
    """Return the expected loss on held-out data after each of `steps`, (n,): as exact as `learning_curve` is.

    One march for all steps; see `held_out_loss` for the formula, F15, which needs all of S and not its diagonal alone.

    Parameters
    ----------
    problem : LeastSquares
        The training data.
    sgd : SGD
        The recipe. It need not be stable.
    steps : sequence of int
        In any order, which is that of the losses; a step may come twice.
    inputs, targets : array_like, (n, d), (n, c) or (n,)
        The held-out data, as in `held_out_loss`.
    start : "zero", "optimum" or array_like, (c, d)
        W(0), without spread.
    average : EMA or RunningAverage, optional
        The loss of this average of the weights, instead of the weights'.
    rtol : float
        Relative accuracy asked of every mode's variance, as in `learning_curve`.

    Returns
    -------
    ndarray, (n,)
        One loss per step, in units of the squared targets.

    Raises
    ------
    InvalidInput
        For arguments out of range, and for arrays that do not fit the training data's.
    NotConverged
        If the limit that a schedule's rates are compared with was not found to the accuracy stated.

    Warns
    -----
    UnstableRates
        Where a schedule's rate is above the stability limit at some step.

    Notes
    -----
    Cost: the passes over the training samples of `learning_curve`, one over the held-out samples as in `held_out_loss`,
    and for each of `steps` a contraction with S.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> train, held_out = slice(0, 1200), slice(1200, None)
    >>> problem = fl.LeastSquares(data.inputs[train], data.targets[train])
    >>> sgd = fl.SGD(lr=0.05, batch_size=8)
    >>> fl.held_out_curve(problem, sgd, [0, 100, 1000], data.inputs[held_out], data.targets[held_out]).round(4)
    array([0.5   , 0.2412, 0.2057])
    """
    door(problem, sgd, average=average)
    wanted, law = step_list("steps", steps), Law(problem, sgd, "exact", average)
    last, begin = int(wanted.max()), Start.at(law.minimum, start)
    held = HeldOut(law.problem, law.minimum, inputs, targets)
    warn_unstable(problem, sgd, last)
    relaxation = law.relaxation(None if begin is None else begin.modes, last, real_number("rtol", rtol, above=0.0))
    with overflowing():
        if isinstance(relaxation, FollowedRun):
            return overflown(held.followed(law, begin, wanted, relaxation))
        excess = 0.5 * relaxation.readings(wanted.tolist(), held.form)
        if begin is not None:
            excess += held.drifted(begin, law.motion(last).drift(wanted, observed=True), left_outside(law, wanted))
    return overflown(held.optimum + excess)


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

    def loss(self, prediction: Prediction) -> HeldOutLoss:
        """Return the expected loss of the weights that `prediction` describes; 2 r^2 flops."""
        if not np.isfinite(prediction.excess_loss):
            return HeldOutLoss(self.optimum, float("inf"))
        excess = 0.5 * float(np.vdot(self.form, prediction.mode_covariance))
        excess += float(np.vdot(self.slope, prediction.mean @ self.modes))
        if prediction.start is not None and prediction.steps is not None and prediction.start.null.any():
            linear, square, crossed = self._outside(prediction.start)
            left = left_outside(prediction.law, np.array(prediction.steps))
            excess += float(np.mean(linear * left + square * left**2)) + float(
                np.vdot(crossed, prediction.mean_with_left)
            )
        return HeldOutLoss(self.optimum, excess)

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
