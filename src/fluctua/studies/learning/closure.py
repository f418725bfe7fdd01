r"""The Gaussian closure of a network with tanh: mean and covariance of the activity, as if its law were normal.

mu = E f(h) and the balance of the linear network with the mean slopes G = E f'(h), h normal with mean
g (W mu + gamma u) and variance g^2 (W S W^T)_ii. Learning moves all of them at once; their derivatives obey the same
equations, linearised.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array
from ...errors import NotConverged
from .lyapunov import Balanced
from .network import RateNetwork

__all__ = ["Closed", "closed"]

_NODES, _ROUNDS, _ENOUGH = 64, 5000, 1e-13
_BEGIN = 0.9  # of the slope at which rest ends: where the slopes begin
_LONGER, _SHORTEST = 1.3, 0.02  # how steps towards the new slopes grow, and the shortest of them
_TANGENT = 1e-12  # relative residual of a derivative


@dataclass(frozen=True)
class Closed:
    """Mean, covariance and slopes of a network under a constant input (F119).

    Attributes
    ----------
    net : RateNetwork
    mean : ndarray, (n,)
    covariance : ndarray, (n, n)
    slopes : ndarray, (3, n)
        Means of f', f'' and f''' at each neuron.
    """

    net: RateNetwork
    mean: Array
    covariance: Array
    slopes: Array

    @property
    def gains(self) -> Array:
        """G, (n,)."""
        return np.asarray(self.slopes[0])

    @cached_property
    def balanced(self) -> Balanced:
        """The balance with these slopes."""
        return self.net.balanced(self.gains)

    def moved(self, given: Array, target: Array) -> Array:
        """Return d mu/d eps, (n,), for W + eps xi u^T at eps = 0: the gains move along (F119).

        Parameters
        ----------
        given, target : ndarray, (n,)
            u and xi.

        Returns
        -------
        ndarray, (n,)
            In units of the activity.
        """
        from scipy.sparse.linalg import LinearOperator, gmres

        n = self.net.neurons
        felt, still = self._felt(given, target), np.zeros(n)
        begun = self._variance(still, felt, given, target)
        operator = LinearOperator(
            (n, n), matvec=lambda v: v - self._variance(np.ravel(v), 0 * felt, 0 * given, target), dtype=np.float64
        )
        found, failed = gmres(operator, begun, rtol=_TANGENT, atol=0.0, restart=n, maxiter=4)
        if failed:
            raise NotConverged("the derivative of the Gaussian closure", 4 * n, float("nan"), _TANGENT, _ADVICE)
        argument = self._argument(found, felt)
        return np.asarray(self.slopes[0] * argument + 0.5 * self.slopes[1] * found)

    def _felt(self, given: Array, target: Array) -> Array:
        """What the new coupling adds to the argument of f while nothing moves, (n,)."""
        return np.asarray(self.net.gain * target * (given @ self.mean))

    def _argument(self, spread: Array, felt: Array) -> Array:
        """Change of the mean argument of f, (n,), where its variance changes by `spread`."""
        net = self.net
        heard = net.gain * net.coupling
        return np.linalg.solve(
            np.eye(net.neurons) - heard * self.slopes[0], felt + heard @ (0.5 * self.slopes[1] * spread)
        )

    def _variance(self, spread: Array, felt: Array, given: Array, target: Array) -> Array:
        """Change of the variances of the arguments that follows from a change `spread` of them, (n,); linear."""
        net, w = self.net, self.net.coupling
        gains = self.slopes[1] * self._argument(spread, felt) + 0.5 * self.slopes[2] * spread
        seen = self.covariance @ self.balanced.step.T
        half = net.gain * (gains[:, None] * (w @ seen) + np.multiply.outer(self.gains * target, given @ seen))
        moved = self.balanced.solved(half + half.T)
        own = 2 * target * (given @ self.covariance @ w.T)
        return np.asarray(net.gain**2 * (own + np.einsum("ij,ij->i", w @ moved, w)))


_ADVICE = "Near the gain at which the silent state ends the closure has no answer: use a smaller gain or more noise."


def closed(net: RateNetwork, given: Array | None = None) -> Closed:
    """Return the closure's stationary state under an input, (n,); without one, the spontaneous state."""
    pushed = np.zeros(net.neurons) if given is None else net.gain * net.input_gain * given
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights = weights / weights.sum()
    mean, gains = np.zeros(net.neurons), np.full(net.neurons, min(1.0, _BEGIN * net.largest_gain / net.gain))
    share, change = 1.0, np.inf
    covariance = _spontaneous(net, gains)
    for _ in range(_ROUNDS):
        value, slopes = _averaged(net, pushed, mean, covariance, nodes, weights)
        before, change = change, float(max(np.abs(value - mean).max(), np.abs(slopes[0] - gains).max()))
        if change < _ENOUGH:
            return Closed(net, mean, covariance, slopes)
        share = max(0.5 * share, _SHORTEST) if change > before else min(1.0, _LONGER * share)
        share, covariance = _nearer(net, gains, slopes[0], share)
        mean, gains = mean + share * (value - mean), gains + share * (slopes[0] - gains)
    raise NotConverged("the Gaussian closure", _ROUNDS, change, _ENOUGH, _ADVICE)


def _nearer(net: RateNetwork, gains: Array, slopes: Array, share: float) -> tuple[float, Array]:
    """Return by how much of the way to the new slopes the state is still one of rest, and its covariance."""
    while share > _SHORTEST**2:
        try:
            return share, _spontaneous(net, gains + share * (slopes - gains))
        except NotConverged:
            share *= 0.5
    raise NotConverged("the Gaussian closure", _ROUNDS, share, _ENOUGH, _ADVICE)


def _spontaneous(net: RateNetwork, gains: Array) -> Array:
    return net.balanced(gains).solved(2 * net.noise * np.eye(net.neurons))


def _averaged(
    net: RateNetwork, pushed: Array, mean: Array, covariance: Array, nodes: Array, weights: Array
) -> tuple[Array, Array]:
    """Return E f(h), (n,), and the means of its first three derivatives, (3, n)."""
    w = net.coupling
    spread = net.gain**2 * np.einsum("ij,ij->i", w @ covariance, w)
    at = np.tanh((net.gain * (w @ mean) + pushed)[:, None] + np.sqrt(np.maximum(spread, 0.0))[:, None] * nodes)
    slope = 1 - at**2
    derivatives = (slope, -2 * at * slope, slope * (6 * at**2 - 2))
    return at @ weights, np.array([each @ weights for each in derivatives])
