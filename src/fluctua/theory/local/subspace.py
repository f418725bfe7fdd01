r"""The local law in a subspace of a model's parameters: F1 with the curvature, noise and feedback found there.

About a minimum W* of any smooth loss, to second order in V = W - W*, one step of SGD on a batch is that of a quadratic
loss of each sample, with gradient g_i and Hessian H_i. In a subspace of steep directions U, a = U^T V (F87).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array, even

__all__ = ["Subspace"]


@dataclass(frozen=True, eq=False)
class Subspace:
    """The quadratic picture in k directions of curvature, a `Local` of `theory.source`; nothing of the model.

    Attributes
    ----------
    curvatures : ndarray, (k,)
        h_p > 0, largest first, weight decay included.
    noise : ndarray, (k, k)
        C, the covariance of the gradients of single samples at W*.
    hessians : ndarray, (m, k, k)
        U^T H_i U of all samples, or of some that were drawn without replacement, without the weight decay.
    population : int
        N.
    """

    curvatures: Array
    noise: Array
    hessians: Array
    population: int

    @property
    def precision(self) -> float:
        """Relative accuracy of the products over samples: they are of kept numbers, in double precision."""
        return 1e-12

    @cached_property
    def _centred(self) -> Array:
        """H_i less its mean, (m, k, k)."""
        return np.asarray(self.hessians - self.hessians.mean(axis=0))

    @property
    def _counted(self) -> float:
        """What makes a mean over the samples drawn an unbiased one of a covariance over all."""
        m, n = len(self.hessians), self.population
        return (n - 1) / n * m / max(m - 1, 1)

    def feedback(self, covariance: Array) -> Array:
        """K[S] = <H_i S H_i> - <H_i> S <H_i> (F87), (k, k): linear, its own adjoint, positive."""
        parts = self._centred @ covariance
        total = np.tensordot(parts, self._centred, axes=([0, 2], [0, 1]))
        return even(total * (self._counted / len(self.hessians)))

    def feedback_error(self, adjoint: Array, covariance: Array) -> float:
        """One standard error of tr(`adjoint` K[`covariance`]) by the samples drawn; 0 where they are all."""
        m = len(self.hessians)
        if m == self.population:
            return 0.0
        each = np.einsum("pq,iqr,rs,isp->i", adjoint, self._centred, covariance, self._centred, optimize=True)
        return float(np.std(each, ddof=1) * np.sqrt((1 - m / self.population) / m))
