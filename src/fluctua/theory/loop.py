"""What a change of the shares of states adds to the shares once it has come back through K, again and again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._arrays import Array
from .allowance import Flows
from .asked import Asked
from .reach import Reach
from .skeleton import Skeleton

__all__ = ["Loop"]


class Loop:
    r"""The linear map from the shares a_k at the nodes to what the witnesses tell of them, and its fixed point.

    A share is a form of S, tr(Q_k' S) with Q_k' = Z^T diag(c_k') Z over the witnesses. So one of K[S_k] at time t adds

        tr(Q_k' (R R^T o K[S_k])) = R^T (Q_k' o K[S_k]) R = R_L^T U (Q_k' o K[S_k]) U^T R_L

    to that at a later node, R the responses and R = U^T R_L by a skeleton: some products of small matrices.

    Parameters
    ----------
    asked : Asked
    skeleton : Skeleton

    Notes
    -----
    Cost: 2 m^2 L r^2 flops for m states once; for each fixed point m^2 L^2 Q a node, Q as in `Reach`, and (m nodes)^3.
    """

    def __init__(self, asked: Asked, skeleton: Skeleton) -> None:
        self.asked, self.skeleton = asked, skeleton
        self._forms: dict[tuple[int, int], Array] = {}

    def closed(self, reaches: Sequence[Reach], flows: Flows, used: Array, found: Array, added: Array) -> Array:
        """The shares, (nodes, m), that come back as they are.

        Those in use, with `used` zero where a state was not yet asked, gave those `found`; of what is `added` to the
        variances of the source, (nodes, r), a change comes beside.
        """
        nodes, m = found.shape
        if not m:
            return found
        told = self.asked.told
        beside = np.einsum("ipj,jp->ip", flows.signed, added) @ self.asked.telling_variances.T @ told.T
        forms = np.array([[self._form(k, other) for other in range(m)] for k in range(m)])
        forms = np.tensordot(told, forms, 1).reshape(m * m, -1)
        maps = np.array([self._map(reach, forms).reshape(-1, m, m) for reach in reaches]).transpose(0, 2, 1, 3)
        system = np.eye(nodes * m) - maps.reshape(nodes * m, nodes * m)
        return np.asarray(used + np.linalg.solve(system, (found - used + beside).ravel()).reshape(nodes, m))

    def _map(self, reach: Reach, forms: Array) -> Array:
        """What shares at each node add to what `forms`, (k, L (L + 1)/2), tell at one, (nodes, k)."""
        rows, (left, right) = reach.few, np.triu_indices(len(self.skeleton.chosen))
        products = (rows[:, left] * rows[:, right]) @ forms.T
        return np.asarray((reach.weights[:, None] * reach.basis).T @ products)

    def _form(self, k: int, other: int) -> Array:
        """U (Q_k o K[S_other]) U^T, its triangle with what is off the diagonal twice."""
        if (k, other) not in self._forms:
            carried = self.skeleton.carried.astype(self.asked.felt[other].dtype)
            whole = carried @ (self.asked.telling[k] * self.asked.felt[other]) @ carried.T
            whole = (2.0 - np.eye(len(whole))) * whole
            self._forms[k, other] = whole[np.triu_indices(len(whole))]
        return self._forms[k, other]
