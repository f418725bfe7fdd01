"""Responses of all modes as sums of those of a few modes: they are smooth functions of the curvature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._arrays import AnyArray, Array, Ints

__all__ = ["Skeleton"]

_LEFT = 1e-8  # of the size of any mode's responses: what the sums leave out
_BEGUN, _SPARE = 64, 8  # random sums of responses that tell which modes to choose; more of them than are chosen


@dataclass(frozen=True)
class Skeleton:
    """An interpolative decomposition, R_p = sum_l R_l carried_lp.

    Attributes
    ----------
    chosen : ndarray, (L,)
        Modes.
    carried : ndarray, (L, r)
        What each contributes to the responses of every mode.
    """

    chosen: Ints
    carried: Array

    def form(self, matrix: AnyArray) -> Array:
        """U M U^T, its triangle with what is off the diagonal twice, U being `carried`; (L (L + 1)/2,)."""
        carried = self.carried.astype(matrix.dtype)
        whole = carried @ matrix @ carried.T
        whole = (2.0 - np.eye(len(whole))) * whole
        return np.asarray(whole[np.triu_indices(len(whole))])

    @classmethod
    def of(cls, responses: Sequence[Array]) -> Skeleton:
        """Return that of all of these, (n, r) each; sizes within a mode are compared."""
        from scipy.linalg import qr

        sizes = np.sqrt(np.sum([np.einsum("np,np->p", part, part) for part in responses], axis=0))
        sizes = np.where(sizes > 0, sizes, 1.0)
        rng, count, r = np.random.default_rng(0), _BEGUN, len(sizes)
        while True:
            sums = np.zeros((min(count, r), r))
            for part in responses:
                sums += rng.standard_normal((len(sums), len(part))) @ (part / sizes)
            triangle, order = qr(sums, mode="r", pivoting=True)
            falls = np.abs(np.diag(triangle))
            chosen = int(np.count_nonzero(falls > _LEFT * falls[0]))
            if len(sums) == r or chosen + _SPARE <= len(sums):
                return cls._spanned(np.asarray(triangle), np.asarray(order, np.int64), chosen, sizes)
            count *= 2

    @classmethod
    def _spanned(cls, triangle: Array, order: Ints, chosen: int, sizes: Array) -> Skeleton:
        from scipy.linalg import solve_triangular

        carried = np.zeros((chosen, len(order)))
        carried[:, order[:chosen]] = np.eye(chosen)
        carried[:, order[chosen:]] = solve_triangular(triangle[:chosen, :chosen], triangle[:chosen, chosen:])
        return cls(order[:chosen], carried / sizes[order[:chosen], None] * sizes)
