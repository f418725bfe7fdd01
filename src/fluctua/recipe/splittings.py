r"""Samplers that split underdamped Langevin dynamics: drifts, kicks, and friction with noise; one gradient per step.

With batches each step's gradient is of one fresh batch, wherever its kicks stand: two half kicks at one position are by
the same gradient. A program that draws a batch for each of them is another sampler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..errors import InvalidInput
from .kinetic import Kinetic
from .step import Step
from .thermal_steps import baoa, baoab, boba, obabo

__all__ = ["ABOBA", "BAOA", "BAOAB", "OBABO"]


class Splitting(Kinetic):
    """What every splitting shares: the exact motion of friction and noise."""

    FORGOTTEN: ClassVar[float] = 100.0
    """Friction times lr, from which nothing of a momentum is left after a step."""
    KEPT: ClassVar[float] = 1e-8
    """The same, below which all of it is: the momentum forgets in 1e8 steps, and the law has no six digits."""

    def __post_init__(self) -> None:
        super().__post_init__()
        lost, given = self.friction * self.lr, f"friction = {self.friction:g} times lr = {self.lr:g}"
        if lost > self.FORGOTTEN:
            raise InvalidInput(
                f"{given} is above {self.FORGOTTEN:g}: next to nothing of the momentum is left after a step, "
                f"exp(-friction lr). Use a smaller friction, or fluctua.SGLD, which has no momentum."
            )
        if lost < self.KEPT:
            raise InvalidInput(
                f"{given} is below {self.KEPT:g}: a step loses next to nothing of the momentum, which then takes more "
                f"than {1 / self.KEPT:.0e} steps to reach the temperature. Use a larger friction."
            )


@dataclass(frozen=True, repr=False)
class BAOA(Splitting):
    r"""The splitting BAOA of underdamped Langevin dynamics: one full kick, and BAOAB's positions.

    One step is ``p -= lr g``, ``W += lr/2 p``, ``p = c p + sqrt(T (1 - c^2)) xi`` with c = exp(-friction lr), and
    ``W += lr/2 p``, g the gradient of one fresh batch at the opening weights: one gradient per step. The momentum is
    read at the end of the step, before the next kick.

    Parameters
    ----------
    lr : float
        Step size eps > 0, in time: it moves flat modes as SGD of rate about eps/friction does.
    friction : float
        What the momentum loses per unit of time, > 0.
    batch_size : int or None
        Samples per batch, b >= 1; None is the full batch, without gradient noise.
    temperature : float
        T >= 0 of the target exp(-L/T), as that of `SGLD`.
    weight_decay : float
        The coefficient gamma >= 0 of ``gamma/2 |W|^2`` in the loss.
    sampling : str or fluctua.WeightedSampling
        Independent batches, as that of `SGD`; epochs are refused.
    schedule : None
        A sampler has none; anything else is refused.

    Raises
    ------
    InvalidInput
        For a value out of range, friction times lr above 100 or below 1e-8, epochs and a schedule; `UnknownName` for
        an unknown sampling.

    Notes
    -----
    The law is F94. With full batches the positions have the target's variance T/h exactly, for every lr below
    2/sqrt(h_max), and the momentum T. With smaller batches neither has.

    Examples
    --------
    >>> import fluctua as fl
    >>> problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [[0.5], [1.5], [2.0]])
    >>> for size in (None, 1):
    ...     sampler = fl.BAOA(lr=0.1, friction=2.0, batch_size=size, temperature=0.1)
    ...     print(fl.predict(problem, sampler).inflation.round(4))
    [1.]
    [1.3053]
    """

    OPTIMISER: ClassVar[str] = "BAOA"

    @property
    def step(self) -> Step:
        """What one step does with a gradient and with thermal noise."""
        return baoa(self.lr, self.friction, self.temperature)


@dataclass(frozen=True, repr=False)
class BAOAB(Splitting):
    r"""The splitting BAOAB of underdamped Langevin dynamics, one gradient per step.

    One step is half a kick, ``W += lr/2 p``, ``p = c p + sqrt(T (1 - c^2)) xi`` with c = exp(-friction lr),
    ``W += lr/2 p``, and half a kick by the gradient of a fresh batch at the new weights, which the next step's first
    half kick uses again: one gradient per step. The positions are those of `BAOA`; the momentum is read after the last
    half kick.

    Parameters
    ----------
    lr : float
        Step size eps > 0, in time: it moves flat modes as SGD of rate about eps/friction does.
    friction : float
        What the momentum loses per unit of time, > 0.
    batch_size : int or None
        Samples per batch, b >= 1; None is the full batch, without gradient noise.
    temperature : float
        T >= 0 of the target exp(-L/T), as that of `SGLD`.
    weight_decay : float
        The coefficient gamma >= 0 of ``gamma/2 |W|^2`` in the loss.
    sampling : str or fluctua.WeightedSampling
        Independent batches, as that of `SGD`; epochs are refused.
    schedule : None
        A sampler has none; anything else is refused.

    Raises
    ------
    InvalidInput
        For a value out of range, friction times lr above 100 or below 1e-8, epochs and a schedule; `UnknownName` for
        an unknown sampling.

    Notes
    -----
    The law is F94, but for half a kick in the first step. With full batches the positions have the target's variance
    T/h exactly, for every lr below 2/sqrt(h_max), and the momentum T (1 - lr^2 h/4). With smaller batches neither has:
    the exactness is a property of full batches. Source: Leimkuhler, Matthews, Rational construction of stochastic
    numerical methods for molecular sampling, Appl. Math. Res. eXpress 2013.

    Examples
    --------
    >>> import fluctua as fl
    >>> problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [[0.5], [1.5], [2.0]])
    >>> for size in (None, 1):
    ...     sampler = fl.BAOAB(lr=0.1, friction=2.0, batch_size=size, temperature=0.1)
    ...     print(fl.predict(problem, sampler).inflation.round(4))
    [1.]
    [1.3053]
    """

    OPTIMISER: ClassVar[str] = "BAOAB"

    @property
    def step(self) -> Step:
        """What one step does with a gradient and with thermal noise."""
        return baoab(self.lr, self.friction, self.temperature)


@dataclass(frozen=True, repr=False)
class ABOBA(Splitting):
    r"""The splitting ABOBA of underdamped Langevin dynamics, one gradient per step.

    One step is ``W += lr/2 p``, half a kick, ``p = c p + sqrt(T (1 - c^2)) xi`` with c = exp(-friction lr), half a
    kick, ``W += lr/2 p``; both half kicks are by the gradient of one fresh batch at the middle weights, where they are
    made: one gradient per step.

    Parameters
    ----------
    lr : float
        Step size eps > 0, in time: it moves flat modes as SGD of rate about eps/friction does.
    friction : float
        What the momentum loses per unit of time, > 0.
    batch_size : int or None
        Samples per batch, b >= 1; None is the full batch, without gradient noise.
    temperature : float
        T >= 0 of the target exp(-L/T), as that of `SGLD`.
    weight_decay : float
        The coefficient gamma >= 0 of ``gamma/2 |W|^2`` in the loss.
    sampling : str or fluctua.WeightedSampling
        Independent batches, as that of `SGD`; epochs are refused.
    schedule : None
        A sampler has none; anything else is refused.

    Raises
    ------
    InvalidInput
        For a value out of range, friction times lr above 10 or below 1e-8, epochs and a schedule; `UnknownName` for
        an unknown sampling.

    Notes
    -----
    The law is F95: the chain of the middle positions, which `OBABO` has too, closes; what is shown lies half a drift
    before. With full batches the positions have the target's variance T/h exactly, and the momentum T/(1 - lr^2 h/4).
    Lags, responses, entropy production and single outputs are those of the middle positions: ask `OBABO` for them.

    Examples
    --------
    >>> import fluctua as fl
    >>> problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [[0.5], [1.5], [2.0]])
    >>> for size in (None, 1):
    ...     sampler = fl.ABOBA(lr=0.1, friction=2.0, batch_size=size, temperature=0.1)
    ...     print(fl.predict(problem, sampler).inflation.round(4))
    [1.]
    [1.3031]
    """

    OPTIMISER: ClassVar[str] = "ABOBA"
    FORGOTTEN: ClassVar[float] = 10.0  # beyond, digits of its positions would be lost near critical damping

    @property
    def step(self) -> Step:
        """What one step does with a gradient and with thermal noise."""
        return boba(self.lr, self.friction, self.temperature)


@dataclass(frozen=True, repr=False)
class OBABO(Splitting):
    r"""The splitting OBABO of underdamped Langevin dynamics, one gradient per step.

    One step is half of O, ``p = sqrt(c) p + sqrt(T (1 - c)) xi`` with c = exp(-friction lr), half a kick, ``W += lr
    p``, half a kick by the gradient of a fresh batch at the new weights, and half of O. The next step's first half kick
    uses that gradient again: one gradient per step. The momentum is read at the end.

    Parameters
    ----------
    lr : float
        Step size eps > 0, in time: it moves flat modes as SGD of rate about eps/friction does.
    friction : float
        What the momentum loses per unit of time, > 0.
    batch_size : int or None
        Samples per batch, b >= 1; None is the full batch, without gradient noise.
    temperature : float
        T >= 0 of the target exp(-L/T), as that of `SGLD`.
    weight_decay : float
        The coefficient gamma >= 0 of ``gamma/2 |W|^2`` in the loss.
    sampling : str or fluctua.WeightedSampling
        Independent batches, as that of `SGD`; epochs are refused.
    schedule : None
        A sampler has none; anything else is refused.

    Raises
    ------
    InvalidInput
        For a value out of range, friction times lr above 100 or below 1e-8, epochs and a schedule; `UnknownName` for
        an unknown sampling.

    Notes
    -----
    The law is F95. With full batches the momentum has the variance T exactly, and the positions T/(h (1 - lr^2 h/4)).
    A fresh batch for each half kick would be another law, with (1 + c^2)/(1 + c)^2 of the gradient noise.

    Examples
    --------
    >>> import fluctua as fl
    >>> problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [[0.5], [1.5], [2.0]])
    >>> for size in (None, 1):
    ...     sampler = fl.OBABO(lr=0.1, friction=2.0, batch_size=size, temperature=0.1)
    ...     print(fl.predict(problem, sampler).inflation.round(4))
    [1.0178]
    [1.3263]
    """

    OPTIMISER: ClassVar[str] = "OBABO"

    @property
    def step(self) -> Step:
        """What one step does with a gradient and with thermal noise."""
        return obabo(self.lr, self.friction, self.temperature)
