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
from ...theory.answers import predict
from .chain import Langevin
from .first_order import first_order
from .grid import Grid, grid_of
from .slopes import evaluated

__all__ = ["THEORIES", "ChainLaw", "predict_chain"]

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
        """exp(-V/T), on the same grid."""
        return replace(self, theory="target", density=self.chain.target(self.grid), lost=0.0, steps=None)

    @cached_property
    def kept(self) -> ChainLaw:
        """What continuous time keeps, exp(-V/T) g^(c - 1): the target with the whole correction (c = 1)."""
        return replace(self, theory="target", density=self.chain.kept(self.grid), lost=0.0, steps=None)

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
        """
        function("f", f, ("x",))
        _, change = first_order(self.held)
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
        first = self.held.after_one(*self.chain.moves(np.array([place])))[:, 0]
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
                "quantity": [f"E x^{k}" for k in range(1, _MOMENTS + 1)],
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


@predict.register(Langevin)
def predict_chain(
    chain: Langevin, *, theory: str = "exact", domain: tuple[float, float] | None = None, points: int | None = None
) -> ChainLaw:
    """Predict the law of a chain's places: exactly, to first order in the step, or as continuous time has it.

    Parameters
    ----------
    chain : Langevin
        In one dimension.
    theory : str
        "exact" (F101), "first_order" (F102), or "target": exp(-V/T), which the chain should keep.
    domain : (float, float), optional
        Where it lives; chosen and checked if not given.
    points : int, optional
        Of the grid; by default 1,200, or more where steps are short.

    Returns
    -------
    ChainLaw
        Moments, averages, density and total variation; `.after(steps)` gives finite times.

    Raises
    ------
    InvalidInput
        For a chain in more than one dimension, a domain that loses more than 1e-9 of the mass in a step, and points
        further apart than 0.6 of the shortest step's standard deviation.

    Notes
    -----
    Cost: 2/3 n^3 flops for n points, 0.1 s for 1,200.
    """
    choice("theory", theory, THEORIES)
    if chain.dimension > 1:
        raise InvalidInput(
            f"the law of a chain is known in one dimension, not in {chain.dimension}: there fluctua.simulate runs it, "
            f"and the target exp(-V/T) is what to compare with."
        )
    held = grid_of(chain, domain, points)
    law = ChainLaw(chain, "exact", held.x, held.stationary, held.lost(held.stationary), held=held)
    if theory == "exact":
        return law
    if theory == "target":
        return law.target
    kept, change = first_order(held)
    return replace(law, theory=theory, density=kept + chain.lr * change)
