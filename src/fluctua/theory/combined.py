"""Sums of the states of some nodes, less what was asked for before: what all samples are asked for next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .._arrays import Array
from .asked import Asked
from .made import Made

__all__ = ["Combined"]

_NEW = 1e-9  # of a sum of nodes: what is new in it, below which it is rounding


class Combined:
    """States that are to be asked, each a sum of those of nodes without what former ones know of it.

    What is left of a sum is asked itself, and not the nodes: it is small, and rounding is small beside it.

    Parameters
    ----------
    asked : Asked
    bare : ndarray, (nodes, n + r)
        What `Asked` sees of each node.

    Attributes
    ----------
    seen : ndarray, (k, n + r)
        The same of those picked.
    """

    def __init__(self, asked: Asked, bare: Array) -> None:
        self.asked, self.bare = asked, bare
        self.seen = np.zeros((0, bare.shape[1]))
        self._least = max(_NEW, asked.minimum.problem.precision)
        self._nodes, self._former = np.zeros((0, len(bare))), np.zeros((0, len(asked.felt)))

    def pick(self, matter: Array, rests: Array) -> bool:
        """Pick the sum of nodes that is most of what `matter`, (k, nodes), makes of the `rests`, (nodes, n).

        What is largest of that counts more: it is weighed by its own size. Return whether there was any that is new:
        what the witnesses' mean adds to the rests is no state's.
        """
        rests = rests * np.sqrt(self.asked.witnesses.weights)
        products = rests @ rests.T
        sizes = np.sqrt(np.maximum(np.einsum("ki,ij,kj->k", matter, products, matter, optimize=True), 0.0))
        rows = matter * (sizes / max(sizes.max(), np.finfo(float).tiny))[:, None]
        values, vectors = np.linalg.eigh(rows.T @ rows)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        leading = root @ np.linalg.eigh(root @ products @ root)[1][:, -1]
        leading /= max(np.abs(leading).max(), np.finfo(float).tiny)
        seen = leading @ self.bare
        (shares,), _, _ = self.asked.shares(seen[None], self.seen)
        old, new = shares[: len(self.asked.felt)], shares[len(self.asked.felt) :]
        left, root = seen - self.asked.recalled(old) - new @ self.seen, np.sqrt(self.asked.weights)
        if not np.linalg.norm(left * root) > self._least * np.linalg.norm(seen * root):
            return False
        self.seen = np.vstack([self.seen, left])
        self._former = np.vstack([self._former, -old - new @ self._former])
        self._nodes = np.vstack([self._nodes, leading - new @ self._nodes])
        return True

    def states(self, nodes: Sequence[Made], means: Sequence[Array | None]) -> Iterator[tuple[Made, Array | None]]:
        """Yield (S, E V) of each that was picked, from S and E V at the nodes."""
        for shares, former in zip(self._nodes, self._former, strict=True):
            mean = None if means[0] is None else np.tensordot(shares, np.array(means), 1)
            yield self.asked.less(Made.sum(shares, nodes), mean, former)
