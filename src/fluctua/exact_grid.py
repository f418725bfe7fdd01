"""The exact noise floor between settings: from a few solutions, how far the additive one is below it.

The additive level has closed forms in the modes, the exact one a balance over all samples. Their ratio hardly moves
with the data's details: with s the share of the exact stability limit, (1/ratio - 1)/s is smooth in s, log kappa,
log(1 - beta) and log gamma, and so is (mean limit)/(limit) - 1. Polynomials through a few nodes carry the logarithms of
both; what they miss is measured where nothing was fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import UnstableSGD
from .grid import lagrange
from .part import part
from .problem import LeastSquares
from .sgd import SGD
from .stability import max_stable_lr, mean_stable_lr
from .theory import predict

__all__ = ["ExactGrid", "exact_grid"]

Array = NDArray[np.float64]
_SHARES = 0.02, 0.9
_LARGEST_BATCH = 512
_MOMENTA = (0.0, 0.5, 0.9, 0.95)
_DECAY_SCALE = 0.01  # of h_max; with it two weight decays are enough
_NODES = 5  # along the shares and the batch sizes
_MODES, _WORK = 128, 2.5e7  # modes, and samples times modes^2, kept of a large problem
_CHECKS = (
    (0.3, 3, 0.0, 0.0), (0.7, 24, 0.0, 0.0), (0.4, 8, 0.0, 0.1), (0.5, 10, 0.3, 0.0), (0.6, 8, 0.9, 0.0),
    (0.8, 100, 0.9, 0.0), (0.4, 30, 0.9, 0.3), (0.5, 40, 0.7, 0.0),
)  # fmt: skip
"""Share of the limit, batch size, momentum, share of the largest weight decay: between the nodes."""


@dataclass(frozen=True)
class ExactGrid:
    """Solutions at some settings, and the polynomials between them.

    Attributes
    ----------
    shares, batch_sizes, momenta, weight_decays : ndarray
        The nodes: of lr over the stability limit, b = 1/kappa, beta, gamma.
    scale : float
        gamma enters as log(1 + gamma/scale).
    feedback : ndarray, one axis each
        log of (exact/additive - 1)/share, of the stationary excess loss.
    narrowing : ndarray, (batch sizes, momenta, weight decays)
        log of (limit of the mean)/(limit of the variance) - 1.
    samples, modes : int
        Of which part of the problem these are; all of a small one.
    misses : ndarray
        Relative errors of the exact excess loss in between, where nothing was fitted.
    """

    shares: Array
    batch_sizes: Array
    momenta: Array
    weight_decays: Array
    scale: float
    feedback: Array
    narrowing: Array
    samples: int
    modes: int
    misses: Array

    @property
    def worst(self) -> float:
        """The largest of `misses`."""
        return float(np.abs(self.misses).max())

    def covers(self, sgd: SGD, kappa: float) -> bool:
        """Whether a recipe lies between the nodes: there is no extrapolation, no Nesterov, and no dampening."""
        if sgd.nesterov or (sgd.momentum and sgd.dampening):
            return False
        inside = sgd.momentum <= self.momenta[-1] and sgd.weight_decay <= self.weight_decays[-1]
        return bool(inside and kappa * self.batch_sizes[-1] >= 1)

    def limit(self, mean_limit: float, kappa: float, momentum: float, weight_decay: float) -> float:
        """Return the largest stable learning rate, given that of the mean."""
        weights = self._weights(kappa, momentum, weight_decay)
        return float(mean_limit / (1 + np.exp(np.einsum("jkl,j,k,l", self.narrowing, *weights))))

    def ratio(self, share: float, kappa: float, momentum: float, weight_decay: float) -> float:
        """Return the exact excess loss over the additive one at a share of the stability limit."""
        weights = lagrange(self.shares, np.array([share]))[0], *self._weights(kappa, momentum, weight_decay)
        return float(1 + share * np.exp(np.einsum("ijkl,i,j,k,l", self.feedback, *weights)))

    def _weights(self, kappa: float, momentum: float, weight_decay: float) -> list[Array]:
        places = np.log(self.batch_sizes), _inertia(self.momenta), np.log1p(self.weight_decays / self.scale)
        at = -np.log(kappa), _inertia(momentum), np.log1p(weight_decay / self.scale)
        return [lagrange(np.asarray(x), np.array([y]))[0] for x, y in zip(places, at, strict=True)]


def exact_grid(
    problem: LeastSquares, largest_decay: float, progress: Callable[[float], None] | None = None
) -> ExactGrid | None:
    """Return the grid for weight decays up to `largest_decay`; None where there is no noise, or no solution was found.

    `progress` is called with the fraction done.

    Cost: 40 stability limits and 200 stationary states of at most 128 modes and a few thousand samples, the steepest
    ones of a random part of a large problem: 6 seconds on digits, 20 on all of MNIST.
    """
    if problem.minimum().interpolates or problem.samples < 3:
        return None
    decays = np.array([0.0, largest_decay])
    sizes = np.unique(np.rint(np.exp(_chebyshev(0.0, np.log(min(_LARGEST_BATCH, problem.samples)))))).astype(int)
    shares = _chebyshev(*_SHARES)
    with np.errstate(divide="ignore"):
        try:
            grid = _solved(problem, shares, sizes, decays, progress)
            misses = np.array(list(_misses(problem, grid, largest_decay)))
        except UnstableSGD:
            return None
    usable = np.isfinite(grid.feedback).all() and np.isfinite(grid.narrowing).all()
    return replace(grid, misses=misses) if usable else None


def _solved(
    problem: LeastSquares, shares: Array, sizes: NDArray[Any], decays: Array, progress: Callable[[float], None] | None
) -> ExactGrid:
    axes = len(sizes), len(_MOMENTA), len(decays)
    narrowing, feedback = np.empty(axes), np.empty((len(shares), *axes))
    small = [_small(problem, float(gamma)) for gamma in decays]
    for done, place in enumerate(product(*map(range, axes))):
        if progress:
            progress(done / (narrowing.size + len(_CHECKS)))
        some, sgd = small[place[2]], _recipe(sizes[place[0]], _MOMENTA[place[1]], decays[place[2]])
        limit = max_stable_lr(some, sgd)
        narrowing[place] = np.log(mean_stable_lr(some, sgd) / limit - 1)
        for i, share in enumerate(shares):
            feedback[i, *place] = np.log((_ratio(some, replace(sgd, lr=share * limit)) - 1) / share)
    return ExactGrid(
        shares=shares, batch_sizes=sizes.astype(float), momenta=np.array(_MOMENTA), weight_decays=decays,
        scale=_DECAY_SCALE * float(problem.curvatures[0]), feedback=feedback, narrowing=narrowing,
        samples=small[0].samples, modes=small[0].rank, misses=np.empty(0),
    )  # fmt: skip


def _small(problem: LeastSquares, gamma: float) -> LeastSquares:
    """The steepest modes of some samples of a large problem, or the whole of a small one."""
    modes = slice(0, min(_MODES, problem.rank))
    samples = int(max(_WORK / modes.stop**2, 1000))
    if problem.rank <= _MODES and problem.samples <= 2 * samples:
        return problem
    return part(problem, problem.minimum(gamma), samples, modes)[0]


def _ratio(problem: LeastSquares, sgd: SGD) -> float:
    """The exact excess loss over the additive one."""
    return predict(problem, sgd).excess_loss / predict(problem, sgd, theory="discrete").excess_loss


def _misses(problem: LeastSquares, grid: ExactGrid, largest_decay: float) -> Iterator[float]:
    for share, size, momentum, decay in _CHECKS:
        gamma = decay * largest_decay
        sgd = _recipe(min(size, problem.samples), momentum, gamma)
        small = _small(problem, gamma)
        place = sgd.sampling_factor(problem.samples), momentum, gamma
        limit = grid.limit(mean_stable_lr(small, sgd), *place)
        yield grid.ratio(share, *place) / _ratio(small, replace(sgd, lr=share * limit)) - 1


def _recipe(batch_size: Any, momentum: float, weight_decay: float) -> SGD:
    return SGD(lr=1.0, batch_size=int(batch_size), momentum=momentum, weight_decay=float(weight_decay))


def _inertia(momentum: float | Array) -> Array:
    return np.asarray(-np.log1p(-np.asarray(momentum)))


def _chebyshev(low: float, high: float) -> Array:
    """Nodes from low to high, denser at the ends."""
    return np.asarray(0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.pi * np.arange(_NODES) / (_NODES - 1)))
