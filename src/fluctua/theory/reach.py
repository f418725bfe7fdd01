"""How S at one step is made of sources at the steps before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._arrays import AnyArray, Array
from ..problem.moments import bands, mirrored
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
        out = mirrored(self.beside(self.still(noise), shares, felt))
        np.fill_diagonal(out, np.diag(out) + self.adds(added))
        return out

    def adds(self, added: Array) -> Array:
        """What is added to S_pp, (r,), where so much is to the diagonal of the source at the nodes, (nodes, r)."""
        return np.asarray(np.einsum("pj,jp->p", self.flow, added))

    def beside(self, still: AnyArray, shares: Array, felt: Sequence[AnyArray]) -> AnyArray:
        """S from `still`, what the start and a constant source make of it: its `bands`, in that precision."""
        out, kind = still.copy(), felt[0].dtype if felt else still.dtype
        pairs = [self._pairs(weights, kind) for weights in (self.weights[:, None] * (self.basis @ shares)).T]
        for band, right in bands(len(out)):
            for (before, after), each in zip(pairs, felt, strict=True):
                part = before[:, band].T @ after[:, right]
                part *= each[band, right]
                out[band, right] += part
        return out

    def still(self, noise: Array) -> Array:
        """S under the constant source `noise`, its `bands`, (r, r)."""
        out = np.zeros_like(self.begun)
        before, after = self._pairs(self.weights, np.dtype(np.float64))
        for band, right in bands(len(out)):
            out[band, right] = (before[:, band].T @ after[:, right]) * noise[band, right]
            out[band, right] += self.drift[band, None] * self.begun[band, right] * self.drift[right]
        return out

    def _pairs(self, weights: Array, kind: np.dtype[Any]) -> tuple[AnyArray, AnyArray]:
        """Two matrices whose product is sum_t weights_t R_p(t) R_q(t), (n, r) both or less."""
        if self.skeleton is None:
            return (self.responses * weights[:, None]).astype(kind), self.responses.astype(kind)
        carried = self.skeleton.carried
        return carried.astype(kind), ((self.few * weights[:, None]).T @ self.few @ carried).astype(kind)

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
