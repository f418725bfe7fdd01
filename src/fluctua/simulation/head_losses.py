"""The excess loss of many weights of a head at once: all of it, and its quadratic part."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._arrays import AnyArray, Array, DType
from ..problem.moments import BLOCK_ELEMENTS
from ..problem.softmax.optimum import HeadMinimum

__all__ = ["HeadLosses"]


class HeadLosses:
    r"""L(W* + V) - L(W*) over all samples, V of every replica, (R, c, d).

    The gradient is zero at W*: what is linear in V is left out, sample by sample, so that nothing cancels. With
    u = V x this is < log sum_a p_a exp(u_a) - p.u > + gamma/2 |V|^2.

    Notes
    -----
    Cost: 2 N c d flops a replica, and N exponentials for each class.
    """

    def __init__(self, minimum: HeadMinimum, dtype: DType) -> None:
        problem = minimum.problem
        self.rows, self.weight_decay, self.dtype = problem.inputs, minimum.weight_decay, dtype
        self.p, self.factors = minimum.probabilities, problem.factors
        self.free = problem.outputs < self.p.shape[1]  # of the first class the logit is 0

    def excess(self, v: AnyArray) -> Array:
        """Return the excess loss of each replica, (R,)."""
        return self._decayed(v) + sum(self._averaged(*each, _bent) for each in self._logits(v))

    def quadratic(self, v: AnyArray) -> Array:
        """Return 1/2 tr(V^T H V) of each replica, (R,)."""
        return self._decayed(v) + sum(self._averaged(*each, _curved) for each in self._logits(v))

    def _decayed(self, v: AnyArray) -> Array:
        return np.asarray(0.5 * self.weight_decay * np.einsum("rcd,rcd->r", v, v, dtype=np.float64))

    def _logits(self, v: AnyArray) -> Iterator[tuple[slice, Array]]:
        """Changes of the logits of all classes of some samples, (n, R, classes)."""
        replicas, outputs, features = v.shape
        height = max(64, BLOCK_ELEMENTS // (8 * max(features, replicas * self.p.shape[1])))
        turned = np.ascontiguousarray(v.reshape(-1, features).T)
        for first in range(0, len(self.p), height):
            rows = slice(first, first + height)
            u = (np.asarray(self.rows[rows], self.dtype) @ turned).reshape(-1, replicas, outputs).astype(np.float64)
            yield rows, np.pad(u, ((0, 0), (0, 0), (1, 0))) if self.free else u

    def _averaged(self, rows: slice, u: Array, of_each: object) -> Array:
        losses = of_each(self.p[rows, None, :], u)  # type: ignore[operator]
        weights = np.ones(len(losses)) if self.factors is None else self.factors[rows]
        return np.asarray(np.einsum("nr,n->r", losses, weights) / len(self.p))


def _bent(p: Array, u: Array) -> Array:
    """Log sum_a p_a exp(u_a) - p.u, (n, R)."""
    most = u.max(axis=-1)
    whole = np.einsum("nra,nra->nr", np.broadcast_to(p, u.shape), np.exp(u - most[..., None]))
    return np.asarray(np.log(whole) + most - np.einsum("nra,nra->nr", np.broadcast_to(p, u.shape), u))


def _curved(p: Array, u: Array) -> Array:
    """Half the variance of u under p, (n, R)."""
    mean = np.einsum("nra,nra->nr", np.broadcast_to(p, u.shape), u)
    return np.asarray(0.5 * np.einsum("nra,nra->nr", np.broadcast_to(p, u.shape), (u - mean[..., None]) ** 2))
