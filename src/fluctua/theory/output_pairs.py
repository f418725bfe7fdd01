r"""Covariances of every pair of outputs, Cov(v_k, v_l): with independent batches and in shuffled epochs.

A sum of outputs is an output, with targets of its own and the same batches. So Cov(v_k, v_l) + its transpose is what
v_k + v_l has beyond v_k and v_l. What turns, the antisymmetric part, obeys a law of its own (F61). In epochs that are
not listed the outputs fluctuate together as in independent batches, each mode by as much as epochs leave of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, combinations_with_replacement

import numpy as np

from .._arrays import Array
from .._validate.sizes import refuse_bytes
from ..errors import InvalidInput
from ..problem.subsample import combined
from .answers import predict
from .law import Law
from .moments import Moments
from .prediction import Prediction
from .reshuffling.kept_noise import share_kept
from .reshuffling.measured import MeasuredEpochs
from .reshuffling.measured_pairs import MeasuredPairs
from .stability import max_stable_lr

__all__ = ["Looks", "pairs_of"]

Pairs = Iterator[tuple[tuple[int, int], Array]]
_KNOWN = 0.1  # of a mode's second moment, from which its variance is more than the accuracy of the moments
_ONE_STEP = np.ones((2, 1))  # weights of a source that is constant over it


@dataclass(frozen=True)
class Looks:
    """Times at which runs are compared: one, or in the stationary state of epochs their positions.

    Attributes
    ----------
    shares : ndarray, (n,)
        Of each in the average over them.
    means : ndarray, (n, c, r)
        E V in the modes.
    pairs : iterator
        Of (k, l) and Cov(v_k, v_l), (n, r, r), k <= l.
    """

    shares: Array
    means: Array
    pairs: Pairs


def pairs_of(prediction: Prediction, rtol: float) -> Looks:
    """Return the covariances of all pairs of outputs, with independent batches to a relative accuracy of `rtol`."""
    law = prediction.law
    if law.shuffle is None:
        return Looks(np.ones(1), (prediction.mean @ prediction.modes)[None], _of_independent(prediction, rtol))
    places, shares = _positions(prediction)
    measured = (law if prediction.steps is None else law.at_most(prediction.steps[0])).measured
    if measured is not None and (law.average is None or prediction.steps is not None):
        return _measured(prediction, measured, places, shares)
    states = [(prediction.mode_covariance, prediction.mode_mean)]
    if prediction.steps is None:
        states = [law.settled_in_epochs(place) for place in places]
    means = np.array([mean for _, mean in states])
    covariances = np.array([moment for moment, _ in states]) - np.einsum("ncp,ncq->npq", means, means)
    if law.problem.outputs == 1 and prediction.start is None:
        return Looks(shares, means, iter([((0, 0), covariances)]))
    return Looks(shares, means, _scaled(prediction, np.einsum("npp->np", covariances), rtol))


def _positions(prediction: Prediction) -> tuple[list[int], Array]:
    """Positions of the epoch that a stationary prediction is at, and their shares; none at finite time."""
    law = prediction.law
    assert law.shuffle is not None
    if prediction.steps is not None:
        return [], np.ones(1)
    if prediction.position is not None:
        return [prediction.position], np.ones(1)
    if law.measured is not None:
        return law.measured.positions
    return law.shuffle.epoch.times.tolist(), law.shuffle.epoch.share


def _measured(prediction: Prediction, epochs: MeasuredEpochs, places: list[int], shares: Array) -> Looks:
    """Those of epochs that are listed or measured."""
    law, step = prediction.law, 0 if prediction.steps is None else prediction.steps[0]
    if prediction.steps is None:
        found = list(MeasuredPairs(epochs).settled_at(places))
    else:
        course = law._course(law.minimum.curvatures, max(step, 1)) if law.moves else None
        start = None if prediction.start is None else prediction.start.modes
        found = [MeasuredPairs(epochs, course).after(step, start)]
    blocks, means = (np.array(each) for each in zip(*found, strict=True))
    indices = combinations_with_replacement(range(blocks.shape[1]), 2)
    return Looks(shares, means, (((k, m), blocks[:, k, m]) for k, m in indices))


def _scaled(prediction: Prediction, variances: Array, rtol: float) -> Pairs:
    """Those of independent batches, each mode scaled to the `variances`, (n, r), that epochs leave it.

    From elsewhere than W* a mode's variance may be less than the accuracy of its second moment. Then, and only then, it
    follows from the noise of the mean's way, which does not feel the fluctuation.
    """
    law, step = prediction.law, None if prediction.steps is None else prediction.steps[0]
    pairs = dict(_of_independent(_in_independent_batches(prediction, rtol), rtol))
    alone = np.sum([pairs[k, k][0].diagonal() for k in range(law.problem.outputs)], axis=0)
    if prediction.start is None or step is None:
        kept = np.divide(variances, alone, out=np.zeros_like(variances), where=alone > 0)
    else:
        assert law.shuffle is not None
        course = law._course(law.minimum.curvatures, max(step, 1))
        kept = share_kept(law.shuffle, course, prediction.start.modes, step)[None]
        known = (variances > _KNOWN * prediction.mode_covariance.diagonal()) & (alone > 0)
        kept = np.divide(variances, alone, out=kept, where=known)
    scale = np.sqrt(np.maximum(kept, 0.0))
    yield from ((kl, scale[:, :, None] * block * scale[:, None]) for kl, block in pairs.items())


def _in_independent_batches(prediction: Prediction, rtol: float) -> Prediction:
    """The same prediction of independent batches of the same size, without what it says of the sum over outputs."""
    law = prediction.law
    sgd = replace(law.sgd, sampling="without_replacement", drop_last=False)
    alike = replace(law, sgd=sgd, average=law.averaging)
    if prediction.steps is not None:
        return replace(prediction, law=alike, rtol=rtol, moments=Moments(prediction.mode_covariance), curve=None)
    found = predict(law.problem, sgd, theory=law.rung, average=law.averaging, check_stability=False)
    if not np.isfinite(found.mode_covariance).all():
        limit = float(max_stable_lr(law.problem, sgd))
        raise InvalidInput(
            f"the spread of the loss in shuffled epochs is that of independent batches, scaled, and for these "
            f"lr = {sgd.lr:.6g} is above the largest stable one, {limit:.6g}. Use a smaller lr, or .after(steps)."
        )
    return found


def _of_independent(prediction: Prediction, rtol: float) -> Pairs:
    """Yield (k, l) and Cov(v_k, v_l), (1, r, r): the symmetric parts from sums of outputs, and what turns."""
    outputs = np.eye(prediction.law.problem.outputs)
    lone = [_independent(prediction, each, rtol) for each in outputs]
    yield from (((k, k), block[None]) for k, block in enumerate(lone))
    twists = _twists(prediction)
    for k, l in combinations(range(len(lone)), 2):  # noqa: E741  (output indices, F6)
        block = _independent(prediction, outputs[k] + outputs[l], rtol) - lone[k] - lone[l]
        for left, right, response in twists:
            twist = np.outer(left[k], right[l]) * response
            block += twist - twist.T
        yield (k, l), 0.5 * block[None]


def _independent(prediction: Prediction, coefficients: Array, rtol: float) -> Array:
    """Covariance in the modes, (r, r), of a sum of outputs with `coefficients`, (c,): of an output of its own."""
    whole = prediction.law
    law = replace(whole, problem=combined(whole.problem, whole.minimum, coefficients))
    doubled = float(coefficients @ coefficients) - 1  # outputs have thermal noise of their own, which adds up
    if prediction.steps is None:
        covariance = law.stationary_state(law.noise, rtol) + (doubled + 1) * law.heat(None, rtol)
        return covariance if law.average is None else law.averaged(covariance)
    begin, step = None if prediction.start is None else coefficients[None] @ prediction.start.modes, prediction.steps[0]
    moment = law.relaxation(begin, step, rtol).average([step])[0] + doubled * law.heat([step], rtol)
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
