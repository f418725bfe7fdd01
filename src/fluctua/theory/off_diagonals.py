"""What comes back through K of pairs of modes that a source leaves out: only its variances are made up for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from .._arrays import AnyArray, Array
from .reach import Reach
from .skeleton import Skeleton
from .witnesses import Witnesses

__all__ = ["OffDiagonals"]

_PARTS, _SMALL = 3, 0.1  # of what moves in time, at most; of the largest, below which others are left out


class OffDiagonals:
    r"""The sum over pairs p != q of S_pq that a rest makes, and of what the loss feels of S_pq.

    With q_j(s) left of the node j, and the loss moved by l_i(s) per q of the witness s at the node i, the part

        sum_ij sum_(s != s') l_i(s) q_j(s') sum_(p != q) R_p R_q z_sp z_sq z_s'p z_s'q

    is the mean over pairs of different witnesses: one that counted twice would see its own noise. In time, l and q are
    sums of few; by a skeleton each pair of them is a small matrix, as in `Loop`.

    Parameters
    ----------
    witnesses : Witnesses
    skeleton : Skeleton

    Notes
    -----
    Cost: some fifteen products of n r^2 flops, n the witnesses.
    """

    def __init__(self, witnesses: Witnesses, skeleton: Skeleton) -> None:
        self.witnesses, self.skeleton = witnesses, skeleton

    def lost(self, reaches: Sequence[Reach], rests: Array, weights: Array, seen: Array) -> float:
        """Twice the loss that is added, of `rests`, (nodes, n), where it feels `seen`, (nodes, n), of the states.

        `weights`, (nodes,), say how much a rest at each node matters.
        """
        (made, parts), (felt, others) = _few(rests, weights), _few(seen, np.ones(len(seen)))
        sources, forms = [self._scattered(part) for part in parts], [self._scattered(other) for other in others]
        pairs = zip(product(parts, others), product(sources, forms), strict=True)
        told = np.array([self._form(left * right, source * form) for (left, right), (source, form) in pairs])
        counts = np.einsum("jb,ia->ijba", made, felt).reshape(len(reaches), len(reaches), -1)
        return float(sum(np.vdot(reach.told(told), count) for reach, count in zip(reaches, counts, strict=True)))

    def _scattered(self, values: Array, power: int = 1) -> AnyArray:
        """Their mean product with (z z^T)^power, element by element, summed as often as the power says."""
        return self.witnesses.scattered(values * (self.witnesses.weights / len(self.witnesses.weights)) ** power, power)

    def _form(self, values: Array, whole: AnyArray) -> Array:
        """What pairs of modes make of a product of two forms, less that of each witness with itself."""
        whole = whole - self._scattered(values, 2)
        np.fill_diagonal(whole, 0.0)
        return self.skeleton.form(whole)


def _few(values: Array, weights: Array) -> tuple[Array, AnyArray]:
    """Shares, (nodes, k), of a few vectors, (k, n), of which `values`, (nodes, n), are sums, but for small parts."""
    rows = values * weights[:, None]
    sizes, vectors = np.linalg.eigh(rows @ rows.T)
    vectors = vectors[:, sizes > _SMALL**2 * sizes[-1]][:, -_PARTS:]
    shares = np.divide(vectors, weights[:, None], out=np.zeros_like(vectors), where=weights[:, None] > 0)
    return shares, vectors.T @ rows
