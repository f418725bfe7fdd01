"""How often a trained linear probe is right: its accuracy at W* and in expectation over runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from .._results import Brief, ByValue
from .._validate.values import flag, instance, real_number
from ..errors import InvalidInput
from .answers import Prediction
from .labelled import Labelled
from .margins import chances, doubtful
from .output_noise import OutputNoise, SharedOut, Solved
from .pair_limits import pair_work, refuse_averaged, refuse_pairs

__all__ = ["ExpectedAccuracy", "expected_accuracy"]

_WORTH = 2e10  # operations of the balances of all pairs that are made without being asked for
_MARCH = 20  # balances whose work is that of a run from elsewhere than W*
_WHAT = "the expected accuracy"


@dataclass(frozen=True, eq=False, repr=False)
class ExpectedAccuracy(ByValue, Brief):
    """Share of samples whose label the weights find; made by `expected_accuracy`.

    Attributes
    ----------
    optimum : float
        At the minimiser W* of the training loss.
    expected : float
        In expectation over runs, of weights that are Gaussian; NaN where no stationary state exists.
    samples : int
        How many there are.
    pairs : bool
        Whether the covariances between outputs were solved; otherwise they are shared out.

    Examples
    --------
    >>> import fluctua as fl
    >>> found = fl.ExpectedAccuracy(optimum=0.95, expected=0.9375, samples=400, pairs=True)
    >>> round(found.change, 4)
    -0.0125
    """

    optimum: float
    expected: float
    samples: int
    pairs: bool

    @property
    def change(self) -> float:
        """What the weights' distance from W* adds to the accuracy in expectation."""
        return self.expected - self.optimum


def expected_accuracy(
    prediction: Prediction,
    inputs: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    *,
    pairs: bool | None = None,
    rtol: float = 1e-3,
) -> ExpectedAccuracy:
    r"""Return the accuracy at W* and in expectation over the runs that `prediction` describes.

    The weights are taken as Gaussian with their predicted mean E W and covariances S_kl between the outputs. Then the
    outputs at a sample x are Gaussian with mean E W x and covariances x^T S_kl x, and the accuracy is the mean over the
    samples of (F70)

    P(o_y > o_k for all k other than y), y the label.

    The largest output decides, the first of equal ones. One output of two values decides against the threshold half-way
    between them: above it is the larger value, on it the smaller. Two outputs, or one, have one margin, a Gaussian
    distribution function. More are integrated with fixed points: off by 3e-3 in one sample of 400, by 2e-4 in a mean
    over forty; where thousands of samples are open, with fewer points for each, by 1e-2 in one and 1e-5 in the mean.

    Parameters
    ----------
    prediction : Prediction
        Stationary, or after one number of steps from any start; of the weights or of their average. The stationary
        state of shuffled epochs is taken as one Gaussian, with the moments averaged over the epoch.
    inputs : array_like, (n, d), optional
        Held-out data; by default the training data, where each sample counts as in the loss.
    labels : array_like, (n,) or (n, c), optional
        As the training targets are: labels, or one column per label.
    pairs : bool, optional
        True solves the covariance of every pair of outputs, as `loss_spread` does. False takes x^T S x, which is
        solved already, and shares it out among the outputs as the noise of a batch is, mode by mode. By default the
        pairs are solved where that takes a few seconds. Shared out, the accuracy is optimistic: on digits the fall
        was 5 to 15 % too small from W*, 20 % from zero.
    rtol : float
        Relative accuracy of the covariances of pairs.

    Returns
    -------
    ExpectedAccuracy
        Both accuracies, from 0 to 1.

    Raises
    ------
    InvalidInput
        For targets that are no labels, labels that the training data do not have, arrays that do not fit, and a
        prediction averaged over several steps; with `pairs` also as `loss_spread` does.
    NotConverged
        If a balance was not solved to the accuracy stated.

    Notes
    -----
    Solved pairs are optimistic where weights are not Gaussian, at small batches: the fall was 6 % too small on digits
    with batches of 1, 1 % with batches of 8 and 32. On wine in shuffled epochs the solved pairs claim 0.25 percentage
    points too much.

    Cost: shared out, one pass over the training data of 2 N r c^2 flops and 2 n r (d + r) for the samples; solved,
    c(c + 1)/2 balances and as many forms of n r^2 flops. Samples that are sure, whatever the correlations, are left
    out of the rest, which is some 0.4 ms for each of the others with 10 outputs.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs[:1200], data.labels[:1200])
    >>> prediction = fl.predict(problem, fl.SGD(lr=0.05, batch_size=8))
    >>> for given in ((), (data.inputs[1200:], data.labels[1200:])):
    ...     found = fl.expected_accuracy(prediction, *given)
    ...     print(f"{found.optimum:.2%} at W*, {found.expected:.2%} expected")
    95.67% at W*, 95.15% expected
    88.44% at W*, 87.86% expected
    """
    instance("prediction", prediction, Prediction, "a prediction, fluctua.predict(problem, sgd)")
    tolerance = real_number("rtol", rtol, above=0.0)
    refuse_averaged(prediction, _WHAT)
    alone = prediction.law.problem.outputs == 1  # then nothing has to be shared out
    solved = _solved(prediction, None if pairs is None else flag("pairs", pairs)) and not alone
    data = _labelled(prediction, inputs, labels)
    optimum = data.average(_right(data, prediction.optimum))
    if not np.isfinite(prediction.mode_covariance).all():
        return ExpectedAccuracy(optimum, float("nan"), len(data.labels), solved or alone)
    noise: OutputNoise = Solved(prediction, tolerance) if solved else SharedOut(prediction)
    expected = data.average(_chances(data, prediction, noise))
    return ExpectedAccuracy(optimum, expected, len(data.labels), solved or alone)


