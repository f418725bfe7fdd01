"""What the fluctuation costs on data that the training never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from .._arrays import Array
from .._results import Brief
from .._validate.arguments import door
from .._validate.values import instance, real_number, step_list
from ..problem.least_squares import LeastSquares
from ..problem.start import Start
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from .answers import Prediction
from .held_out_form import HeldOut
from .law import Law
from .overflow import overflowing, overflown
from .readings import left_outside
from .reshuffling.followed import FollowedRun
from .stability import warn_unstable

__all__ = ["HeldOutLoss", "held_out_curve", "held_out_loss"]


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
    held = HeldOut(prediction.law.problem, prediction.law.minimum, inputs, targets)
    return HeldOutLoss(held.optimum, held.excess(prediction))


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
    door(problem, sgd, samplers=True, average=average)
    wanted, law = step_list("steps", steps), Law(problem, sgd, "exact", average)
    last, begin = int(wanted.max()), Start.at(law.minimum, start)
    held = HeldOut(law.problem, law.minimum, inputs, targets)
    warn_unstable(problem, sgd, last)
    relaxation = law.relaxation(None if begin is None else begin.modes, last, real_number("rtol", rtol, above=0.0))
    with overflowing():
        if isinstance(relaxation, FollowedRun):
            return overflown(held.followed(law, begin, wanted, relaxation))
        excess = 0.5 * relaxation.readings(wanted.tolist(), held.form) + held.warm_outside(law, wanted.tolist())
        if begin is not None:
            excess += held.drifted(begin, law.motion(last).drift(wanted, observed=True), left_outside(law, wanted))
    return overflown(held.optimum + excess)
