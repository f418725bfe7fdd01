r"""Samplers with a momentum of unit mass, which begins at rest; the explicit step, SGHMC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .._validate.values import real_number
from ..errors import InvalidInput
from .langevin import Langevin
from .sampling import Sampling, WeightedSampling
from .schedules import LARGEST, Schedule
from .step import Step
from .thermal_steps import explicit_kinetic

__all__ = ["SGHMC", "Kinetic"]


@dataclass(frozen=True, repr=False)
class Kinetic(Langevin):
    """What every sampler with a momentum shares: friction."""

    lr: float
    friction: float
    batch_size: int
    temperature: float
    weight_decay: float = 0.0
    sampling: Sampling | WeightedSampling = "with_replacement"
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "friction", real_number("friction", self.friction, above=0.0, below=LARGEST))

    @property
    def inertia(self) -> str:
        """Friction and temperature in words."""
        return f"friction {self.friction:g}, {super().inertia}"


@dataclass(frozen=True, repr=False)
class SGHMC(Kinetic):
    r"""Stochastic gradient Hamiltonian Monte Carlo: the explicit step of underdamped Langevin dynamics.

    One step is ``W' = W + lr p`` and ``p' = (1 - lr friction) p - lr g + N(0, lr T (2 friction - lr T beta))``, both
    from the old values, T the temperature and g the gradient of one fresh batch at the old weights: one gradient per
    step, and no resampling of the momentum.

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
    beta : float
        Estimate of the gradient noise that is taken out of the thermal noise, in units of the loss over T; its variance
        per unit of time, lr T^2 beta, at most that of friction. 0 takes nothing out.

    Raises
    ------
    InvalidInput
        For a value out of range, a `beta` with 2 friction - lr T beta < 0, epochs and a schedule; `UnknownName` for an
        unknown sampling.

    Notes
    -----
    The law is F93. Its mean is stable where lr h < friction in every mode, det F < 1: the explicit step explodes in
    steep modes at small friction. Source: Chen, Fox, Guestrin, Stochastic gradient Hamiltonian Monte Carlo, ICML 2014;
    blackjax and posteriors have this step.

    Examples
    --------
    >>> import fluctua as fl
    >>> problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [[0.5], [1.5], [2.0]])
    >>> sampler = fl.SGHMC(lr=0.05, friction=2.0, batch_size=1, temperature=0.1)
    >>> print(fl.predict(problem, sampler).inflation.round(4))
    [1.4092]
    """

    OPTIMISER: ClassVar[str] = "SGHMC"

    beta: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "beta", real_number("beta", self.beta, minimum=0.0, below=LARGEST))
        taken = self.temperature * self.lr * self.beta
        if 2 * self.friction < taken:
            raise InvalidInput(
                f"beta = {self.beta:g} takes more noise from a step than it has: 2 friction - temperature lr beta = "
                f"{2 * self.friction - taken:.6g}, its variance per lr and temperature, is below 0. Use beta <= "
                f"{2 * self.friction / (self.temperature * self.lr):.6g}, a larger friction or a smaller lr."
            )

    @property
    def step(self) -> Step:
        """What one step does with a gradient and with thermal noise."""
        return explicit_kinetic(self.lr, self.friction, self.temperature, self.beta)

    @property
    def inertia(self) -> str:
        """Friction, temperature and beta in words."""
        return super().inertia + (f", beta {self.beta:g}" if self.beta else "")