def _solved(prediction: Prediction, pairs: bool | None) -> bool:
    """Whether the covariances of all pairs are to be solved; thermal noise is not shared out as a batch's is."""
    pairs = pairs or (True if prediction.law.sgd.step.temperature else pairs)
    if pairs is None:
        known = prediction.theory not in ("hessian", "equilibrium")
        return known and prediction.law.problem.outputs > 1 and pair_work(prediction.law.problem) < _WORTH
    if pairs:
        refuse_pairs(prediction, _WHAT)
    return pairs


def _labelled(prediction: Prediction, inputs: ArrayLike | None, labels: ArrayLike | None) -> Labelled:
    if (inputs is None) != (labels is None):
        given, missing = ("labels", "inputs") if inputs is None else ("inputs", "labels")
        raise InvalidInput(f"held-out data are inputs and their labels, and {missing} are missing beside {given}.")
    problem = prediction.law.problem
    if inputs is not None and prediction.law.variance_outside(prediction.steps).any():
        raise InvalidInput(
            f"the training inputs leave {prediction.law.outside} directions of the weights to the prior alone, whose "
            f"spread at held-out inputs the expected accuracy does not have. Leave out the columns that are constant "
            f"in the training data or sums of others."
        )
    return Labelled.training(problem) if inputs is None else Labelled.held_out(problem, inputs, labels)


def _right(data: Labelled, weights: Array) -> Array:
    """1 where the weights find the label and 0 elsewhere, (n,)."""
    out = np.zeros(len(data.labels))
    for rows, x in data.blocks(sum(weights.shape)):
        out[rows] = data.deciding(x @ weights.T).argmax(axis=1) == data.labels[rows]
    return out


def _chances(data: Labelled, prediction: Prediction, noise: OutputNoise) -> Array:
    """Chance that a run finds the label of each sample, (n,)."""
    weights, modes = prediction.optimum + prediction.mean, prediction.modes
    kind = np.result_type(data.inputs.dtype, np.float32)  # fine enough for variances, of inputs that are no finer
    out, turned = np.zeros(len(data.labels)), modes.astype(kind)
    for rows, x in data.blocks(max(*modes.shape, 4 * len(weights) ** 2)):
        z, means, labels = x.astype(kind, copy=False) @ turned, data.deciding(x @ weights.T), data.labels[rows]
        found, variances = (means.argmax(axis=1) == labels).astype(np.float64), noise.variances(z)
        some = doubtful(means, variances, labels)
        if len(some):
            covariances = noise.at(z[some], variances[some])
            found[some] = chances(means[some], data.deciding_noise(covariances), labels[some])
        out[rows] = found
    return out
