"""The usual schedules: steps, half a cosine, a line, the 1/t decay, and an array of factors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._validate.values import positive_int, real_array, real_number, step_numbers
from ...errors import InvalidInput
from .base import LARGEST, Schedule, geometric

__all__ = ["ArrayLR", "CosineAnnealingLR", "InverseTimeLR", "LinearLR", "StepLR"]


@dataclass(frozen=True, repr=False)
class StepLR(Schedule):
    """The rate is multiplied by a factor every so many steps: eta_t = lr gamma^floor(t/step_size).

    Parameters
    ----------
    step_size : int
        Steps between two changes.
    gamma : float
        The factor, at least 0.

    Raises
    ------
    InvalidInput
        For values out of range.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.schedules.StepLR(step_size=2, gamma=0.5).rates(0.1, [0, 1, 2, 4]).tolist()
    [0.1, 0.1, 0.05, 0.025]
    """

    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", positive_int("step_size", self.step_size))
        object.__setattr__(self, "gamma", real_number("gamma", self.gamma, minimum=0.0, below=LARGEST))

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        return geometric(lr, self.gamma, step_numbers("steps", steps) // self.step_size)


@dataclass(frozen=True, repr=False)
class CosineAnnealingLR(Schedule):
    """Half a cosine down to `eta_min` in T_max steps: eta_t = eta_min + (lr - eta_min) (1 + cos(pi t/T_max))/2.

    Parameters
    ----------
    T_max : int
        Steps down. Beyond it the cosine comes up again, as torch's does.
    eta_min : float
        The rate at T_max, at least 0; it may be above `lr`.

    Raises
    ------
    InvalidInput
        For values out of range.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.schedules.CosineAnnealingLR(T_max=4).rates(0.1, [0, 2, 4]).round(3).tolist()
    [0.1, 0.05, 0.0]
    """

    T_max: int
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "T_max", positive_int("T_max", self.T_max))
        object.__setattr__(self, "eta_min", real_number("eta_min", self.eta_min, minimum=0.0, below=LARGEST))

    def times(self, factor: float) -> Schedule:
        """Return the schedule with its own rate, `eta_min`, times as much."""
        return replace(self, eta_min=self.eta_min * factor)

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        share = 0.5 * (1 + np.cos(np.pi * step_numbers("steps", steps) / self.T_max))
        return np.asarray(self.eta_min + (lr - self.eta_min) * share)


@dataclass(frozen=True, repr=False)
class LinearLR(Schedule):
    """The rate is `lr` times a factor that moves in a line from `start_factor` to `end_factor`, and stays there.

    ``LinearLR(1, 0, steps)`` is the linear decay to zero, ``LinearLR(0.1, 1, steps)`` a warm-up.

    Parameters
    ----------
    start_factor, end_factor : float
        At least 0, and not both 0.
    total_iters : int
        Steps from one factor to the other.

    Raises
    ------
    InvalidInput
        For values out of range, and for two factors that are 0.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.schedules.LinearLR(1.0, 0.0, total_iters=4).rates(0.1, [0, 2, 4, 9]).tolist()
    [0.1, 0.05, 0.0, 0.0]
    """

    start_factor: float = 1 / 3
    end_factor: float = 1.0
    total_iters: int = 5

    def __post_init__(self) -> None:
        for name in ("start_factor", "end_factor"):
            object.__setattr__(self, name, real_number(name, getattr(self, name), minimum=0.0, below=LARGEST))
        if not self.start_factor and not self.end_factor:
            raise InvalidInput("start_factor and end_factor are both 0: every rate would be, and nothing be trained.")
        object.__setattr__(self, "total_iters", positive_int("total_iters", self.total_iters))

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        passed = np.minimum(step_numbers("steps", steps) / self.total_iters, 1.0)
        return np.asarray(lr * (self.start_factor + (self.end_factor - self.start_factor) * passed))


@dataclass(frozen=True, repr=False)
class InverseTimeLR(Schedule):
    """The 1/t decay of stochastic approximation (Robbins and Monro, 1951): eta_t = lr / (1 + t/half_time).

    Parameters
    ----------
    half_time : float
        Steps after which the rate is half of `lr`; above 0.

    Raises
    ------
    InvalidInput
        For a half time out of range.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.schedules.InverseTimeLR(half_time=10).rates(0.1, [0, 10, 30]).tolist()
    [0.1, 0.05, 0.025]
    """

    half_time: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "half_time", real_number("half_time", self.half_time, above=1 / LARGEST))

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        return np.asarray(lr / (1 + step_numbers("steps", steps) / self.half_time))


@dataclass(frozen=True, repr=False)
class ArrayLR(Schedule):
    """A schedule of the caller's own: eta_t = lr factors[t]. With lr = 1 the array holds the rates themselves.

    Parameters
    ----------
    factors : sequence of float
        At least 0, one for each step of the run; a run longer than that is refused.

    Raises
    ------
    InvalidInput
        For negative factors, for factors that are all 0, and for what is no row of numbers.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.schedules.ArrayLR([1.0, 0.5, 0.5]).rates(0.1, [0, 2]).tolist()
    [0.1, 0.05]
    """

    factors: Iterable[float]

    def __post_init__(self) -> None:
        values = real_array("a schedule", self.factors, ndim=1, shape="(steps,)")  # type: ignore[arg-type]
        if values.min() < 0:
            bad = int(np.argmin(values))
            raise InvalidInput(
                f"a learning rate cannot be negative: the schedule's factor at step {bad} is {values[bad]:g}."
            )
        largest = float(values.max())  # a float32 cannot be compared with what it cannot hold
        if not 0 < largest < LARGEST:
            raise InvalidInput(
                f"the largest factor of a schedule must be above 0, or nothing is trained, and below {LARGEST:g}, or "
                f"squares of rates leave the range of floats; got {largest:g}."
            )
        object.__setattr__(self, "factors", tuple(values.tolist()))

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        t = step_numbers("steps", steps)
        self.refuse_beyond(int(t.max(initial=-1)) + 1)
        return np.asarray(lr * np.array(self.factors)[t])

    def refuse_beyond(self, steps: int) -> None:
        """Raise `InvalidInput` where the array is shorter than the run."""
        given = len(tuple(self.factors))
        if positive_int("steps", steps, minimum=0) > given:
            raise InvalidInput(
                f"the schedule has {given} rates and the run {steps} steps: every step needs its rate. Give one of "
                f"{steps}, or run for {given} steps."
            )

    @property
    def words(self) -> str:
        """The schedule in words."""
        values = tuple(self.factors)
        return f"a schedule of {len(values)} rates, factors {values[0]:g} to {values[-1]:g}"
