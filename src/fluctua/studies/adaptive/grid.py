"""The chain as a matrix: its Gaussian kernel on an even grid, and what it leaves alone (F101).

The trapezoid rule of a Gaussian is off by exp(-2 pi^2 (sigma/dx)^2), some 1e-24 at dx = 0.6 sigma: so the matrix is the
chain, to rounding, where the grid is that fine, as wide as the density, and fine beside the functions too. Moments on
half the points tell whether it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array
from ..._validate.values import positive_int, real_number, shown
from ...errors import InvalidInput
from .chain import Langevin, moves

__all__ = ["POINTS", "Grid", "grid_of", "needed_points"]

POINTS = 1200
"""Points of a grid, or more where the steps are short."""
_FINEST = 0.6  # standard deviations of a step between two points, at most
_ROOM = 1.5  # times as many points as are needed, so that half of them tell what all are worth
_MOST = 6000  # points: 0.3 GB, and half a minute
_ERROR = 1e-10  # of the moments
_LOST = 1e-9  # mass that may leave the domain in a step
_AIMED = 1e-12
_WIDENINGS = 12  # by a half
_VAIN = 3  # of them, one after another, that lose as much as before: wider ones will, too
_UNKNOWN = 1e-6  # error of the moments beyond which there is no law to speak of


@dataclass(frozen=True)
class Grid:
    """An even grid, and the chain on it.

    Attributes
    ----------
    chain : Langevin
    x : ndarray, (n,)
    """

    chain: Langevin
    x: Array

    @property
    def dx(self) -> float:
        """Between two points."""
        return float(self.x[1] - self.x[0])

    @cached_property
    def matrix(self) -> Array:
        """Density after a step, by row, of a chain at each point, by column, times dx."""
        mean, deviation = moves(self.chain, self.x)
        return self.after_one(mean, deviation) * self.dx

    def after_one(self, mean: Array, deviation: Array) -> Array:
        """Return the densities of places (n, m) after a step to these means, (m,)."""
        with np.errstate(under="ignore"):
            scores = (self.x[:, None] - mean) / deviation
            return np.asarray(np.exp(-0.5 * scores**2) / (np.sqrt(2 * np.pi) * deviation))

    @cached_property
    def stationary(self) -> Array:
        """The density that a step leaves alone: the null vector of the matrix less 1."""
        from scipy.linalg import solve

        size = len(self.x)
        system = self.matrix - np.eye(size)
        system[size // 2] = self.dx  # one equation follows from the others: in its place, the sum
        right = np.zeros(size)
        right[size // 2] = 1.0
        return np.asarray(solve(system, right, overwrite_a=True, overwrite_b=True))

    @cached_property
    def error(self) -> float:
        """Largest difference of E x and E x^2, in units of the spread, from those on half the points."""
        half = Grid(self.chain, self.x[::2])
        unit = np.sqrt((self.x**2) @ self.stationary * self.dx)
        powers = [[each.x**k @ each.stationary * each.dx / unit**k for k in (1, 2)] for each in (self, half)]
        return float(np.abs(np.subtract(powers[0], powers[1])).max())

    def lost(self, density: Array) -> float:
        """Return the mass that leaves the domain in a step from `density`."""
        return float(np.abs(density @ (1 - self.matrix.sum(axis=0))) * self.dx)


def grid_of(chain: Langevin, domain: tuple[float, float] | None, points: int | None) -> Grid:
    """Return a grid for a chain: as wide and as fine as it needs, or what was given if that is enough.

    Raises
    ------
    InvalidInput
        For a domain that loses more than 1e-9 of the mass in a step, and for points too far apart: how many it needs.
    """
    if domain is not None:
        grid = _held(_made(chain, _interval(domain), points), given=True)
        return _known(grid if points is not None else _refined(grid))
    (low, high), before, vain = chain.domain, np.inf, 0
    for _ in range(_WIDENINGS):
        grid = _made(chain, (low, high), points)
        density = grid.stationary
        if grid.lost(density) < _AIMED and max(abs(density[0]), abs(density[-1])) < _AIMED * density.max():
            return _known(grid if points is not None else _refined(grid))
        vain = vain + 1 if grid.lost(density) > before / 2 else 0
        before = grid.lost(density)
        low, high = low - 0.25 * (high - low), high + 0.25 * (high - low)
        if vain == _VAIN or needed_points(chain, (low, high))[0] > (points or _MOST):
            break
    return _held(grid, given=False)


def _refined(grid: Grid) -> Grid:
    """The same with so many more points that half of them have the same moments, as far as there may be."""
    while grid.error > _ERROR and 2 * len(grid.x) <= _MOST:
        finer = Grid(grid.chain, np.linspace(grid.x[0], grid.x[-1], 2 * len(grid.x)))
        if finer.error > grid.error / 2:
            break
        grid = finer
    return grid


def _known(grid: Grid) -> Grid:
    """Refuse a law that the grid does not determine."""
    if not grid.error < _UNKNOWN:
        raise InvalidInput(
            f"the law is not determined: on half of the {len(grid.x):,} points the moments differ by {grid.error:.2g} "
            f"of the spread. Either the chain crosses a barrier so rarely that rounding decides on which side it is, "
            f"and a higher temperature helps; or a function is not smooth, and more points may."
        )
    return grid


def _held(grid: Grid, *, given: bool) -> Grid:
    lost, (low, high) = grid.lost(grid.stationary), grid.x[[0, -1]]
    if not lost <= _LOST:
        why = (
            "Give a wider one, or none: it is then chosen"
            if given
            else "Wider ones lose as much: at this lr the chain runs away from its tails and has no stationary law. "
            "Give a smaller lr"
        )
        raise InvalidInput(
            f"the domain from {low:g} to {high:g} loses {lost:.2g} of the mass in a step, more than {_LOST:g}. {why}."
        )
    return grid


def needed_points(chain: Langevin, domain: tuple[float, float]) -> tuple[int, float]:
    """Return how many points a domain needs, and the standard deviation of the shortest step."""
    least = float(moves(chain, np.linspace(*domain, POINTS))[1].min())
    return int(np.ceil((domain[1] - domain[0]) / (_FINEST * least))) + 1, least


def _made(chain: Langevin, domain: tuple[float, float], points: int | None) -> Grid:
    """A grid of the domain, fine enough."""
    needed, least = needed_points(chain, domain)
    size = (
        max(POINTS, needed, min(int(_ROOM * needed), _MOST))
        if points is None
        else positive_int("points", points, minimum=16, maximum=_MOST)
    )
    if size < needed:
        raise InvalidInput(
            f"points = {size} are {(domain[1] - domain[0]) / (size - 1):.3g} apart from {domain[0]:g} to "
            f"{domain[1]:g}, more than {_FINEST} of the shortest step's standard deviation, {least:.3g}: the sum would "
            f"not be the integral. It needs {needed:,} points."
        )
    if size > _MOST:
        raise InvalidInput(
            f"the law needs {needed:,} points from {domain[0]:g} to {domain[1]:g}, because the shortest step has the "
            f"standard deviation {least:.3g}; {_MOST:,} are the most. Give a larger lr, a monitor that falls "
            f"less low, or a narrower domain."
        )
    return Grid(chain, np.linspace(*domain, size))


def _interval(given: object) -> tuple[float, float]:
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise InvalidInput(f"domain must be (low, high), got {shown(given)}.")
    low, high = (real_number("domain", each) for each in given)
    if not low < high:
        raise InvalidInput(f"domain must be (low, high) with low < high, got ({low:g}, {high:g}).")
    return low, high
