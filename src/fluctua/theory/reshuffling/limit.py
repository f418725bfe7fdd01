r"""The largest stable learning rate of shuffled epochs, F59: from all of them, from many, or from the expansion.

One epoch is a random linear map of the weights (`random_map`), and the limit is the lowest learning rate at which the
spectral radius of its second moment reaches 1. Where few epochs differ they are all listed, and the limit is exact.
Otherwise it is estimated from random ones, with its error. Where even that costs too much, the samples are so many that
the expansion in r/N is accurate, unless the last batch is small (docs/shuffle.md).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from ..._arrays import Array
from ...errors import NotConverged, UncertainLimit
from ...problem.least_squares import LeastSquares
from ...problem.subsample import part
from ...recipe.sgd import Recipe
from ..fixed_points import NoStationaryState
from ..law import Law
from ..stability import independent_batches, independent_limit, max_stable_lr
from ..stable_limit import StableLimit
from .expansion import FEW_NODES, SOME
from .orders import Orders, chosen_orders
from .random_map import EpochMap, epoch_map
from .stationary import Cycle

__all__ = ["clearly_below", "epoch_limit"]

_EXACT_XTOL, _XTOL, _LAW_XTOL = 1e-11, 2e-4, 5e-3  # of log lr
_LISTED_RTOL, _RTOL = 1e-12, 1e-5  # of the radius
_SHORTEST, _LONGEST = 0.08, 0.7  # differences between log learning rates that are tried
_SMALLEST = 1e-9  # radius that counts as none
_CLEAR, _ROUGH_RTOL = 0.5, 1e-2  # radius that is clearly below 1, and how well it is known
_TRIED = 400  # learning rates at most
_DOUBTFUL = 0.05  # relative standard error above which the limit is called uncertain
_EXPANDED, _SMALL_LAST = 1.0, 0.1  # relative errors of the expansion: per r/N, and where the last batch decides


def epoch_limit(problem: LeastSquares, sgd: Recipe) -> StableLimit:
    """Return `max_stable_lr` of sampling="shuffle"."""
    Law(problem, sgd, "exact")  # refuses what no law covers
    sizes = sgd.batch_sizes(problem.population)
    if len(sizes) == 1:  # independent batches without replacement, by definition
        return StableLimit(independent_limit(problem, sgd), "exact")
    orders = chosen_orders(problem, sgd)
    if orders is None:
        return _doubted(_expanded(problem, sgd))
    found = _Radius(problem, sgd, orders).limit(0.5 * independent_limit(problem, sgd))
    return found if orders.listed else _doubted(found)


def clearly_below(problem: LeastSquares, sgd: Recipe, lr: float) -> bool:
    """Whether shuffled epochs forget at `lr` with room to spare, where that is asked of their maps and cheaper.

    In the maps of the same orders as the limit's the radius is then below one half, and the limit beyond `lr`: it
    is proportional to the rate and more. Where the limit is that of the expansion, there is a stationary state at `lr`
    and at twice that. False where that does not tell.
    """
    if len(sgd.batch_sizes(problem.population)) == 1:
        return False
    orders = chosen_orders(problem, sgd)
    if orders is None:
        some = _some(problem, sgd)
        return all(_margin(some, sgd, rate) > 0 for rate in (lr, lr / _CLEAR))
    return epoch_map(problem, replace(sgd, lr=lr), orders).leading(rtol=_ROUGH_RTOL)[0] < _CLEAR


def _doubted(found: StableLimit) -> StableLimit:
    """Warn where the limit may be too high by more than a few per cent."""
    if found.error > _DOUBTFUL * found:
        warnings.warn(UncertainLimit(float(found), found.error, found.method), stacklevel=5)
    return found


class _Radius:
    """The spectral radius of one recipe's epochs as a function of the learning rate."""

    def __init__(self, problem: LeastSquares, sgd: Recipe, orders: Orders) -> None:
        self.problem, self.sgd, self.orders = problem, sgd, orders
        self.rtol = _LISTED_RTOL if orders.listed else _RTOL
        self._last: Array | None = None  # the eigenvector at the last learning rate

    def at(self, lr: float) -> EpochMap:
        return epoch_map(self.problem, replace(self.sgd, lr=lr), self.orders)

    def excess(self, place: float) -> float:
        """The log of the radius of (1 - Gamma_0)^-1 Gamma_1 at a log learning rate, within 20 of zero."""
        radius, self._last = self.at(float(np.exp(place))).leading(self._last, self.rtol)
        return float(np.clip(np.log(max(radius, _SMALLEST)), -20, 20))

    def limit(self, low: float) -> StableLimit:
        stride = _SHORTEST if self.orders.listed else _LONGEST
        place = _first_crossing(self.excess, np.log(low), stride, _EXACT_XTOL if self.orders.listed else _XTOL)
        lr = float(np.exp(place))
        if self.orders.listed:
            return StableLimit(lr, "all epochs", orders=len(self.orders.weights))
        error, share = self._error(lr)
        error = float(np.hypot(error, _XTOL))
        return StableLimit(lr, "random epochs", error * lr, len(self.orders.weights), share)

    def _error(self, lr: float) -> tuple[float, float]:
        """Relative standard error of the limit, and the share of one order in the second moment there.

        The radius is <U, Gamma[S]>, with S and U the eigenvectors of Gamma and of its adjoint: an average over orders.
        """
        here, step = self.at(lr * (1 - 1e-6)), 1e-4
        _, s = here.leading(self._last, self.rtol)
        _, u = here.adjoint.leading(s, self.rtol)
        growth, moved = here.contributions(u, s), self.at(lr * (1 + step)).contributions(u, s)
        weights = self.orders.weights
        whole = float(weights @ growth)
        slope = (float(weights @ moved) / whole - 1) / step
        error = self.orders.error(growth) / whole / slope if slope > 0 else np.inf
        return error, float((weights * growth).max()) / whole


