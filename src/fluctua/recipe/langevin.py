r"""Samplers: steps with a thermal source, whose stationary law is meant to be a posterior.

With the loss L of `LeastSquares` and a temperature T their target is exp(-L/T), S = c T H^-1: for noise of variance s2
in the targets T = s2/N, and `weight_decay` is T times the precision of the prior. Each draws one gradient per step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .._validate.arguments import is_sampler
from .._validate.plain import JsonObject
from .._validate.values import real_number
from ..errors import InvalidInput
from .sampling import FULL, Sampler, Sampling, WeightedSampling
from .schedules import LARGEST, Schedule
from .sgd import Recipe
from .step import Step
from .thermal_steps import overdamped

__all__ = ["SGLD", "ULA", "Langevin"]


class Langevin(Recipe):
    """What every sampler shares: a temperature, and batches that may be all samples."""

    tempered: ClassVar[bool] = True
    drop_last: ClassVar[bool] = False  # type: ignore[misc]  # of epochs, which a sampler has not

    temperature: float

    def __post_init__(self) -> None:
        self._hold_common()
        heat = real_number("temperature", self.temperature, minimum=0.0, below=LARGEST)
        object.__setattr__(self, "temperature", heat)
        self.refuse_epochs(f"the law of {self.OPTIMISER} is of independent batches")
        if self.schedule is not None:
            raise InvalidInput(
                f"{self.OPTIMISER} has no schedule: its law is that of a constant step, which has a stationary state. "
                f"Leave schedule out; predict each step size by itself."
            )

    def _hold_batch(self) -> None:
        """Take no batch size for all samples in every step."""
        if self.batch_size is not None:
            super()._hold_batch()
        elif self.sampling != "with_replacement":
            raise InvalidInput(
                f"batch_size = None takes every sample in every step, and sampling = {self.sampling!r} says how some "
                f"are drawn. Leave sampling out, or give a batch_size."
            )

    @property
    def sampler(self) -> Sampler:
        """How batches are drawn."""
        return FULL if self.batch_size is None else super().sampler

    @property
    def inertia(self) -> str:
        """The temperature in words."""
        return f"temperature {self.temperature:g}"

    def to_dict(self) -> JsonObject:
        """Return the recipe as plain JSON types, keyed by the constructor's names and the optimiser's."""
        return {"optimizer": self.OPTIMISER, **super().to_dict()}


@dataclass(frozen=True, repr=False)
class SGLD(Langevin):
    r"""Stochastic gradient Langevin dynamics: the Euler step of overdamped Langevin dynamics, one batch per step.

    One step is ``W' = W - lr g + sqrt(2 lr temperature) xi`` with g the batch gradient plus ``weight_decay W`` and a
    standard normal xi of its own for every weight: one gradient, and one draw of noise, per step. Its target is
    exp(-L/temperature). For noise of variance s2 in the targets the posterior has ``temperature = s2/N`` and
    ``weight_decay`` = temperature times the precision of the prior.

    Parameters
    ----------
    lr : float
        Step size eta > 0, in units of the mean loss. blackjax's `step_size` is eta times the temperature; the `lr` of
        posteriors is eta.
    batch_size : int or None
        Samples per batch, b >= 1; None is the full batch, without gradient noise.
    temperature : float
        T >= 0; 0 is `SGD`.
    weight_decay : float
        The coefficient gamma >= 0 of ``gamma/2 |W|^2`` in the loss.
    sampling : str or fluctua.WeightedSampling
        Independent batches, as that of `SGD`; epochs are refused.
    schedule : None
        A sampler has none; anything else is refused.

    Raises
    ------
    InvalidInput
        For a value out of range, for epochs and for a schedule; `UnknownName` for an unknown sampling.

    Notes
    -----
    The law is F91: exact at any step size and batch size, minibatch noise included. Source: Welling, Teh, Bayesian
    learning via stochastic gradient Langevin dynamics, ICML 2011.

    Examples
    --------
    >>> import fluctua as fl
    >>> problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [[0.5], [1.5], [2.0]])
    >>> sampler = fl.SGLD(lr=0.02, batch_size=1, temperature=0.1)
    >>> print(fl.predict(problem, sampler).inflation.round(4), fl.predict(problem, sampler).target.round(4))
    [1.1969] [0.0143]
    """

    OPTIMISER: ClassVar[str] = "SGLD"

    lr: float
    batch_size: int
    temperature: float
    weight_decay: float = 0.0
    sampling: Sampling | WeightedSampling = "with_replacement"
    schedule: Schedule | None = None

    @property
    def step(self) -> Step:
        """What one step does with a gradient and with thermal noise."""
        return overdamped(self.temperature)


@dataclass(frozen=True, repr=False)
class ULA(Langevin):
    r"""The unadjusted Langevin algorithm: `SGLD` with the full batch, one full gradient per step.

    Parameters
    ----------
    lr : float
        Step size eta > 0, in units of the mean loss.
    temperature : float
        T >= 0 of the target exp(-L/T).
    weight_decay : float
        As that of `SGLD`.
    schedule : None
        A sampler has none; anything else is refused.

    Raises
    ------
    InvalidInput
        For a value out of range, and for a schedule.

    Notes
    -----
    In a mode of curvature h the variance is that of the target over 1 - eta h/2 (F91).

    Examples
    --------
    >>> import fluctua as fl
    >>> problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [[0.5], [1.5], [2.0]])
    >>> print(fl.predict(problem, fl.ULA(lr=0.02, temperature=0.1)).inflation.round(6))
    [1.075269]
    """

    OPTIMISER: ClassVar[str] = "ULA"
    batch_size: ClassVar[None] = None  # type: ignore[misc, assignment]
    sampling: ClassVar[Sampling] = "with_replacement"  # type: ignore[misc]

    lr: float
    temperature: float
    weight_decay: float = 0.0
    schedule: Schedule | None = None

    @property
    def step(self) -> Step:
        """What one step does with a gradient and with thermal noise."""
        return overdamped(self.temperature)


is_sampler(Langevin)
