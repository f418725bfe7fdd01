"""Some samples that tell what is new in a state, and how much leaving it out may matter."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .._arrays import AnyArray, Array, Ints
from ..problem.minimum import Minimum
from ..problem.moments import symmetric_form

__all__ = ["Witnesses"]

_ERRORS = 2.0  # standard errors that an effect may be larger than it is on the witnesses


class Witnesses:
    r"""Samples on which q_i = z_i^T S z_i + 2 r_i . E V z_i is known of every state.

    What a pass over all samples finds, <q z z^T>, is linear in q, and q in (S, E V). Half of the witnesses are drawn
    with their leverage x^T H^-1 x, so that no mode goes unseen, and half evenly. What a part of q adds to a mean over
    all samples is bounded by its mean over the witnesses and some standard errors: calibrated, not proved.

    Parameters
    ----------
    minimum : Minimum
    count : int
    """

    def __init__(self, minimum: Minimum, count: int) -> None:
        self.minimum, self.count = minimum, count

    @cached_property
    def _chosen(self) -> tuple[AnyArray, AnyArray, Array]:
        """Rows, residuals and weights, in expectation 1."""
        problem = self.minimum.problem
        z, h = problem.projections, self.minimum.curvatures
        leverage = np.concatenate([np.square(z[rows], dtype=np.float64) @ (1 / h) for rows in problem.blocks(len(h))])
        chance = 0.5 / len(z) + 0.5 * leverage / leverage.sum()
        chosen = _spaced(chance, min(self.count, len(z)))
        weights, importance = 1 / (len(z) * chance[chosen]), problem.importance
        return (
            z[chosen],
            self.minimum.residuals[chosen],
            weights if importance is None else weights * importance[chosen],
        )

    @property
    def weights(self) -> Array:
        """What each counts in a mean, (n,)."""
        return self._chosen[2]

    def seen(self, covariance: Array, mean: Array | None) -> Array:
        """Q of a state, (n,)."""
        z, residuals, _ = self._chosen
        out = symmetric_form(z, covariance)
        if mean is not None:
            out += 2 * np.einsum("ij,ij->i", z @ mean.T.astype(z.dtype), residuals)
        return out

    def scattered(self, weights: Array, power: int = 1) -> AnyArray:
        """Z^T diag(weights) Z, the form whose trace with S is the sum of q so weighed, (r, r); or of powers of Z."""
        z = self._chosen[0] ** power
        return np.asarray((z * weights[:, None].astype(z.dtype)).T @ z)

    def shares(self, seen: Array, former: Array) -> tuple[Array, Array]:
        """The sums of `former`, (m, n), that come nearest to each of `seen`, (k, n): (k, m), and what they leave."""
        if not len(former):
            return np.zeros((len(seen), 0)), seen
        root = np.sqrt(self.weights)
        sizes = np.maximum(np.linalg.norm(former * root, axis=1), np.finfo(float).tiny)
        found = np.linalg.lstsq((former * root).T / sizes, (seen * root).T, rcond=1e-10)[0]
        shares = found.T / sizes
        return shares, seen - shares @ former

    def mean(self, left: Array) -> Array:
        """What q of `left`, (k, n), adds to the variance of each mode, as the witnesses know it, (k, r)."""
        return np.asarray((left * self.weights) @ self.squares / len(self.weights))

    def effect(self, left: Array, squares: Array, errors: float = _ERRORS) -> Array:
        """How far that mean over `squares`, (n, r) or (n,), of `left`, (..., n), is off at most, (..., r) or (...)."""
        weighted = left * self.weights
        return self._at_most(weighted @ squares, weighted**2 @ squares**2, errors)

    def effect_each(self, left: Array, squares: Array, errors: float = _ERRORS) -> Array:
        """The same of each column of `left` on its own squares, (n, r) both: (r,)."""
        each = left * squares * self.weights[:, None]
        return self._at_most(each.sum(axis=0), np.einsum("ij,ij->j", each, each), errors)

    def _at_most(self, mean: Array, square: Array, errors: float) -> Array:
        count = len(self.weights)
        return np.asarray(errors * np.sqrt(np.maximum(square - mean**2 / count, 0))) / count

    @cached_property
    def squares(self) -> Array:
        """Z_p^2, (n, r)."""
        return np.square(self._chosen[0], dtype=np.float64)

    @cached_property
    def lengths(self) -> Array:
        """|z|^2, (n,)."""
        return np.asarray(self.squares.sum(axis=1))


def _spaced(chance: Array, count: int) -> Ints:
    """Return `count` indices, each as often as its `chance` says, at even distances of the sum of chances."""
    order = np.argsort(np.random.default_rng(0).random(len(chance)))  # whatever order the data are in
    places = (np.arange(count) + 0.5) / count
    reached = np.cumsum(chance[order])
    return np.asarray(order[np.searchsorted(reached / reached[-1], places)])
