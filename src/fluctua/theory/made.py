"""S as the sum that it is: small matrices in the place of large ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._arrays import AnyArray, Array, DType
from ..problem.moments import bands

__all__ = ["Made"]


@dataclass(frozen=True)
class Made:
    r"""S = sum_j v_j D_j S(0) D_j + sum_k (U^T M_k U) o G_k + diag(warm).

    Sums of such states are such states, and take no pass over elements of S.

    Attributes
    ----------
    carried : ndarray, (L, r)
        U.
    forms : ndarray, (1 + m, L, L)
        M_k, symmetric: of C, and of what states asked feel.
    weights : ndarray, (n,)
        v.
    drifts : ndarray, (n, r)
        D.
    warm : ndarray, (r,)
    """

    carried: AnyArray
    forms: Array
    weights: Array
    drifts: Array
    warm: Array

    @classmethod
    def sum(cls, shares: Sequence[float] | Array, parts: Sequence[Made]) -> Made:
        """Return the sum of some states times their shares, all of them with the same U."""
        forms = np.zeros((max(len(part.forms) for part in parts), *parts[0].forms.shape[1:]))
        for share, part in zip(shares, parts, strict=True):
            forms[: len(part.forms)] += share * part.forms
        weights = np.concatenate([share * part.weights for share, part in zip(shares, parts, strict=True)])
        warm = sum(share * part.warm for share, part in zip(shares, parts, strict=True))
        return cls(parts[0].carried, forms, weights, np.concatenate([part.drifts for part in parts]), np.asarray(warm))

    def matrix(self, begun: Array, sources: Sequence[AnyArray], kind: DType) -> AnyArray:
        """S, its `bands`, (r, r), from S(0) and the G_k; products are in the precision of each."""
        out = np.zeros(begun.shape, kind)
        if self.weights.size:
            _add_products(out, self.drifts, self.drifts * self.weights[:, None], begun)
        for form, source in zip(self.forms, sources, strict=False):
            _add_products(out, self.carried, form @ self.carried, source)
        np.einsum("ii->i", out)[:] += self.warm
        return out


def _add_products(out: AnyArray, before: AnyArray, after: AnyArray, source: AnyArray) -> None:
    """Add (before^T after) o source to the `bands` of `out`."""
    before, after = before.astype(source.dtype, copy=False), after.astype(source.dtype, copy=False)
    for band, right in bands(len(out)):
        part = before[:, band].T @ after[:, right]
        part *= source[band, right]
        out[band, right] += part
