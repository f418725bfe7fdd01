"""The fluctuation source of the states of one march, with a pass over the samples only for what is new in a state."""

from __future__ import annotations

import numpy as np

from .._arrays import AnyArray, Array
from ..problem.least_squares import LeastSquares
from .control import loss_rtol
from .source import Source
from .witnesses import Witnesses

__all__ = ["SpannedSource", "many", "recalling"]

_WITNESSES = 1536  # samples that tell what is new
_LARGE = 1e9  # N r^2, below which a pass costs no more than telling; and fewer samples than this many times witnesses:
_MANY = 4
_FINEST = 1e-9  # accuracy beyond which every state is asked of all samples
_LEFT = 1 / 3  # weight of what is left out of a mode where the loss is held to more; elsewhere such errors add up
_LARGEST_GAIN = 100.0  # as in `control`


def recalling(source: Source, rtol: float) -> Source | SpannedSource:
    """Return a source that recalls former states where passes over the samples are dear, or the source itself."""
    problem = source.minimum.problem
    recalls = rtol >= _FINEST and many(problem)
    return SpannedSource(source, max(rtol, 10 * problem.precision)) if recalls else source


def many(problem: LeastSquares) -> bool:
    """Return whether passes over the samples cost so much that states are recalled."""
    return problem.samples >= _MANY * _WITNESSES and problem.samples * float(problem.rank) ** 2 >= _LARGE


class SpannedSource:
    r"""kappa (C + K[S] + X(E V)) of states that are nearly sums of those asked for before.

    What a pass finds, <q z z^T> with q_i = z_i^T S z_i + 2 r_i . E V z_i, is linear in (S, E V). Some samples, the
    *witnesses*, tell q of a new state as the sum of former ones that comes nearest, and a rest. In mode p the rest adds
    <q z_p^2>. Where that may be more than `rtol` of the source in any mode, or of all modes together more than the loss
    may be off by, over the gain of an error through K, all samples are asked.

    Parameters
    ----------
    source : Source
    rtol : float
        Relative accuracy of the source in every mode, times the gain.

    Attributes
    ----------
    passes : int
        How often all samples were asked.

    Notes
    -----
    Cost: 4 N r^2 flops for a state that is new; 2 n r^2 for n witnesses and 2 m r^2 for m passes so far for others.
    Memory: m matrices (r, r), in the precision of the inputs.
    """

    def __init__(self, source: Source, rtol: float) -> None:
        self.source, self.rtol, self.passes = source, rtol, 0
        minimum = source.minimum
        self.minimum, self.problem = minimum, minimum.problem
        self.witnesses = Witnesses(minimum, _WITNESSES)
        decay = minimum.weight_decay * minimum.mode_weights
        self._constant = minimum.noise + decay.T @ decay
        self._seen: list[Array] = []
        self._found: list[AnyArray] = []

    def at(self, covariance: Array, mean: Array | None = None) -> Array:
        """Return kappa (C + K[S] + X(E V)), (r, r), to within what `rtol` allows."""
        if not np.isfinite(covariance).all():
            return self.source.at(covariance, mean)
        rest = self._constant - self.minimum.squared_mean(covariance, mean)
        seen = self.witnesses.seen(covariance, mean)
        felt = self._recalled(seen, rest)
        if felt is None:
            felt = self.minimum.fed_back(covariance, mean)
            self.passes += 1
            self._seen.append(seen)
            self._found.append(felt.astype(self.problem.inputs.dtype))
        return np.asarray(self.source.kappa * (felt + rest))

    def _recalled(self, seen: Array, rest: Array) -> Array | None:
        """<q z z^T> of a sum of former states, (r, r), or None where that may leave too much out."""
        if not self._seen:
            return None
        (shares,), (left,) = self.witnesses.shares(seen[None], np.array(self._seen))
        total = np.zeros(rest.shape, self.problem.inputs.dtype)
        for share, found in zip(shares, self._found, strict=True):
            total += self.problem.inputs.dtype.type(share) * found
        np.fill_diagonal(total, np.diag(total) + self.witnesses.mean(left[None])[0])
        size = np.abs(np.diag(total) + np.diag(rest))
        gain = np.clip(size.sum() / np.abs(np.diag(self.minimum.noise)).sum(), 1.0, _LARGEST_GAIN)
        sizes = np.array([np.diag(found) for found in self._found])
        rounded = self.problem.precision * np.sqrt(shares**2 @ sizes**2)
        weight = _LEFT if loss_rtol(self.rtol) < self.rtol else 1.0
        missed = weight * self.witnesses.effect(left, self.witnesses.squares)
        known = np.all(missed + rounded <= self.rtol / gain * size)
        if not known or self.witnesses.effect(left, self.witnesses.lengths) > loss_rtol(self.rtol) / gain * size.sum():
            return None
        return total.astype(np.float64)
