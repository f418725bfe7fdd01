"""The fluctuation source of the states of one march, with a pass over the samples only for what is new in a state."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .._arrays import AnyArray, Array, Ints
from ..problem.moments import quadratic_form
from .control import loss_rtol
from .source import Source

__all__ = ["SpannedSource", "recalling"]

_WITNESSES = 2048  # samples that tell what is new
_LARGE = 1e9  # N r^2, below which a pass costs no more than telling; and fewer samples than this many times witnesses:
_MANY = 4
_FINEST = 1e-9  # accuracy beyond which every state is asked of all samples
_ERRORS = 2.0  # standard errors that the effect of what is left out may be larger than it is on the witnesses
_LEFT = 1 / 3  # weight of what is left out of a mode where the loss is held to more; elsewhere such errors add up
_LARGEST_GAIN = 100.0  # as in `control`


def recalling(source: Source, rtol: float) -> Source | SpannedSource:
    """Return a source that recalls former states where passes over the samples are dear, or the source itself."""
    problem = source.minimum.problem
    many = problem.samples >= _MANY * _WITNESSES and problem.samples * float(problem.rank) ** 2 >= _LARGE
    return SpannedSource(source, max(rtol, 10 * problem.precision)) if rtol >= _FINEST and many else source


class SpannedSource:
    r"""kappa (C + K[S] + X(E V)) of states that are nearly sums of those asked for before.

    What a pass finds, <q z z^T> with q_i = z_i^T S z_i + 2 r_i . E V z_i, is linear in (S, E V). Some samples, the
    *witnesses*, tell q of a new state as the sum of former ones that comes nearest, and a rest. In mode p the rest adds
    <q z_p^2>; its mean over the witnesses, and two standard errors of that mean, bound what is left out. Where it is
    more than `rtol` of the source in any mode, or of all modes together more than the loss may be off by, over the gain
    of an error through K, all samples are asked. Half of the
    witnesses are drawn with their leverage x^T H^-1 x, so that no mode goes unseen, and half evenly.

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
        decay = minimum.weight_decay * minimum.mode_weights
        self._constant = minimum.noise + decay.T @ decay
        self._seen: list[Array] = []
        self._found: list[AnyArray] = []

    def at(self, covariance: Array, mean: Array | None = None) -> Array:
        """Return kappa (C + K[S] + X(E V)), (r, r), to within what `rtol` allows."""
        if not np.isfinite(covariance).all():
            return self.source.at(covariance, mean)
        rest = self._constant - self.minimum.squared_mean(covariance, mean)
        seen = self._witnessed(covariance, mean)
        felt = self._recalled(seen, rest)
        if felt is None:
            felt = self.minimum.fed_back(covariance, mean)
            self.passes += 1
            self._seen.append(seen)
            self._found.append(felt.astype(self.problem.inputs.dtype))
        return np.asarray(self.source.kappa * (felt + rest))

    def _witnessed(self, covariance: Array, mean: Array | None) -> Array:
        """Q of the witnesses, (n,)."""
        z, residuals, _ = self._witnesses
        out = quadratic_form(z, covariance)
        if mean is not None:
            out += 2 * np.einsum("ij,ij->i", z @ mean.T.astype(z.dtype), residuals)
        return out

    def _recalled(self, seen: Array, rest: Array) -> Array | None:
        """<q z z^T> of a sum of former states, (r, r), or None where that may leave too much out."""
        if not self._seen:
            return None
        shares, left = self._shares(seen)
        total = np.zeros(rest.shape, self.problem.inputs.dtype)
        for share, found in zip(shares, self._found, strict=True):
            total += self.problem.inputs.dtype.type(share) * found
        size = np.abs(np.diag(total) + np.diag(rest))
        gain = np.clip(size.sum() / np.abs(np.diag(self.minimum.noise)).sum(), 1.0, _LARGEST_GAIN)
        sizes = np.array([np.diag(found) for found in self._found])
        rounded = self.problem.precision * np.sqrt(shares**2 @ sizes**2)
        weight = _LEFT if loss_rtol(self.rtol) < self.rtol else 1.0
        known = np.all(weight * self._left_out(left, self._squares) + rounded <= self.rtol / gain * size)
        if not known or self._left_out(left, self._lengths) > loss_rtol(self.rtol) / gain * size.sum():
            return None
        return total.astype(np.float64)

    def _shares(self, seen: Array) -> tuple[Array, Array]:
        """The sum of former states that comes nearest, (m,), and what it leaves of q, (n,)."""
        root, former = np.sqrt(self._witnesses[2]), np.array(self._seen)
        sizes = np.maximum(np.linalg.norm(former * root, axis=1), np.finfo(float).tiny)
        shares = np.linalg.lstsq((former * root).T / sizes, seen * root, rcond=1e-10)[0] / sizes
        return shares, seen - shares @ former

    def _left_out(self, left: Array, squares: Array) -> Array:
        """What q of `left` adds to the mean of `squares` at most: its mean and two standard errors."""
        weighted = left * self._witnesses[2]
        mean, square = weighted @ squares, weighted**2 @ squares**2
        count = len(left)
        return np.asarray(np.abs(mean) + _ERRORS * np.sqrt(np.maximum(square - mean**2 / count, 0))) / count

    @cached_property
    def _witnesses(self) -> tuple[AnyArray, AnyArray, Array]:
        """Rows, residuals and weights of the witnesses, in expectation 1."""
        z, h = self.problem.projections, self.minimum.curvatures
        leverage = np.einsum("ij,ij,j->i", z, z, 1 / h, dtype=np.float64)
        chance = 0.5 / len(z) + 0.5 * leverage / leverage.sum()
        chosen = _spaced(chance, min(_WITNESSES, len(z)))
        weights = 1 / (len(z) * chance[chosen])
        importance = self.problem.importance
        return (
            z[chosen],
            self.minimum.residuals[chosen],
            weights if importance is None else weights * importance[chosen],
        )

    @cached_property
    def _squares(self) -> Array:
        """Z_p^2 of the witnesses, (n, r)."""
        return np.square(self._witnesses[0], dtype=np.float64)

    @cached_property
    def _lengths(self) -> Array:
        """|z|^2 of the witnesses, (n,)."""
        return np.asarray(self._squares.sum(axis=1))


def _spaced(chance: Array, count: int) -> Ints:
    """Return `count` indices, each as often as its `chance` says, at even distances of the sum of chances."""
    order = np.argsort(np.random.default_rng(0).random(len(chance)))  # whatever order the data are in
    places = (np.arange(count) + 0.5) / count
    reached = np.cumsum(chance[order])
    return np.asarray(order[np.searchsorted(reached / reached[-1], places)])
