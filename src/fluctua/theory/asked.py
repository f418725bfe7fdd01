"""K of a few states, from which that of all others is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._arrays import AnyArray, Array
from ..problem.minimum import Minimum
from ..problem.moments import mirrored
from .made import Made
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
    made : Made
        S without it.
    """

    variances: Array
    seen: Array
    bare: Array
    made: Made


class Asked:
    """States that all samples were asked for: what the witnesses saw of them, and K[S] + X(E V).

    Both are linear in (S, E V): a state that is a sum of these on the witnesses is one on all samples, but for a rest.

    Attributes
    ----------
    felt : list of ndarray, (r, r)
        K[S] + X(E V), in the precision of the inputs.
    telling : list of ndarray, (r, r)
        Q of the forms tr(Q S) that tell the shares: one for each state, of what is new in it.

    Parameters
    ----------
    minimum : Minimum
    witnesses : Witnesses
    begun : ndarray, (r, r)
        S(0).

    Notes
    -----
    Cost: 4 N r^2 flops a state.
    """

    def __init__(self, minimum: Minimum, witnesses: Witnesses, begun: Array) -> None:
        self.minimum, self.witnesses, self.begun = minimum, witnesses, begun
        self.felt: list[AnyArray] = []
        self._seen: list[Array] = []
        self._states: list[tuple[Made, Array | None]] = []
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

    def state(self, made: Made) -> AnyArray:
        """S of a sum, its `bands`, (r, r), in the precision of the inputs."""
        return made.matrix(self.begun, [self.minimum.noise, *self.felt], self.minimum.problem.inputs.dtype)

    def ask(self, made: Made, mean: Array | None) -> None:
        """Pass over all samples."""
        minimum, covariance = self.minimum, mirrored(self.state(made))
        felt = minimum.fed_back(covariance, mean)
        felt -= minimum.squared_mean(covariance, mean)
        if minimum.weight_decay:
            felt += minimum.squared_mean(np.zeros_like(covariance), None)
        self.felt.append(felt.astype(minimum.problem.inputs.dtype))
        self._variances.append(np.diag(felt).copy())
        self._seen.append(self.seen(covariance, mean))
        self._states.append((made, mean))
        self._tell()

    def recalled(self, shares: Array) -> Array:
        """What the witnesses see of a sum of those asked, (n + r,)."""
        return np.asarray(shares @ np.array(self._seen)) if len(shares) else np.zeros(len(self.weights))

    def less(self, made: Made, mean: Array | None, shares: Array) -> tuple[Made, Array | None]:
        """(S, E V) and a sum of those asked; E V is changed in place."""
        for share, (_, former) in zip(shares, self._states, strict=True):
            if mean is not None and former is not None:
                mean += share * former
        return Made.sum([1.0, *shares], [made, *(state for state, _ in self._states)]), mean

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
