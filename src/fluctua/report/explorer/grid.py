"""The exact noise floor between settings: from a few solutions, how far the discrete one is below it.

The discrete rung has closed forms in the modes, the exact one a balance over all samples. Their ratio hardly moves
with the data's details: with s the share of the exact stability limit, (ratio - 1) (1 - s)/s is smooth in s, log kappa,
log(1 - beta) and log gamma, and so is (mean limit)/(limit) - 1. Polynomials through a few nodes carry the logarithms of
both; what they miss is measured where nothing was fitted. The floor has a pole at the limit, so that a relative error
epsilon of the limit is one of about epsilon s/(1 - s) of the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product

import numpy as np

from ..._arrays import AnyArray, Array
from ...errors import UnstableSGD
from ...problem.least_squares import LeastSquares
from ...problem.subsample import part
from ...recipe.sgd import SGD, Recipe
from ...theory.answers import predict
from ...theory.interpolation import lagrange
from ...theory.stability import max_stable_lr, mean_stable_lr

__all__ = ["ExactGrid", "exact_grid"]

_SHARES = 0.02, 0.9
_NODES = 4  # along the shares
_BATCHES = (1, 2, 4, 10, 30, 120, 512)
_CLOSEST = 0.8  # nodes lie below this share of N, and at it
_MOMENTA = (0.0, 0.5, 0.7, 0.85, 0.9, 0.95)
_DECAYS = (0.0, 0.06, 0.25, 1.0)  # shares of the largest weight decay
_DECAY_SCALE = 0.003  # of h_max
_MODES, _WORK = 128, 2.5e7  # modes, and samples times modes^2, kept of a large problem
_CHECKS, _DECAYS_CHECKED = 24, 4
_LEAST = 0.01  # of the limit's: what is between the nodes of a smooth problem is not all met by so few checks
_SAFETY = 2.0  # of the stated errors over the largest that the checks met


@dataclass(frozen=True)
class ExactGrid:
    """Solutions at some settings, and the polynomials between them.

    Attributes
    ----------
    shares, batch_sizes, momenta, weight_decays : ndarray
        The nodes: of lr over the stability limit, b = 1/kappa, beta, gamma.
    scale : float
        gamma enters as log(1 + gamma/scale).
    feedback : ndarray, (shares, batch sizes, momenta, 2)
        log of (exact/discrete - 1)(1/share - 1), of the stationary excess loss, at the first and last weight decay.
    narrowing : ndarray, (batch sizes, momenta, weight decays)
        log of (limit of the mean)/(limit of the variance) - 1.
    samples, modes : int
        Of which part of the problem these are; all of a small one.
    limit_error : float
        Stated relative error of the limit: twice the largest of a few settings in between, where nothing was fitted,
        and at least 1 %.
    floor_error : float
        The same of the floor, beside what the limit's makes of it.
    checks : int
        How many these settings were.
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
    limit_error: float
    floor_error: float
    checks: int

    def error_at(self, share: float) -> float:
        """Return the stated relative error of the exact floor at a share of the limit."""
        return self.floor_error + self.limit_error * share / (1 - share)

    def covers(self, sgd: Recipe, kappa: float) -> bool:
        """Whether a recipe lies between the nodes: there is no extrapolation, and a heavy ball at most."""
        if not sgd.step.heavy_ball:
            return False
        inside = sgd.step.memory <= self.momenta[-1] and sgd.weight_decay <= self.weight_decays[-1]
        return bool(inside and kappa * self.batch_sizes[-1] >= 1)

    def limit(self, mean_limit: float, kappa: float, momentum: float, weight_decay: float) -> float:
        """Return the largest stable learning rate, given that of the mean."""
        weights = self._weights(kappa, momentum, weight_decay)
        return float(mean_limit / (1 + np.exp(np.einsum("jkl,j,k,l", self.narrowing, *weights))))

    def ratio(self, share: float, kappa: float, momentum: float, weight_decay: float) -> float:
        """Return the exact excess loss over the discrete one at a share of the stability limit."""
        sizes, momenta, _ = self._weights(kappa, momentum, weight_decay)
        weights = _weights(self.shares, share), sizes, momenta, self._decay_weights([0, -1], weight_decay)
        return float(1 + share / (1 - share) * np.exp(np.einsum("ijkl,i,j,k,l", self.feedback, *weights)))

    def _weights(self, kappa: float, momentum: float, weight_decay: float) -> tuple[Array, Array, Array]:
        sizes = _weights(np.log(self.batch_sizes), -np.log(kappa))
        momenta = _weights(_inertia(self.momenta), float(_inertia(momentum)))
        return sizes, momenta, self._decay_weights(slice(None), weight_decay)

    def _decay_weights(self, nodes: slice | list[int], weight_decay: float) -> Array:
        return _weights(np.log1p(self.weight_decays[nodes] / self.scale), float(np.log1p(weight_decay / self.scale)))


def exact_grid(
    problem: LeastSquares, largest_decay: float, progress: Callable[[float], None] | None = None
) -> ExactGrid | None:
    """Return the grid for weight decays up to `largest_decay`; None where there is no noise, or no solution was found.

    `progress` is called with the fraction done.

    Cost: 190 stability limits and 370 stationary states on two rungs, of at most 128 modes and a few thousand samples,
    the steepest ones of a random part of a large problem: 1 second on 150 samples of 5 features, 15 on digits, 25 on
    all of MNIST.
    """
    if problem.minimum().interpolates or problem.samples < 3:
        return None
    decays = largest_decay * np.array(_DECAYS)
    most = min(_BATCHES[-1], problem.samples)
    sizes = np.array([b for b in _BATCHES if b < _CLOSEST * most or b == most] + [most] * (most < _BATCHES[-1]))
    with np.errstate(divide="ignore"):
        try:
            grid = _checked(problem, _solved(problem, _chebyshev(*_SHARES), np.unique(sizes), decays, progress))
        except UnstableSGD:
            return None
    usable = np.isfinite(grid.feedback).all() and np.isfinite(grid.narrowing).all()
    return grid if usable else None


