r"""The Gaussian closure: H, C and the gradient averaged over V ~ N(m, S) instead of expanded about W* (F77).

Stein's identity makes the drift exact for a Gaussian, E[(V - m) grad^T] = S E[H(W* + V)]. Third cumulants are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..._arrays import Array, standard_error
from ...errors import NotConverged
from ...kernels.constant import Kernel
from ...problem.softmax.descent import Place
from ...problem.softmax.picture import Picture
from ...problem.softmax.sums import scattered
from ..fixed_points import NoStationaryState

__all__ = ["Closure", "Gaussian"]

_PAIRS = 24  # of antithetic draws, the same in every round
_ROUNDS, _FEWEST = 40, 3
_RTOL = 1e-4  # of the excess loss, between two rounds


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian law of V in the modes of H at W*.

    Attributes
    ----------
    covariance : ndarray, (r, r)
        About the mean.
    mean : ndarray, (r,)
    excess_loss : float
    error : float
        One standard error of it, of the draws.
    """

    covariance: Array
    mean: Array
    excess_loss: float
    error: float


@dataclass(frozen=True)
class Closure:
    """The balance of averages over a Gaussian law.

    Attributes
    ----------
    picture : Picture
    kappa : float
    kernel : callable
        Curvatures to `Kernel`.
    """

    picture: Picture
    kappa: float
    kernel: Callable[[Array], Kernel]

    @cached_property
    def _draws(self) -> Array:
        """Standard normal numbers, (draws, r), each beside its opposite."""
        half = np.random.default_rng(0).standard_normal((_PAIRS, self.picture.rank))
        return np.concatenate([half, -half])

    def settled(self, covariance: Array) -> Gaussian:
        """Return the stationary law, by substitution from a covariance.

        Raises
        ------
        NoStationaryState
            Where a step would not contract the averaged curvature.
        NotConverged
            Where rounds do not settle.
        """
        law, change = Gaussian(covariance, np.zeros(self.picture.rank), np.inf, 0.0), np.inf
        for number in range(_ROUNDS):
            law, before = self._round(law), law
            change = abs(law.excess_loss / before.excess_loss - 1) if np.isfinite(before.excess_loss) else np.inf
            if number + 1 >= _FEWEST and change < _RTOL:
                return law
        raise NotConverged("the Gaussian closure", _ROUNDS, change, _RTOL, "Use a smaller learning rate.")

    def _round(self, law: Gaussian) -> Gaussian:
        """Averages over a law, its excess loss, and the law that they settle to."""
        values, vectors = np.linalg.eigh(law.covariance)
        moves = (self._draws @ vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T  # the root that varies least
        found = self._averaged(law.mean + moves)
        steep, turned = np.linalg.eigh(found.curvature)
        kernel = self.kernel(steep)
        if not kernel.contracts:
            raise NoStationaryState
        noise = turned.T @ found.noise @ turned
        settled = turned @ (kernel.stationary * self.kappa * noise) @ turned.T
        mean = law.mean - np.linalg.solve(found.curvature, found.gradient)
        excess, error = self._excess(law, found.losses, law.mean + moves)
        return replace(law, covariance=0.5 * (settled + settled.T), mean=mean, excess_loss=excess, error=error)

    def _excess(self, law: Gaussian, losses: Array, moves: Array) -> tuple[float, float]:
        """The quadratic part from the law, and the rest, which varies little, from the draws."""
        h = self.picture.curvatures
        rest = losses - 0.5 * moves**2 @ h
        pairs = 0.5 * (rest[:_PAIRS] + rest[_PAIRS:])
        quadratic = 0.5 * float(h @ (np.diag(law.covariance) + law.mean**2))
        return quadratic + float(pairs.mean()), float(standard_error(pairs))

    def _averaged(self, moves: Array) -> _Averages:
        """H, the covariance of one sample's gradient, the gradient and excess losses, over draws of V."""
        picture, place = self.picture, self.picture.place
        sums, pulls, losses = _Sums(place), [], []
        for move in moves:
            at = Place(place.head, place.theta + picture.out_of(move))
            sums.add(at)
            losses.append(at.loss - place.loss)
            pulls.append(picture.into(at.gradient - place.head.weight_decay * at.theta))
        data = np.array(pulls)
        curvature = picture.turned(scattered(place.head.z, sums.spread / len(moves)))
        curvature.flat[:: len(curvature) + 1] += place.head.weight_decay
        noise = picture.scattered(sums.square / len(moves)) - data.T @ data / len(moves)
        gradient = data.mean(axis=0) + place.head.weight_decay * (picture.optimum + moves.mean(axis=0))
        return _Averages(curvature, noise, gradient, np.array(losses))


@dataclass(frozen=True)
class _Averages:
    curvature: Array
    noise: Array
    gradient: Array
    losses: Array


class _Sums:
    """Sums over draws of per-sample A and r r^T."""

    def __init__(self, place: Place) -> None:
        self.spread, self.square = np.zeros_like(place.spread), np.zeros_like(place.spread)

    def add(self, at: Place) -> None:
        """Take one more draw."""
        self.spread += at.spread
        self.square += at.residuals[:, :, None] * at.residuals[:, None, :]
