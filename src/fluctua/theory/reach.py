"""How S at one step is made of sources at the steps before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._arrays import AnyArray, Array
from ..problem.moments import mirror
from .made import Made
from .skeleton import Skeleton

__all__ = ["Reach"]


@dataclass(frozen=True)
class Reach:
    r"""S = D S(0) D + sum_t w_t R_p(t) R_q(t) G_pq(t): a few steps t with weights stand for all.

    Attributes
    ----------
    begun : ndarray, (r, r)
        S(0).
    drift : ndarray, (r,)
        D.
    responses : ndarray, (n, r)
        R.
    weights : ndarray, (n,)
        w.
    basis : ndarray, (n, nodes)
        What each node contributes to the source at each of the steps.
    skeleton : Skeleton or None
        What S is made by, in less time, to eight digits.
    """

    begun: Array
    drift: Array
    responses: AnyArray
    weights: Array
    basis: Array
    skeleton: Skeleton | None = None

    def covariance(self, noise: Array, shares: Array, felt: Sequence[AnyArray], added: Array) -> Array:
        """S, (r, r), under the source `noise` + sum_k a_k felt_k, with a_k at the nodes in `shares`, (nodes, m).

        What is `added` to the diagonal of the source at the nodes, (nodes, r), adds to the diagonal.
        """
        made = self.made(shares, begun=bool(self.begun.any()))
        out = mirror(made.matrix(self.begun, [noise, *felt], noise.dtype))
        np.fill_diagonal(out, np.diag(out) + self.adds(added))
        return out

    def adds(self, added: Array) -> Array:
        """What is added to S_pp, (r,), where so much is to the diagonal of the source at the nodes, (nodes, r)."""
        return np.asarray(np.einsum("pj,jp->p", self.flow, added))

    def made(self, shares: Array, *, begun: bool, warm: Array | None = None) -> Made:
        """S as a sum, from S(0) where it has `begun` with any, under the source C + sum_k a_k felt_k."""
        weights, count = (self.weights[:, None] * self._of_all(shares)).T, int(begun)
        if self.skeleton is None:
            carried, forms = self.responses, [np.diag(each) for each in weights]
        else:
            carried, forms = self.skeleton.carried, [(self.few * each[:, None]).T @ self.few for each in weights]
        still = np.zeros(len(self.drift)) if warm is None else warm
        return Made(carried, np.array(forms), np.ones(count), self.drift[None][:count], still)

    def _of_all(self, shares: Array) -> Array:
        """What C, one of it, and each state contribute to the source at each of the steps, (n, 1 + m)."""
        return np.concatenate([np.ones((len(self.weights), 1)), self.basis @ shares], axis=1)

    def told(self, forms: Array) -> Array:
        """What a unit of a source at each node adds to its forms by a skeleton, (k, L (L + 1)/2): (nodes, k)."""
        left, right = np.triu_indices(self.few.shape[1])
        products = (self.few[:, left] * self.few[:, right]) @ forms.T
        return np.asarray((self.weights[:, None] * self.basis).T @ products)

    @cached_property
    def few(self) -> AnyArray:
        """The responses of the skeleton's modes, (n, L)."""
        return self.responses if self.skeleton is None else self.responses[:, self.skeleton.chosen]

    @cached_property
    def flow(self) -> Array:
        """What the source's variance at each node adds to S_pp, (r, nodes)."""
        return np.asarray(self.basis.T @ self._squares).T

    @property
    def most(self) -> Array:
        """The same of errors of one sign at most."""
        return np.asarray(np.abs(self.basis).T @ self._squares).T

    @cached_property
    def _squares(self) -> Array:
        """What the source's variance at each step adds to S_pp, (n, r)."""
        return np.asarray(self.responses**2 * self.weights[:, None])

    @property
    def unit(self) -> Array:
        """What a constant unit of it adds, (r,)."""
        return np.asarray(self._squares.sum(axis=0))
