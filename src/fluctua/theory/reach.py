"""How S at one step is made of sources at the steps before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._arrays import AnyArray, Array

__all__ = ["Reach"]

_BANDS = 4  # of rows: what is below the diagonal is not computed


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
    """

    begun: Array
    drift: Array
    responses: AnyArray
    weights: Array
    basis: Array

    def covariance(self, noise: Array, shares: Array, felt: Sequence[AnyArray], added: Array) -> Array:
        """S, (r, r), under the source `noise` + sum_k a_k felt_k, with a_k at the nodes in `shares`, (nodes, m).

        What is `added` to the diagonal of the source at the nodes, (nodes, r), adds to the diagonal.
        """
        return self.beside(self.still(noise), shares, felt, added)

    def beside(self, still: AnyArray, shares: Array, felt: Sequence[AnyArray], added: Array) -> Array:
        """The same from `still`, what the start and a constant source make of it."""
        r, out = len(self.drift), np.array(still, np.float64)
        kind = felt[0].dtype if felt else np.dtype(np.float64)
        rows, parts = self.responses.astype(kind), (self.weights[:, None] * (self.basis @ shares)).astype(kind)
        for band, right in _bands(r):
            part = np.zeros((len(range(r)[band]), r - band.start), kind)
            for weights, each in zip(parts.T, felt, strict=True):
                part += ((rows[:, band] * weights[:, None]).T @ rows[:, right]) * each[band, right]
            out[band, right] += part
            out[right, band] = out[band, right].T
        np.fill_diagonal(out, np.diag(out) + np.einsum("pj,jp->p", self.flow, added))
        return out

    def still(self, noise: Array) -> Array:
        """S under the constant source `noise`, (r, r)."""
        r, weighed, out = len(self.drift), self.responses * self.weights[:, None], np.empty_like(self.begun)
        for band, right in _bands(r):
            found = (weighed[:, band].T @ self.responses[:, right]) * noise[band, right]
            out[band, right] = found + self.drift[band, None] * self.begun[band, right] * self.drift[right]
            out[right, band] = out[band, right].T
        return out

    @cached_property
    def flow(self) -> Array:
        """What the source's variance at each node adds to S_pp, (r, nodes)."""
        return np.asarray((self.responses**2 * self.weights[:, None]).T @ self.basis)

    @property
    def most(self) -> Array:
        """The same of errors of one sign at most."""
        return np.asarray((self.responses**2 * self.weights[:, None]).T @ np.abs(self.basis))

    @property
    def unit(self) -> Array:
        """What a constant unit of it adds, (r,)."""
        return np.asarray(self.weights @ self.responses**2)


def _bands(r: int) -> Iterator[tuple[slice, slice]]:
    """Rows of a symmetric matrix, and columns from its diagonal on."""
    height = -(-r // _BANDS)
    yield from ((slice(top, min(top + height, r)), slice(top, None)) for top in range(0, r, height))
