"""Overdamped Langevin dynamics with a step that adapts: what is asked of the chain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from ..._arrays import Array
from ..._results import Brief, ByValue
from ..._validate.values import choice, positive_int, real_number
from ...errors import InvalidInput
from .domain import domain_of, normalised
from .potentials import MONITORS, POTENTIALS, Spring, SpringMonitor, Uniform
from .slopes import Smooth, evaluated, held_slope, refuse_not_smooth

__all__ = ["METHODS", "Langevin", "System", "kept_density", "moves", "target_density"]

METHODS = "ip", "naive", "fixed"
_USUAL = {kind: name for name, kind in POTENTIALS.items()}
"""Name of the monitor that goes with a potential."""
_LOOKED_AT = 257  # places of the domain where slopes are checked
_CLOUD = 128  # places in more dimensions


@dataclass(frozen=True, eq=False, repr=False)
class System(Brief, ByValue):
    """A potential, a monitor and a temperature: what overdamped and underdamped chains have in common."""

    potential: Any
    monitor: Any = None
    lr: float = 0.1
    temperature: float = 1.0
    method: str = "ip"
    correction: float = 1.0
    dimension: int = 1

    def __post_init__(self) -> None:
        """Refuse what is no chain, before any work: numbers, functions, and slopes that are not theirs."""
        choice("method", self.method, METHODS)
        real_number("lr", self.lr, above=0.0)
        real_number("temperature", self.temperature, above=0.0)
        real_number("correction", self.correction)
        if positive_int("dimension", self.dimension) > 1 and isinstance(self.potential, str):
            raise InvalidInput(
                f"potential {self.potential!r} is in one dimension, and {self.dimension} were asked for."
            )
        refuse_not_smooth("potential", self.energy)
        refuse_not_smooth("monitor", self.steps_of)
        places, scale = self.places
        held_slope("potential", self.energy, places, scale)
        held_slope("monitor", self.steps_of, places, scale)
        self.g(places)

    @cached_property
    def energy(self) -> Smooth:
        """V with its slope."""
        named = isinstance(self.potential, str)
        found: Smooth = POTENTIALS[choice("potential", self.potential, POTENTIALS)]() if named else self.potential
        return found

    @cached_property
    def steps_of(self) -> Smooth:
        """The monitor g with its slope; 1 with a fixed step."""
        if self.method == "fixed":
            return Uniform()
        given = _USUAL.get(type(self.energy)) if self.monitor is None else self.monitor
        if not isinstance(given, str):
            if given is None:
                raise InvalidInput(
                    "monitor is missing: give g with .value(x) and .slope(x), the name of one "
                    f"({', '.join(MONITORS)}), or method='fixed' for steps that do not adapt."
                )
            return cast(Smooth, given)
        if choice("monitor", given, MONITORS) == "spring" and isinstance(self.energy, Spring):
            return SpringMonitor(self.energy)
        made: Smooth = MONITORS[given]()
        return made

    @property
    def share(self) -> float:
        """The factor of T g' in the drift: 0 for the naive chain."""
        return self.correction if self.method == "ip" else 0.0

    @cached_property
    def domain(self) -> tuple[float, float]:
        """Where exp(-V/T) is more than nothing, in one dimension."""
        return domain_of(lambda x: evaluated("potential.value", self.energy.value, x, high=True), self.temperature)

    @cached_property
    def places(self) -> tuple[Array, float]:
        """Where slopes are checked, and the length over which functions may change."""
        if self.dimension == 1:
            low, high = self.domain
            return np.linspace(low, high, _LOOKED_AT), min(1.0, (high - low) / 20)
        cloud = np.random.default_rng(0).normal(size=(_CLOUD, self.dimension))
        return cloud, 1.0

    def g(self, x: Array) -> Array:
        """Return the monitor.

        Parameters
        ----------
        x : ndarray, (n,) or (n, d)
            Places.

        Returns
        -------
        ndarray, (n,)
            Above 0.

        Raises
        ------
        UnknownName
            Where no monitor has the name that was given.
        InvalidInput
            Where it is not above 0, or no number.
        """
        found = evaluated("monitor.value", self.steps_of.value, x, x.shape[:1])
        if found.size and found.min() <= 0:
            worst = int(found.argmin())
            raise InvalidInput(f"monitor must be above 0, got {found[worst]:g} at x = {x[worst]}: time would stop.")
        return found


@dataclass(frozen=True, eq=False, repr=False)
class Langevin(System):
    r"""A chain of Euler's steps whose length adapts: x' = x + h (-g V' + c T g') + sqrt(2 T g h) N(0, 1) (F100).

    With time step g h at x, the invariance-preserving chain ("ip", c = 1) keeps exp(-V/T) as h goes to 0, the naive one
    (c = 0) keeps exp(-V/T)/g, and its averages weighted by g are those of exp(-V/T). At finite h each has a law of its
    own, which `fluctua.predict` computes.

    Parameters
    ----------
    potential : str or object
        "spring", "double-well", "harmonic", or an object with .value(x) and .slope(x), for arrays or for numbers.
    monitor : str or object, optional
        The scale g of a step, above 0, with its slope. By default the one of the potential's name.
    lr : float
        The step h in the fictitious time.
    temperature : float
        T, above 0.
    method : str
        "ip", "naive" or "fixed" (g = 1).
    correction : float
        The factor c of T g' with "ip": 1 is right, anything else is a mutant.
    dimension : int
        Of x; in more than one dimension chains are simulated, and the law of the chain is not known.

    Raises
    ------
    InvalidInput
        For numbers out of range, a monitor that is not above 0, an exp(-V/T) that cannot be normalised, and for a slope
        that differs from a finite difference of its value by more than 1e-6: where, and both numbers.
    NotConverged
        Where the interval in which exp(-V/T) lives was not found.

    Notes
    -----
    Cost: 14 calls of the functions, at 257 places.

    References
    ----------
    Leroy, Leimkuhler, Latz and Higham, SIAM J. Sci. Comput. 46, A3574 (2024), arXiv:2403.11993.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies.adaptive import Langevin
    >>> law = fl.predict(Langevin("spring", lr=0.3, temperature=0.1))
    >>> print(f"E x = {law.moments[0]:.10f}, E x^2 = {law.moments[1]:.10f}")
    E x = -0.5990454231, E x^2 = 0.8174082825
    """


def moves(chain: Langevin, x: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of the next place from each (F100)."""
    g, h = chain.g(x), chain.lr
    wide = g[:, None] if x.ndim > 1 else g
    drift = -wide * evaluated("potential.slope", chain.energy.slope, x)
    if chain.share:
        drift = drift + chain.share * chain.temperature * evaluated("monitor.slope", chain.steps_of.slope, x)
    return x + h * drift, np.sqrt(2 * chain.temperature * g * h)


def kept_density(system: System, x: Array) -> Array:
    """Return the density that continuous time keeps on an even grid: exp(-V/T) g^(c - 1), c the correction."""
    return normalised(_energies(system, x) - (system.share - 1.0) * np.log(system.g(x)), x)


def target_density(system: System, x: Array) -> Array:
    """Return the density exp(-V/T) on an even grid."""
    return normalised(_energies(system, x), x)


def _energies(system: System, x: Array) -> Array:
    """V/T."""
    return evaluated("potential.value", system.energy.value, x) / system.temperature
