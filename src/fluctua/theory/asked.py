"""K of a few states, from which that of all others is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._arrays import AnyArray, Array
from ..problem.minimum import Minimum
from .witnesses import Witnesses

__all__ = ["Asked", "Node"]


@dataclass
class Node:
    """What is known of one step.

    Attributes
    ----------
    variances : ndarray, (r,)
        S_pp.
    seen : ndarray, (n + r,)
        What `Asked` sees of S and E V.
    bare : ndarray, (n + r,)
        The same without what the witnesses' own mean made: it moves with them, and S would be told from itself.
    state : ndarray, (r, r)
        S without it, in the precision of the inputs; below the diagonal it is not filled.
    """

    variances: Array
    seen: Array
    bare: Array
    state: AnyArray


class Asked:
    """States that all samples were asked for: what the witnesses saw of them, and K[S] + X(E V).

    Both are linear in (S, E V): a state that is a sum of these on the witnesses is one on all samples, but for a rest.

    Attributes
    ----------
    felt : list of ndarray, (r, r)
        K[S] + X(E V), in the precision of the inputs.
    telling : list of ndarray, (r, r)
        Q of the forms tr(Q S) that tell the shares: one for each state, of what is new in it.

    Notes
    -----
    Cost: 4 N r^2 flops a state.
    """

    def __init__(self, minimum: Minimum, witnesses: Witnesses) -> None:
        self.minimum, self.witnesses = minimum, witnesses
        self.felt: list[AnyArray] = []
        self._seen: list[Array] = []
        self._states: list[tuple[AnyArray, Array | None]] = []
        self._variances: list[Array] = []
        self.telling: list[AnyArray] = []
        self._triangle = np.zeros((0, 0))

    @property
    def variances(self) -> Array:
        """Diagonals of what is felt, (m, r)."""
        return np.array(self._variances).reshape(-1, self.minimum.problem.rank)

    @property
    def weights(self) -> Array:
        """What each number that is seen counts in telling states apart."""
        return np.concatenate([self.witnesses.weights, np.zeros(self.minimum.problem.rank)])

    def seen(self, covariance: Array, mean: Array | None) -> Array:
        """What the witnesses see of a state, and the diagonal of the mean gradient's product, (n + r,); linear."""
        minimum, a = self.minimum, self.minimum.problem.curvatures
        cross = 0.0 if mean is None else 2 * minimum.weight_decay * np.sum(minimum.mode_weights * mean, axis=0) * a
        return np.concatenate([self.witnesses.seen(covariance, mean), a**2 * np.diag(covariance) - cross])

    def seen_diagonal(self, variances: Array) -> Array:
        """The same of a diagonal S, (r,), without a mean."""
        return np.concatenate([self.witnesses.squares @ variances, self.minimum.problem.curvatures**2 * variances])

    def ask(self, covariance: Array, mean: Array | None) -> None:
        """Pass over all samples."""
        minimum, kind = self.minimum, self.minimum.problem.inputs.dtype
        still = minimum.squared_mean(np.zeros_like(covariance), None)
        felt = minimum.fed_back(covariance, mean) + still - minimum.squared_mean(covariance, mean)
        self.felt.append(felt.astype(kind))
        self._variances.append(np.diag(felt).copy())
        self._seen.append(self.seen(covariance, mean))
        self._states.append((covariance.astype(kind), mean))
        self._tell()

    def recalled(self, shares: Array) -> Array:
        """What the witnesses see of a sum of those asked, (n + r,)."""
        return np.asarray(shares @ np.array(self._seen)) if len(shares) else np.zeros(len(self.weights))

    def less(self, covariance: Array, mean: Array | None, shares: Array) -> tuple[Array, Array | None]:
        """(S, E V) and a sum of those asked; changed in place."""
        for share, (state, former) in zip(shares, self._states, strict=True):
            covariance += share * state
            if mean is not None and former is not None:
                mean += share * former
        return covariance, mean

    def _tell(self) -> None:
        """Of the states so far, an orthonormal basis on the witnesses, and the forms that are products with it."""
        root = np.sqrt(self.witnesses.weights)
        basis, self._triangle = np.linalg.qr((np.array(self._seen)[:, : len(root)] * root).T)
        self.telling.append(self.witnesses.scattered(root * basis[:, -1]))

    @property
    def told(self) -> Array:
        """How shares are sums of what the forms tell, (m, m)."""
        return np.asarray(np.linalg.inv(self._triangle))

    @property
    def telling_variances(self) -> Array:
        """The diagonals of the forms, (m, r)."""
        return np.array([np.diag(form) for form in self.telling], np.float64)

    def shares(self, seen: Array, more: Sequence[Array] | Array = ()) -> tuple[Array, Array, Array]:
        """Each of `seen`, (k, n + r), as a sum of those asked and of `more`, (k, m), and what that leaves out.

        That is q of the witnesses, (k, n), and the variance of the mean gradient's product, (k, r), which is known.
        """
        count, former = len(self.witnesses.weights), np.array([*self._seen, *more])
        shares, rests = self.witnesses.shares(seen[:, :count], former[:, :count] if len(former) else former)
        own = self.witnesses.mean(rests) - seen[:, count:] + (shares @ former[:, count:] if len(former) else 0)
        return shares, rests, own

    def rounding(self, shares: Array) -> Array:
        """What rounding of independent passes may leave in each mode, (k, r)."""
        return np.asarray(self.minimum.problem.precision * np.sqrt(shares**2 @ self.variances**2))
