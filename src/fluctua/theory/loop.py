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
        maps = np.array([reach.told(forms).reshape(-1, m, m) for reach in reaches]).transpose(0, 2, 1, 3)
        system = np.eye(nodes * m) - maps.reshape(nodes * m, nodes * m)
        return np.asarray(used + np.linalg.solve(system, (found - used + beside).ravel()).reshape(nodes, m))

    def _form(self, k: int, other: int) -> Array:
        """U (Q_k o K[S_other]) U^T, as a triangle."""
        if (k, other) not in self._forms:
            self._forms[k, other] = self.skeleton.form(self.asked.telling[k] * self.asked.felt[other])
        return self._forms[k, other]
