"""Potentials and monitors by name: each has a value and a slope, in one dimension, for arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._arrays import Array
from ..._results import Brief
from ..._validate.values import real_number

__all__ = ["MONITORS", "POTENTIALS", "DoubleWell", "Harmonic", "Narrow", "Spring", "SpringMonitor", "Uniform"]


class _Numbers(Brief):
    """A potential or a monitor whose fields are numbers; those of `_POSITIVE` are above 0."""

    _POSITIVE: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, (int, float)):
                real_number(name, value, **({"above": 0.0} if name in self._POSITIVE else {}))


@dataclass(frozen=True, repr=False)
class Spring(_Numbers):
    """A spring that is stiff near x0: V' = (w^2 + c0) x with w = b/(b/a + (x - x0)^2).

    Attributes
    ----------
    a, b : float
        The stiffness at x0 is a^2, and it falls to c0 over sqrt(b/a).
    x0, c0 : float
        Where it is stiff, and how stiff it is elsewhere.
    """

    _POSITIVE = "a", "b", "c0"

    a: float = 2.75
    b: float = 0.1
    x0: float = 0.5
    c0: float = 0.1

    def stiffness(self, x: Array) -> tuple[Array, Array]:
        """Return w and its derivative."""
        u = x - self.x0
        w = self.b / (self.b / self.a + u**2)
        return w, -2 * u * w**2 / self.b

    def value(self, x: Array) -> Array:
        """Return V."""
        u, s = x - self.x0, self.b / self.a
        well = u / (2 * s * (s + u**2)) + np.arctan(u / np.sqrt(s)) / (2 * s**1.5)
        return np.asarray(-(self.b**2) / (2 * (s + u**2)) + self.b**2 * self.x0 * well + self.c0 * x**2 / 2)

    def slope(self, x: Array) -> Array:
        """Return V'."""
        return np.asarray((self.stiffness(x)[0] ** 2 + self.c0) * x)


@dataclass(frozen=True, repr=False)
class SpringMonitor(_Numbers):
    """Steps that shrink where a spring is stiff: g = 1/(1/M + 1/sqrt(w^-2 + m)).

    Attributes
    ----------
    spring : Spring
    m, M : float
        They keep g above sqrt(m) M/(M + sqrt(m)), and below M.
    """

    _POSITIVE = "m", "M"

    spring: Spring = field(default_factory=Spring)
    m: float = 0.001
    M: float = 1.5

    def value(self, x: Array) -> Array:
        """Return g."""
        w, _ = self.spring.stiffness(x)
        return np.asarray(1 / (1 / self.M + 1 / np.sqrt(w**-2 + self.m)))

    def slope(self, x: Array) -> Array:
        """Return g'."""
        w, dw = self.spring.stiffness(x)
        root = np.sqrt(w**-2 + self.m)
        return np.asarray(-(self.value(x) ** 2) * dw / (w * root) ** 3)


@dataclass(frozen=True, repr=False)
class DoubleWell(_Numbers):
    """Two wells, V = height (x^2 - 1)^2.

    Attributes
    ----------
    height : float
        Of the barrier between them.
    """

    _POSITIVE = ("height",)

    height: float = 0.3

    def value(self, x: Array) -> Array:
        """Return V."""
        return np.asarray(self.height * (x**2 - 1) ** 2)

    def slope(self, x: Array) -> Array:
        """Return V'."""
        return np.asarray(4 * self.height * x * (x**2 - 1))


@dataclass(frozen=True, repr=False)
class Harmonic(_Numbers):
    """V = curvature x^2/2.

    Attributes
    ----------
    curvature : float
    """

    _POSITIVE = ("curvature",)

    curvature: float = 1.0

    def value(self, x: Array) -> Array:
        """Return V."""
        return np.asarray(self.curvature * x**2 / 2)

    def slope(self, x: Array) -> Array:
        """Return V'."""
        return np.asarray(self.curvature * x)


@dataclass(frozen=True, repr=False)
class Narrow(_Numbers):
    """Steps that grow where |x| does not: g = least + (1 - least)/(1 + (x/width)^4), for walls that are steep.

    Attributes
    ----------
    width, least : float
        Where g falls, and to what.
    """

    _POSITIVE = "width", "least"

    width: float = 1.3
    least: float = 0.1

    def value(self, x: Array) -> Array:
        """Return g."""
        return np.asarray(self.least + (1 - self.least) / (1 + (x / self.width) ** 4))

    def slope(self, x: Array) -> Array:
        """Return g'."""
        fourth = (x / self.width) ** 4
        return np.asarray(-(1 - self.least) * 4 * fourth / (np.where(x == 0, 1.0, x) * (1 + fourth) ** 2))


@dataclass(frozen=True, repr=False)
class Uniform(_Numbers):
    """g = 1: steps that do not adapt."""

    def value(self, x: Array) -> Array:
        """Return 1 for every place."""
        return np.ones(np.shape(x)[:1])

    def slope(self, x: Array) -> Array:
        """Return 0."""
        return np.zeros(np.shape(x))


POTENTIALS: dict[str, Any] = {"spring": Spring, "double-well": DoubleWell, "harmonic": Harmonic}
MONITORS: dict[str, Any] = {"spring": SpringMonitor, "double-well": Narrow, "harmonic": Narrow, "uniform": Uniform}
"""A potential without a monitor takes the one of its name."""
