"""Potentials and monitors by name: each has a value and a slope, in one dimension, for arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._arrays import Array
from ..._results import Brief
from ..._validate.values import real_number

__all__ = ["MONITORS", "POTENTIALS", "DoubleWell", "Harmonic", "Narrow", "Spring", "SpringMonitor", "Uniform"]


class Shape(Brief, ABC):
    """A function of the place with its slope."""

    @abstractmethod
    def value(self, x: Array) -> Array:
        """Return the values.

        Parameters
        ----------
        x : ndarray, (n,)
            Places.

        Returns
        -------
        ndarray, (n,)
            One for every place.
        """

    @abstractmethod
    def slope(self, x: Array) -> Array:
        """Return the derivative.

        Parameters
        ----------
        x : ndarray, (n,)
            Places.

        Returns
        -------
        ndarray, (n,)
            One for every place.
        """


class _Numbers(Shape):
    """One whose fields are numbers; those of `_POSITIVE` are above 0."""

    _POSITIVE: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, Shape):
                real_number(name, value, **({"above": 0.0} if name in self._POSITIVE else {}))


@dataclass(frozen=True, repr=False)
class Spring(_Numbers):
    """A spring that is stiff near x0: V' = (w^2 + c0) x with w = b/(b/a + (x - x0)^2).

    Parameters
    ----------
    a, b : float
        The stiffness at x0 is a^2, and it falls to c0 over sqrt(b/a).
    x0, c0 : float
        Where it is stiff, and how stiff it is elsewhere.

    Raises
    ------
    InvalidInput
        For what is no finite number, or not above 0 where it has to be.

    Examples
    --------
    >>> import numpy as np
    >>> from fluctua.studies.adaptive import Spring
    >>> Spring(a=1.0, b=1.0, x0=0.0).slope(np.array([0.0, 1.0]))
    array([0.  , 0.35])
    """

    _POSITIVE = "a", "b", "c0"

    a: float = 2.75
    b: float = 0.1
    x0: float = 0.5
    c0: float = 0.1

    def value(self, x: Array) -> Array:
        """Return V."""
        u, s = x - self.x0, self.b / self.a
        well = u / (2 * s * (s + u**2)) + np.arctan(u / np.sqrt(s)) / (2 * s**1.5)
        return np.asarray(-(self.b**2) / (2 * (s + u**2)) + self.b**2 * self.x0 * well + self.c0 * x**2 / 2)

    def slope(self, x: Array) -> Array:
        """Return V'."""
        return np.asarray((_stiffness(self, x)[0] ** 2 + self.c0) * x)


def _stiffness(spring: Spring, x: Array) -> tuple[Array, Array]:
    """Return w and its derivative."""
    u = x - spring.x0
    w = spring.b / (spring.b / spring.a + u**2)
    return w, -2 * u * w**2 / spring.b


@dataclass(frozen=True, repr=False)
class SpringMonitor(_Numbers):
    """Steps that shrink where a spring is stiff: g = 1/(1/M + 1/sqrt(w^-2 + m)).

    Parameters
    ----------
    spring : Spring
        Whose stiffness it looks at.
    m, M : float
        They keep g above sqrt(m) M/(M + sqrt(m)), and below M.

    Raises
    ------
    InvalidInput
        For what is no finite number, or not above 0 where it has to be.

    Examples
    --------
    >>> import numpy as np
    >>> from fluctua.studies.adaptive import Spring, SpringMonitor
    >>> SpringMonitor(Spring(a=1.0, b=1.0, x0=0.0), m=0.5625, M=1.25).value(np.array([0.0, 1.0]))
    array([0.625     , 0.78854118])
    """

    _POSITIVE = "m", "M"

    spring: Spring = field(default_factory=Spring)
    m: float = 0.001
    M: float = 1.5

    def value(self, x: Array) -> Array:
        """Return g."""
        w, _ = _stiffness(self.spring, x)
        return np.asarray(1 / (1 / self.M + 1 / np.sqrt(w**-2 + self.m)))

    def slope(self, x: Array) -> Array:
        """Return g'."""
        w, dw = _stiffness(self.spring, x)
        root = np.sqrt(w**-2 + self.m)
        return np.asarray(-(self.value(x) ** 2) * dw / (w * root) ** 3)


@dataclass(frozen=True, repr=False)
class DoubleWell(_Numbers):
    """Two wells, V = height (x^2 - 1)^2.

    Parameters
    ----------
    height : float
        Of the barrier between them.

    Raises
    ------
    InvalidInput
        For what is no finite number, or not above 0 where it has to be.

    Examples
    --------
    >>> import numpy as np
    >>> from fluctua.studies.adaptive import DoubleWell
    >>> DoubleWell(height=1.0).value(np.array([0.0, 1.0]))
    array([1., 0.])
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
    """A spring of one stiffness: V = curvature x^2/2.

    Parameters
    ----------
    curvature : float
        Above 0.

    Raises
    ------
    InvalidInput
        For what is no finite number, or not above 0 where it has to be.

    Examples
    --------
    >>> import numpy as np
    >>> from fluctua.studies.adaptive import Harmonic
    >>> Harmonic(curvature=3.0).value(np.array([0.0, 1.0]))
    array([0. , 1.5])
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

    Parameters
    ----------
    width, least : float
        Where g falls, and to what.

    Raises
    ------
    InvalidInput
        For what is no finite number, or not above 0 where it has to be.

    Examples
    --------
    >>> import numpy as np
    >>> from fluctua.studies.adaptive import Narrow
    >>> Narrow(width=1.0, least=0.5).value(np.array([0.0, 1.0]))
    array([1.  , 0.75])
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
class Uniform(Shape):
    """Steps that do not adapt: g = 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fluctua.studies.adaptive import Uniform
    >>> Uniform().value(np.array([0.0, 1.0]))
    array([1., 1.])
    """

    def value(self, x: Array) -> Array:
        """Return 1 for every place."""
        return np.ones(np.shape(x)[:1])

    def slope(self, x: Array) -> Array:
        """Return 0."""
        return np.zeros(np.shape(x))


POTENTIALS: dict[str, Any] = {"spring": Spring, "double-well": DoubleWell, "harmonic": Harmonic}
MONITORS: dict[str, Any] = {"spring": SpringMonitor, "double-well": Narrow, "harmonic": Narrow, "uniform": Uniform}
"""A potential without a monitor takes the one of its name."""