def _solved(
    problem: LeastSquares, shares: Array, sizes: AnyArray, decays: Array, progress: Callable[[float], None] | None
) -> ExactGrid:
    axes = len(sizes), len(_MOMENTA), len(decays)
    narrowing, feedback = np.empty(axes), np.empty((len(shares), *axes[:2], 2))
    small = [_small(problem, float(gamma)) for gamma in decays]
    for done, place in enumerate(product(*map(range, axes))):
        if progress:
            progress(done / (narrowing.size + _CHECKS))
        some, sgd = small[place[2]], _recipe(sizes[place[0]], _MOMENTA[place[1]], decays[place[2]])
        limit = max_stable_lr(some, sgd)
        narrowing[place] = np.log(mean_stable_lr(some, sgd) / limit - 1)
        if place[2] in (0, len(decays) - 1):
            found = [(_ratio(some, replace(sgd, lr=share * limit)) - 1) * (1 / share - 1) for share in shares]
            feedback[:, place[0], place[1], min(place[2], 1)] = np.log(found)
    return ExactGrid(
        shares=shares,
        batch_sizes=sizes.astype(float),
        momenta=np.array(_MOMENTA),
        weight_decays=decays,
        scale=_DECAY_SCALE * float(problem.curvatures[0]),
        feedback=feedback,
        narrowing=narrowing,
        samples=small[0].samples,
        modes=small[0].rank,
        limit_error=np.nan,
        floor_error=np.nan,
        checks=_CHECKS,
    )


def _checked(problem: LeastSquares, grid: ExactGrid) -> ExactGrid:
    """The grid with its errors, from settings spread over it by Halton's sequence."""
    small = cache(partial(_small, problem))
    places = [[_mirrored(i, base) for base in (2, 3, 5, 7)] for i in range(1, _CHECKS + 1)]
    share, limit, floor = np.array([_miss(small, problem.samples, grid, place) for place in places]).T
    limit_error = float(limit.max())
    beside = float(np.max(floor - limit_error * share / (1 - share)))
    return replace(grid, limit_error=max(_LEAST, _SAFETY * limit_error), floor_error=_SAFETY * max(beside, 0.0))


def _mirrored(i: int, base: int) -> float:
    """The digits of i mirrored at the point."""
    out, digit = 0.0, 1.0 / base
    while i:
        out, i, digit = out + digit * (i % base), i // base, digit / base
    return out


def _miss(
    parts: Callable[[float], LeastSquares], samples: int, grid: ExactGrid, place: Sequence[float]
) -> tuple[float, float, float]:
    """A share of the true limit, and the relative errors of the limit and of the floor there.

    `place`, from 0 to 1 along each axis of the grid: share, batch size, momentum, and weight decay, which is taken at
    four places only, because each costs a pass.
    """
    share, size, inertia, decay = place
    decay = (np.floor(_DECAYS_CHECKED * decay) + 0.5) / _DECAYS_CHECKED
    gamma = grid.scale * np.expm1(decay * np.log1p(grid.weight_decays[-1] / grid.scale))
    sgd = _recipe(grid.batch_sizes[-1] ** size, -np.expm1(-inertia * _inertia(grid.momenta[-1])), gamma)
    small, at = parts(float(gamma)), (sgd.sampling_factor(samples), sgd.step.memory, sgd.weight_decay)
    limit, found = max_stable_lr(small, sgd), grid.limit(mean_stable_lr(small, sgd), *at)
    share *= grid.shares[-1] * min(1.0, found / limit)
    floor = grid.ratio(share * limit / found, *at) / _ratio(small, replace(sgd, lr=share * limit)) - 1
    return share, abs(found / limit - 1), abs(floor)


def _small(problem: LeastSquares, gamma: float) -> LeastSquares:
    """The steepest modes of some samples of a large problem, or the whole of a small one."""
    modes = slice(0, min(_MODES, problem.rank))
    samples = int(max(_WORK / modes.stop**2, 1000))
    if problem.rank <= _MODES and problem.samples <= 2 * samples:
        return problem
    return part(problem, problem.minimum(gamma), samples, modes)[0]


def _ratio(problem: LeastSquares, sgd: SGD) -> float:
    """The exact excess loss over the discrete one."""
    return predict(problem, sgd).excess_loss / predict(problem, sgd, theory="discrete").excess_loss


def _recipe(batch_size: float, momentum: float | Array, weight_decay: float) -> SGD:
    return SGD(lr=1.0, batch_size=int(batch_size), momentum=float(momentum), weight_decay=float(weight_decay))


def _weights(places: Array, at: float) -> Array:
    return np.asarray(lagrange(places, np.array([at]))[0])


def _inertia(momentum: float | Array) -> Array:
    return np.asarray(-np.log1p(-np.asarray(momentum)))


def _chebyshev(low: float, high: float) -> Array:
    """Nodes from low to high, denser at the ends."""
    return np.asarray(0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.pi * np.arange(_NODES) / (_NODES - 1)))
