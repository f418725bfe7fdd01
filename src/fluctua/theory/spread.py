"""How far the loss of one run may be from the expected one: its variance between runs, in the Gaussian closure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from .._arrays import Array
from .._validate.sizes import refuse_bytes, refuse_work
from .._validate.values import instance, real_number
from ..errors import InvalidInput
from ..problem.least_squares import LeastSquares
from ..problem.subsample import combined
from .answers import Prediction
from .law import Law

__all__ = ["LossSpread", "loss_spread"]

_BALANCE = 3e5  # operations of a balance beside its passes over the samples
_ONE_STEP = np.ones((2, 1))  # weights of a source that is constant over it


@dataclass(frozen=True)
class LossSpread:
    """Mean and spread of L(W) - L(W*) between runs that differ in their batches alone; made by `loss_spread`.

    Attributes
    ----------
    mean : float
        E L(W) - L(W*): exact.
    std : float
        Standard deviation between runs: of weights that are Gaussian with their exact mean and covariance. Infinite
        where no stationary state exists.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.LossSpread(mean=0.25, std=0.125).relative
    0.5
    """

    mean: float
    std: float

    @property
    def relative(self) -> float:
        """Share std/mean of the mean; NaN where nothing is left of either."""
        return self.std / self.mean if self.mean else float("nan")


def loss_spread(prediction: Prediction, *, rtol: float = 1e-4) -> LossSpread:
    r"""Return by how much the excess loss differs from run to run, at one step or in the stationary state.

    L(W) - L(W*) = 1/2 sum_k v_k H v_k^T is quadratic in the output rows v_k of V = W - W*, so its mean needs their
    second moments, which are known exactly, and its variance their fourth, which are not. *Gaussian closure*: V is
    taken as Gaussian with its exact mean m_k = E v_k and exact covariances S_kl = Cov(v_k, v_l); then (F60)

    Var L = 1/2 sum_kl tr(H S_kl H S_kl^T) + sum_kl m_k H S_kl H m_l^T.

    Assumption: that closure and nothing else. V is a sum of many batches' noise, so it is good where many modes and
    many steps add up. Where single steps are large, multiplicative noise gives V heavier tails than a Gaussian's and at
    last an infinite fourth moment: on digits the spread is low by 2 to 4 % at b = 8 and 32 up to half the largest
    stable learning rate, by 10 to 20 % at b = 1, by up to 30 % at 0.9 of the limit. Where few samples make noise of
    lighter tails it is high: 0.9 to 1.5 times the measured one with 12 samples, b = 1, half the limit (docs/spread.md).

    Parameters
    ----------
    prediction : Prediction
        On the rung "exact", "discrete" or "langevin"; stationary, or after one number of steps from any start; of the
        weights or of their average.
    rtol : float
        Relative accuracy of the covariances; on digits that of `std` was 1e-5 at worst with 1e-3.

    Returns
    -------
    LossSpread
        Mean and standard deviation, in units of the squared targets.

    Raises
    ------
    InvalidInput
        For a rung that models the sum over outputs only, for a prediction averaged over several steps, for epochs, and
        for more steps than fit into memory, with weight decay or from elsewhere than W*.
    NotConverged
        If a balance was not solved to the accuracy stated.

    Notes
    -----
    Cost: c(c + 1)/2 balances of one output each, as `predict` or `after` solves them, and memory for c + 3 matrices
    (r, r): S_kl + S_kl^T is what v_k + v_l has beyond v_k and v_l, and a sum of outputs is an output. The
    antisymmetric part of S_kl obeys a law without a sum over the data (F61), elementwise in the modes. It is 0 from W*
    without weight decay; otherwise, at finite time, it costs an update of up to four (r, r) matrices in every step.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> spread = fl.loss_spread(fl.predict(problem, fl.SGD(lr=0.05, batch_size=8)))
    >>> print(f"{spread.mean:.5f} +- {spread.std:.5f}")
    0.00935 +- 0.00377
    """
    instance("prediction", prediction, Prediction, "a prediction, fluctua.predict(problem, sgd)")
    tolerance = real_number("rtol", rtol, above=0.0)
    _refuse(prediction)
    _refuse_large(prediction.law.problem)
    h = prediction.curvatures
    pull, variance = h * (prediction.mean @ prediction.modes), 0.0
    if not np.isfinite(prediction.mode_covariance).all():
        return LossSpread(prediction.excess_loss, float("inf"))
    for (k, l), block in _covariances(prediction, tolerance):  # noqa: E741  (output indices, F6)
        both = 0.5 * float(h @ block**2 @ h) + float(pull[k] @ block @ pull[l])
        variance += both if k == l else 2 * both
    return LossSpread(prediction.excess_loss, float(np.sqrt(max(variance, 0.0))))


def _refuse(prediction: Prediction) -> None:
    if prediction.theory in ("hessian", "equilibrium"):
        raise InvalidInput(
            f"theory={prediction.theory!r} models the sum over outputs only, and the spread of the loss depends on how "
            f"the outputs fluctuate together. Use 'exact', 'discrete' or 'langevin'."
        )
    prediction.law.sgd.refuse_epochs("the spread of the loss needs covariances of single outputs")
    if prediction.steps is not None and len(prediction.steps) > 1:
        raise InvalidInput(
            f"the spread is of the loss at one step, and this prediction is averaged over {len(prediction.steps)}: a "
            f"time average also depends on how long the loss of a run remembers. Use .after(step)."
        )


def _covariances(prediction: Prediction, rtol: float) -> Iterator[tuple[tuple[int, int], Array]]:
    """Yield (k, l) and Cov(v_k, v_l) in the modes, (r, r), for every pair of outputs k <= l."""
    outputs = np.eye(prediction.law.problem.outputs)
    lone = [_covariance(prediction, each, rtol) for each in outputs]
    yield from (((k, k), block) for k, block in enumerate(lone))
    twists = _twists(prediction)
    for k, l in combinations(range(len(lone)), 2):  # noqa: E741
        block = _covariance(prediction, outputs[k] + outputs[l], rtol) - lone[k] - lone[l]
        for left, right, response in twists:
            twist = np.outer(left[k], right[l]) * response
            block += twist - twist.T
        yield (k, l), 0.5 * block


def _covariance(prediction: Prediction, coefficients: Array, rtol: float) -> Array:
    """Covariance in the modes, (r, r), of a sum of outputs with `coefficients`, (c,): of an output of its own."""
    whole = prediction.law
    law = replace(whole, problem=combined(whole.problem, whole.minimum, coefficients))
    if prediction.steps is None:
        covariance = law.stationary_state(law.noise, rtol)
        return covariance if law.average is None else law.averaged(covariance)
    begin, step = None if prediction.start is None else coefficients[None] @ prediction.start.modes, prediction.steps[0]
    moment, _ = law.relaxation(begin, step, rtol).average([step])
    if begin is None:
        return moment
    mean = begin * law.motion(step).drift(step, observed=True)
    return moment - mean.T @ mean


def _twists(prediction: Prediction) -> list[tuple[Array, Array, Array]]:
    r"""Left and right, (c, r), and response, (r, r): alt of the sum of left_k^T right_l o response is S_kl's alt(S_kl).

    alt(M) = (M - M^T)/2. Of the source of S_kl only -E[p_k^T p_l] is not symmetric, p_k = v_k A - gamma w*_k the mean
    gradient. So Q = alt(S_kl) obeys F0 with the source -A Q A - alt((E p_k)^T E p_l), elementwise in the modes. E p is
    a sum of vectors that differ between outputs times courses in time that do not: few responses serve all pairs.
    """
    law, start, count = prediction.law, prediction.start, 1 if prediction.steps is None else prediction.steps[0]
    parts: list[tuple[Array, Array]] = []
    if not law.sgd.weight_decay and (start is None or not law.feeds_back):
        return []
    refuse_bytes(
        f"the spread of the loss after {count:,} steps, with weight decay or from elsewhere than the optimum,",
        32.0 * count * law.problem.rank,
        "It follows how outputs turn against each other step by step: ask for fewer steps.",
    )
    steps = np.arange(count)
    if law.sgd.weight_decay:
        parts.append((law.minimum.mode_weights, np.full((len(steps), law.problem.rank), -law.sgd.weight_decay)))
    if start is not None and law.feeds_back and len(steps):
        parts.append((start.modes, law.problem.curvatures * law.motion(len(steps)).drift(steps)))
    respond = _stationary_response if prediction.steps is None else _response
    return [(left, right, respond(law, p, q)) for left, p in parts for right, q in parts]


def _stationary_response(law: Law, left: Array, right: Array) -> Array:
    """Solution of S = Phi o kappa (-left_p right_q - A S A), (r, r), or what it gives in the average."""
    source, a = law.source.centring(np.outer(left[0], right[0])), law.problem.curvatures * law.feeds_back
    settled = law.odd_state(source)
    if law.average is None:
        return settled
    return law.averaged_source(source + law.source.centring(np.outer(a, a) * settled))


def _response(law: Law, left: Array, right: Array) -> Array:
    """S from S = 0 after the steps of `left` and `right`, (n, r), under kappa (-left_p right_q - A S A), (r, r)."""
    zero = np.zeros((law.problem.rank,) * 2)
    if not len(left):
        return zero
    kernel, a = law.motion(len(left)), law.problem.curvatures * law.feeds_back
    first = law.source.centring(np.outer(left[0], right[0]))
    state = kernel.begin(zero, first)  # its first step may be unlike the others
    for t in range(1, len(left)):
        source = law.source.centring(np.outer(left[t], right[t]) + a[:, None] * kernel.fold(state) * a)
        state = kernel.advance(state, [source], _ONE_STEP, t, 1)
    return kernel.fold(state, observed=True)


def _refuse_large(problem: LeastSquares) -> None:
    """Refuse the spread of a loss of so many outputs."""
    c, r = problem.outputs, float(problem.rank)
    refuse_bytes(
        f"the spread of the loss of {c:,} outputs in {r:,.0f} modes", 8.0 * (c + 10.0) * r**2, "Use fewer outputs."
    )
    flops = c * (c + 1) / 2 * (20.0 * problem.samples * r**2 + _BALANCE)
    refuse_work(f"the spread of the loss of {c:,} outputs", flops, "Use fewer outputs or samples.")
