"""The exact law of a chain at finite step, in one dimension, with the measure that it should keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..._arrays import Array
from ..._results import ByValue, Tables, Tabular, clipped
from ..._validate.values import choice, flag, function, positive_int, real_number
from ...errors import InvalidInput
from .chain import Langevin, kept_density, moves, target_density
from .first_order import density_change
from .grid import Grid
from .slopes import evaluated

__all__ = ["THEORIES", "ChainLaw"]

THEORIES = "target", "first_order", "exact"
"""The ladder of a chain, lowest first."""
_MOMENTS = 4
_ONE_BY_ONE = 3000  # steps beyond which the matrix is squared instead
_LOST = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class ChainLaw(ByValue, Tabular):
    """The law of a chain's places; made by `fluctua.predict`.

    Attributes
    ----------
    chain : Langevin
        Whose law it is.
    theory : str
        "exact", "first_order" or "target".
    grid : ndarray, (n,)
        Places.
    density : ndarray, (n,)
        There, per unit of x.
    lost : float
        Mass that left the domain: per step, or in all steps of `after`.
    steps : int or None
        After how many; None for the stationary law.
    held : Grid
        The grid with the chain's matrix on it.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies.adaptive import Langevin
    >>> law = fl.predict(Langevin("harmonic", lr=0.3, temperature=1.0, method="fixed"))
    >>> print(f"{law.variance:.6f}, and 1/(1 - 0.3/2); after 2 steps from 1: {law.after(2, start=1.0).moments[0]:.2f}")
    1.176471, and 1/(1 - 0.3/2); after 2 steps from 1: 0.49
    """

    chain: Langevin
    theory: str
    grid: Array
    density: Array
    lost: float
    steps: int | None = None
    held: Grid = field(compare=False, kw_only=True)

    def mean(self, f: Callable[[Array], Any], *, weighted: bool = False) -> float:
        """Return the average of a function of the place, or of the place weighted by g (F103).

        Parameters
        ----------
        f : callable
            Of an array of places; it returns as many numbers.
        weighted : bool
            Weight the average by g, as the naive chain needs it: <g f>/<g>.

        Returns
        -------
        float
            To 1e-9, for a smooth function.

        Raises
        ------
        InvalidInput
            If `f` is no function of the places.
        """
        function("f", f, ("x",))
        if f is None:
            raise InvalidInput("f must be a function of (x,), got None.")
        weights = self.density * self.chain.g(self.grid) if flag("weighted", weighted) else self.density
        return float(evaluated("f", f, self.grid) @ weights / weights.sum())

    @property
    def error(self) -> float:
        """Largest difference of E x and E x^2, in units of the spread, from those on half the points of the grid."""
        return self.held.error

    @property
    def moments(self) -> Array:
        """E x, E x^2, E x^3 and E x^4."""
        powers = self.grid ** np.arange(1, _MOMENTS + 1)[:, None]
        return np.asarray(powers @ self.density / self.density.sum())

    @property
    def variance(self) -> float:
        """E x^2 less the square of E x."""
        first = float(self.moments[0])
        return self.mean(lambda x: (x - first) ** 2)

    @property
    def mean_step(self) -> float:
        """Average of lr g: the real time that a step takes."""
        return self.chain.lr * self.mean(self.chain.g)

    @cached_property
    def relaxation_steps(self) -> float:
        """Steps in which the slowest deviation from the stationary law falls to 1/e."""
        from scipy.sparse.linalg import eigs

        largest = np.sort(np.abs(eigs(self.held.matrix, k=2, return_eigenvectors=False)))
        return float(-1 / np.log(largest[0]))

    @property
    def total_variation(self) -> float:
        """Half the integral of |density - exp(-V/T)|, the distance from the target."""
        from scipy.interpolate import CubicSpline

        off = CubicSpline(self.grid, self.density - self.target.density)
        crossings = [x for x in off.roots(extrapolate=False) if self.grid[0] < x < self.grid[-1]]
        pieces = off.antiderivative()([self.grid[0], *crossings, self.grid[-1]])
        return float(0.5 * np.abs(np.diff(pieces)).sum())

    @cached_property
    def target(self) -> ChainLaw:
        """The target exp(-V/T), on the same grid."""
        return replace(self, theory="target", density=target_density(self.chain, self.grid), lost=0.0, steps=None)

    @cached_property
    def kept(self) -> ChainLaw:
        """What continuous time keeps, exp(-V/T) g^(c - 1): the target with the whole correction (c = 1)."""
        return replace(self, theory="target", density=kept_density(self.chain, self.grid), lost=0.0, steps=None)

    def rung(self, theory: str) -> ChainLaw:
        """Return the stationary law of a rung of the ladder on the same grid.

        Parameters
        ----------
        theory : str
            As for `fluctua.predict`.

        Returns
        -------
        ChainLaw
            By that theory.

        Raises
        ------
        UnknownName
            For another name.
        InvalidInput
            Where the functions are no numbers on the grid.
        """
        if choice("theory", theory, THEORIES) == "target":
            return self.target
        if theory == "exact":
            density, lost = self.held.stationary, self.held.lost(self.held.stationary)
            return replace(self, theory=theory, density=density, lost=lost, steps=None)
        kept, change = density_change(self.held)
        return replace(self, theory=theory, density=kept + self.chain.lr * change, lost=0.0, steps=None)

    def bias_slope(self, f: Callable[[Array], Any]) -> float:
        """Return the derivative of the average of a function with respect to the step, at 0 (F102).

        Parameters
        ----------
        f : callable
            As for `mean`.

        Returns
        -------
        float
            The bias over lr, as lr goes to 0.

        Raises
        ------
        UnknownName
            Where no function has the name that was given.
        InvalidInput
            If `f` is no function of the places.
        """
        function("f", f, ("x",))
        _, change = density_change(self.held)
        return float(evaluated("f", f, self.grid) @ change * self.held.dx)

    def after(self, steps: int, start: float = 0.0) -> ChainLaw:
        """Return the law after some steps from one place.

        Parameters
        ----------
        steps : int
            At least one.
        start : float
            The place, in the domain.

        Returns
        -------
        ChainLaw
            Of the place after so many steps.

        Raises
        ------
        InvalidInput
            For fewer steps than one, for a place outside the domain, and where mass leaves the domain on the way.
        """
        count, place = positive_int("steps", steps), real_number("start", start)
        if not self.grid[0] < place < self.grid[-1]:
            raise InvalidInput(
                f"start = {place:g} is outside the domain, {self.grid[0]:g} to {self.grid[-1]:g}. Give "
                f"predict(..., domain=) one that holds it."
            )
        first = self.held.after_one(*moves(self.chain, np.array([place])))[:, 0]
        density = _moved(self.held.matrix, first, count - 1)
        lost = abs(1 - float(density.sum() * self.held.dx))
        if lost > _LOST:
            raise InvalidInput(
                f"{lost:.2g} of the mass left the domain in {count:,} steps from {place:g}, more than {_LOST:g}. Give "
                f"predict(..., domain=) a wider one."
            )
        return replace(self, theory="exact", density=density, lost=lost, steps=count)

    def _tables(self) -> Tables:
        return {
            "moments": lambda: {
                "quantity": ["E x", *(f"E x^{k}" for k in range(2, _MOMENTS + 1))],
                "value": self.moments,
                "target": self.target.moments,
            },
            "density": lambda: {"x": self.grid, "density": self.density, "target": self.target.density},
        }

    @property
    def _attributes(self) -> dict[str, Any]:
        return {"theory": self.theory, "total_variation": self.total_variation, "mean_step": self.mean_step}

    def __repr__(self) -> str:
        when = "" if self.steps is None else f" after {self.steps:,} steps"
        first, second = self.moments[:2]
        return clipped(
            f"ChainLaw({self.theory}{when}: E x = {first:.7g}, E x^2 = {second:.7g}, "
            f"TV to target {self.total_variation:.4g})"
        )


def _moved(matrix: Array, density: Array, steps: int) -> Array:
    """The density after more steps: one by one, or by squares of the matrix where that is less work."""
    if steps <= _ONE_BY_ONE:
        for _ in range(steps):
            density = matrix @ density
        return density
    power = matrix
    while steps:
        if steps % 2:
            density = power @ density
        steps //= 2
        power = power @ power if steps else power
    return density
