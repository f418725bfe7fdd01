"""What the fluctuation costs on data that the training never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._door import door
from ._validate import instance, real_number, step_list
from .averaging import Average
from .errors import InvalidInput
from .law import Law
from .problem import LeastSquares
from .relaxation import Relaxation
from .sgd import SGD
from .stability import warn_unstable
from .start import Start
from .theory import Prediction

__all__ = ["HeldOut", "HeldOutLoss", "held_out_curve", "held_out_loss"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOutLoss:
    """Expected loss on held-out data, without the weight-decay term; made by `held_out_loss`.

    Attributes
    ----------
    optimum : float
        At the minimiser W* of the training loss.
    excess : float
        What the weights' distance from W* adds to it in expectation. It may be negative away from equilibrium: a run
        that has not converged can be better on new data than W*.
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

    E 1/2 <|W x - y|^2> = 1/2 <|r'|^2> + 1/2 tr(A' S) + <r'^T (E V) x>:

    exact, because the loss is quadratic and S = E[V^T V] and E V are. Held-out data also see directions that no
    training sample has; they keep what the start left there.

    Parameters
    ----------
    prediction : Prediction
        Stationary, or at or averaged over finite steps.
    inputs : array_like, (n, d)
    targets : array_like, (n, c) or (n,)

    Raises
    ------
    InvalidInput
        For arrays that do not fit the training data's.

    Notes
    -----
    Cost: 2 n d^2 flops.

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
    return HeldOut(prediction.optimum, inputs, targets).loss(prediction)


def held_out_curve(
    problem: LeastSquares,
    sgd: SGD,
    steps: Sequence[int],
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    start: ArrayLike | str = "zero",
    average: Average | None = None,
    rtol: float = 1e-4,
) -> Array:
    """Return the expected loss on held-out data after each of `steps`, (n,): exact, as `learning_curve` is.

    One march for all steps; see `held_out_loss` for the formula, which needs all of S and not its diagonal alone.

    Parameters
    ----------
    problem : LeastSquares
        The training data.
    sgd : SGD
    steps : sequence of int
    inputs, targets : array_like, (n, d), (n, c) or (n,)
    start : "zero", "optimum" or array_like, (c, d)
    average : EMA or RunningAverage, optional
    rtol : float

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
    sgd.refuse_epochs("held_out_curve follows independent batches; see held_out_loss for single predictions")
    wanted, law = step_list("steps", steps), Law(problem, sgd, "exact", average)
    last, begin = int(wanted[-1]), Start.at(law.minimum, start)
    held = HeldOut(law.minimum.weights, inputs, targets)
    warn_unstable(problem, sgd, last)
    relaxation = law.relaxation(None if begin is None else begin.modes, last, real_number("rtol", rtol, above=0.0))
    assert isinstance(relaxation, Relaxation)
    excess = 0.5 * relaxation.readings(wanted.tolist(), problem.modes.T @ held.form @ problem.modes)
    if begin is None:
        return np.asarray(held.optimum + excess)
    drifts = (motion.drift(wanted, observed=True) for motion in (law.motion(last), law.null_motion(last)))
    for k, (inner, outer) in enumerate(zip(*drifts, strict=True)):
        mean, null = (begin.modes * inner) @ problem.modes.T, begin.null * outer
        excess[k] += np.vdot(held.slope, mean + null) + np.vdot(null @ held.form, mean + 0.5 * null)
    return np.asarray(held.optimum + excess)


class HeldOut:
    """The loss on other data as a quadratic form about W*, ready for many predictions of one problem.

    Parameters
    ----------
    optimum : ndarray, (c, d)
        W*.
    inputs : array_like, (n, d)
    targets : array_like, (n, c) or (n,)
    """

    def __init__(self, optimum: Array, inputs: ArrayLike, targets: ArrayLike) -> None:
        held = LeastSquares(inputs, targets)
        given, expected = (held.outputs, held.features), optimum.shape
        if given != expected:
            raise InvalidInput(
                f"held-out data have {given[1]} inputs and {given[0]} outputs, the training data {expected[1]} and "
                f"{expected[0]}. Prepare both in the same way."
            )
        self.optimum, self.slope, self.form = 0.0, np.zeros(expected), np.zeros((held.features,) * 2)
        for rows in held.blocks(held.features):
            x = held.inputs[rows].astype(np.float64)
            residuals = x @ optimum.T - held.targets[rows]
            self.optimum += 0.5 * float(np.sum(residuals**2)) / held.samples
            self.slope += residuals.T @ x / held.samples
            self.form += x.T @ x / held.samples

    def loss(self, prediction: Prediction) -> HeldOutLoss:
        """Return the expected loss of the weights that `prediction` describes; 4 d r^2 flops."""
        if not np.isfinite(prediction.excess_loss):
            return HeldOutLoss(self.optimum, float("inf"))
        excess = 0.5 * float(np.vdot(self.form, prediction.covariance)) + float(np.vdot(self.slope, prediction.mean))
        return HeldOutLoss(self.optimum, excess)