def _first_crossing(excess: Callable[[float], float], low: float, stride: float, xtol: float) -> float:
    """The lowest place at which `excess` rises through zero, from a `low` that is lowered if it must be.

    A stride aims at the zero of a straight line through the last two places, and a little beyond where that is near.
    """
    from scipy.optimize import brentq

    value, step = excess(low), _SHORTEST
    for _ in range(_TRIED):
        if value < 0:
            break
        low -= 1.0
        value = excess(low)
    else:
        raise _unsettled(value, xtol)
    for _ in range(_TRIED):
        high, before = low + step, value
        value = excess(high)
        if value >= 0:
            return float(brentq(excess, low, high, xtol=xtol, rtol=1e-14))
        rise = (value - before) / step
        step = float(np.clip(-1.1 * value / rise, _SHORTEST, stride)) if rise > 0 else _SHORTEST
        low = high
    raise _unsettled(value, xtol)


def _expanded(problem: LeastSquares, sgd: Recipe) -> StableLimit:
    """The learning rate at which 1/tr(A S) of the expansion falls to zero, to half a per cent of bending squared.

    Where all samples are too many, its ratio to that of independent batches, from some of them for both.
    """
    some = _some(problem, sgd)
    whole, few = (float(max_stable_lr(each, independent_batches(sgd))) for each in (problem, some))
    low = independent_limit(some, sgd)
    found = _first_zero(partial(_margin, some, sgd), 0.9 * low)
    error = _EXPANDED * problem.rank / problem.population
    if low < 0.5 * found:  # a last batch so small that the rest of the epoch must outweigh it
        error = max(error, _SMALL_LAST)
    return StableLimit(found * whole / few, "expansion", error * found * whole / few)


def _some(problem: LeastSquares, sgd: Recipe) -> LeastSquares:
    """As many samples as the expansion is found of in seconds."""
    return part(problem, problem.minimum(sgd.weight_decay), SOME // problem.rank)[0]


def _margin(problem: LeastSquares, sgd: Recipe, lr: float) -> float:
    """Return lr/tr(A S): it is nearly constant at small rates, and falls to zero at the limit."""
    shuffle = Law(problem, replace(sgd, lr=lr), "exact").shuffle
    assert shuffle is not None
    minimum = shuffle.minimum.with_unit_noise() if shuffle.minimum.interpolates else shuffle.minimum
    try:
        return lr * Cycle(replace(shuffle, minimum=minimum, nodes=FEW_NODES)).margin()
    except (NoStationaryState, NotConverged):  # not found, which happens beyond the limit only
        return -lr / minimum.loss


def _first_zero(margin: Callable[[float], float], low: float) -> float:
    """Where a falling `margin` reaches zero, from below; the last step is of half a per cent at most."""
    now = low, margin(low)
    for _ in range(_TRIED):
        if now[1] > 0:
            break
        now = 0.3 * now[0], margin(0.3 * now[0])
    else:
        raise _unsettled(now[1], _LAW_XTOL)
    before, now = now, (1.05 * now[0], margin(1.05 * now[0]))
    for _ in range(_TRIED):
        fall = (before[1] - now[1]) / (now[0] - before[0])
        ahead = now[1] / fall if fall > 0 else np.inf
        if abs(ahead) < _LAW_XTOL * now[0]:
            return float(now[0] + ahead)
        moved = now[0] + float(np.clip(0.9 * ahead if ahead > 0.02 * now[0] else ahead, -0.2 * now[0], 0.3 * now[0]))
        before, now = now, (moved, margin(moved))
    raise _unsettled(ahead / now[0], _LAW_XTOL)


def _unsettled(left: float, xtol: float) -> NotConverged:
    return NotConverged("the largest stable learning rate of shuffled epochs", _TRIED, float(abs(left)), xtol)
