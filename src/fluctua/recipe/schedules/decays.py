"""More decays of `torch.optim.lr_scheduler`: exponential, at milestones, polynomial, and a factor for a while."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._validate.values import as_array, positive_int, real_number, step_numbers
from .base import LARGEST, Schedule, geometric

__all__ = ["ConstantLR", "ExponentialLR", "MultiStepLR", "PolynomialLR", "whole_numbers"]


@dataclass(frozen=True, repr=False)
class ExponentialLR(Schedule):
    """The rate is multiplied by a factor at every step: eta_t = lr gamma^t.

    Parameters
    ----------
    gamma : float
        The factor, at least 0.

    Raises
    ------
    InvalidInput
        For a factor out of range.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.schedules.ExponentialLR(gamma=0.5).rates(0.1, [0, 1, 2]).tolist()
    [0.1, 0.05, 0.025]
    """

    gamma: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "gamma", real_number("gamma", self.gamma, minimum=0.0, below=LARGEST))

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        return geometric(lr, self.gamma, step_numbers("steps", steps))


@dataclass(frozen=True, repr=False)
class MultiStepLR(Schedule):
    """The rate is multiplied by a factor at each milestone: eta_t = lr gamma^n, with n milestones up to step t.

    Parameters
    ----------
    milestones : sequence of int
        Steps at which the rate changes, from 0 up; one that is named twice counts twice, as with torch.
    gamma : float
        The factor, at least 0.

    Raises
    ------
    InvalidInput
        For values out of range.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.schedules.MultiStepLR([2, 5], gamma=0.5).rates(0.1, [0, 1, 2, 5]).tolist()
    [0.1, 0.1, 0.05, 0.025]
    """

    milestones: Iterable[int]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "milestones", whole_numbers("milestones", self.milestones))
        object.__setattr__(self, "gamma", real_number("gamma", self.gamma, minimum=0.0, below=LARGEST))

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        ordered = np.array(sorted(self.milestones), dtype=np.int64)
        passed = np.searchsorted(ordered, step_numbers("steps", steps), side="right")
        return geometric(lr, self.gamma, passed)


@dataclass(frozen=True, repr=False)
class PolynomialLR(Schedule):
    """The rate falls to zero as a power of what is left of the run: eta_t = lr (1 - t/total_iters)^power.

    Parameters
    ----------
    total_iters : int
        Steps down to zero, where the rate stays.
    power : float
        At least 0; 1 is the linear decay.

    Raises
    ------
    InvalidInput
        For values out of range.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.schedules.PolynomialLR(total_iters=4, power=2.0).rates(0.16, [0, 2, 3, 9]).tolist()
    [0.16, 0.04, 0.01, 0.0]
    """

    total_iters: int = 5
    power: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "total_iters", positive_int("total_iters", self.total_iters))
        object.__setattr__(self, "power", real_number("power", self.power, minimum=0.0))

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        passed = np.minimum(step_numbers("steps", steps) / self.total_iters, 1.0)
        return np.asarray(lr * (1.0 - passed) ** self.power)


@dataclass(frozen=True, repr=False)
class ConstantLR(Schedule):
    """The rate is `lr` times a factor for a while, and then `lr`.

    Parameters
    ----------
    factor : float
        At least 0; torch's is at most 1.
    total_iters : int
        Steps with the factor.

    Raises
    ------
    InvalidInput
        For values out of range.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.schedules.ConstantLR(factor=0.5, total_iters=2).rates(0.1, [0, 1, 2, 9]).tolist()
    [0.05, 0.05, 0.1, 0.1]
    """

    factor: float = 1 / 3
    total_iters: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", real_number("factor", self.factor, minimum=0.0, below=LARGEST))
        object.__setattr__(self, "total_iters", positive_int("total_iters", self.total_iters))

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        return np.asarray(lr * np.where(step_numbers("steps", steps) < self.total_iters, self.factor, 1.0))


def whole_numbers(name: str, given: Iterable[int]) -> tuple[int, ...]:
    """Return whole numbers from 0 up as a tuple; there may be none."""
    if isinstance(given, list | tuple):
        return tuple(positive_int(name, value, minimum=0) for value in given)
    return tuple(positive_int(name, value, minimum=0) for value in np.atleast_1d(as_array(name, given)))
