"""The schedules of `torch.optim.lr_scheduler` that go up as well: one cycle, and the cosine with warm restarts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array, Ints
from ..._validate.values import choice, flag, positive_int, real_number, step_numbers
from ...errors import InvalidInput
from .base import LARGEST, Schedule, grown

__all__ = ["CosineAnnealingWarmRestarts", "OneCycleLR"]


@dataclass(frozen=True, repr=False)
class CosineAnnealingWarmRestarts(Schedule):
    """Half a cosine down, again and again: eta = eta_min + (lr - eta_min) (1 + cos(pi T_cur/T_i))/2.

    T_cur counts the steps since the last restart, and T_i, the steps until the next, grows by the factor T_mult.

    Parameters
    ----------
    T_0 : int
        Steps until the first restart.
    T_mult : int
        At least 1.
    eta_min : float
        The rate that each cosine goes down to, at least 0.

    Raises
    ------
    InvalidInput
        For values out of range.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.schedules.CosineAnnealingWarmRestarts(T_0=2, T_mult=2).rates(0.1, [0, 1, 2, 4, 6]).round(3).tolist()
    [0.1, 0.05, 0.1, 0.05, 0.1]
    """

    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "T_0", positive_int("T_0", self.T_0))
        object.__setattr__(self, "T_mult", positive_int("T_mult", self.T_mult))
        object.__setattr__(self, "eta_min", real_number("eta_min", self.eta_min, minimum=0.0, below=LARGEST))

    def times(self, factor: float) -> Schedule:
        """Return the schedule with its own rate, `eta_min`, times as much."""
        return replace(self, eta_min=self.eta_min * factor)

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        t = step_numbers("steps", steps)
        passed, lasts = (t % self.T_0, np.array(float(self.T_0))) if self.T_mult == 1 else self._since_restart(t)
        return np.asarray(self.eta_min + (lr - self.eta_min) * (1 + np.cos(np.pi * passed / lasts)) / 2)

    def _since_restart(self, t: Ints) -> tuple[Ints, Array]:
        """Return T_cur and T_i; the restarts are as many as the logarithm of the last step."""
        starts, lasts = [0], [self.T_0]
        while starts[-1] + lasts[-1] <= t.max(initial=0):
            starts.append(starts[-1] + lasts[-1])
            lasts.append(lasts[-1] * self.T_mult)
        which = np.searchsorted(np.array(starts), t, side="right") - 1
        return t - np.array(starts)[which], np.array(lasts, dtype=float)[which]


@dataclass(frozen=True, repr=False)
class OneCycleLR(Schedule):
    """The rate goes up to `max_lr` and down far below where it began, with a cosine or in a line each way.

    It begins at max_lr/div_factor and ends at max_lr/(div_factor final_div_factor). torch's scheduler overwrites the
    optimiser's lr, and so does this one: with a number for `max_lr` the rates are torch's whatever `SGD` was given as
    lr. Without one lr itself is the peak.

    Parameters
    ----------
    max_lr : float, optional
        The peak, one number; by default the recipe's lr.
    total_steps : int, optional
        Steps of the cycle. A longer run is refused.
    epochs, steps_per_epoch : int, optional
        Their product is `total_steps`, where that is not given.
    pct_start : float
        Share of the steps on the way up, from 0 to 1.
    anneal_strategy : "cos" or "linear"
        Shape of each way.
    cycle_momentum : bool
        False: the momentum of a recipe is one number. torch's default, True, moves the momentum and is refused, so a
        loop that is described here says ``cycle_momentum=False`` as well.
    div_factor, final_div_factor : float
        Above 0.
    three_phase : bool
        Whether the way down goes back to where it began, in as many steps as up, before it goes on.

    Raises
    ------
    InvalidInput
        For values out of range, a momentum that moves, a cycle without a length, or several learning rates;
        `UnknownName` for another strategy.

    Examples
    --------
    >>> import fluctua as fl
    >>> cycle = fl.schedules.OneCycleLR(max_lr=0.1, total_steps=10, cycle_momentum=False)
    >>> fl.SGD(lr=0.1, batch_size=8, schedule=cycle).rates([0, 2, 9]).round(7).tolist()
    [0.004, 0.1, 4e-07]
    """

    max_lr: float | None = None
    total_steps: int | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    pct_start: float = 0.3
    anneal_strategy: Literal["cos", "linear"] = "cos"
    _: KW_ONLY
    cycle_momentum: bool = True
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    def __post_init__(self) -> None:
        self._hold_numbers()
        object.__setattr__(self, "anneal_strategy", choice("anneal_strategy", self.anneal_strategy, ("cos", "linear")))
        object.__setattr__(self, "three_phase", flag("three_phase", self.three_phase))
        if flag("cycle_momentum", self.cycle_momentum):
            raise InvalidInput(
                "OneCycleLR moves the momentum unless cycle_momentum=False, and the momentum of a recipe is one "
                "number: a momentum that moves is not covered. Give cycle_momentum=False here and in the loop."
            )
        if self.pct_start * self._length == 1:
            raise InvalidInput(
                f"pct_start times the steps is 1, got {self.pct_start:g} times {self._length}: the way up takes no "
                f"step, and torch divides by zero there. Take another pct_start; 0 leaves the way up out."
            )

    def _hold_numbers(self) -> None:
        if isinstance(self.max_lr, Sequence):
            raise InvalidInput("max_lr must be one number: a learning rate for each parameter group is not covered.")
        if self.max_lr is not None:
            object.__setattr__(self, "max_lr", real_number("max_lr", self.max_lr, above=0.0, below=LARGEST))
        for name in ("total_steps", "epochs", "steps_per_epoch"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, positive_int(name, value))
        if self.total_steps is None and (self.epochs is None or self.steps_per_epoch is None):
            raise InvalidInput("OneCycleLR needs total_steps, or epochs and steps_per_epoch: the length of the cycle.")
        object.__setattr__(self, "pct_start", real_number("pct_start", self.pct_start, minimum=0.0, maximum=1.0))
        for name in ("div_factor", "final_div_factor"):
            number = real_number(name, getattr(self, name), above=1 / LARGEST, below=LARGEST)
            object.__setattr__(self, name, number)

    @property
    def _length(self) -> int:
        return self.total_steps or (self.epochs or 0) * (self.steps_per_epoch or 0)

    def times(self, factor: float) -> Schedule:
        """Return the schedule with its own rate, `max_lr`, times as much."""
        return self if self.max_lr is None else replace(self, max_lr=self.max_lr * factor)

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        t = step_numbers("steps", steps)
        self.refuse_beyond(int(t.max(initial=-1)) + 1)
        peak = lr if self.max_lr is None else self.max_lr
        turns, heights = self._turns(peak)
        phase = np.logical_and.accumulate([t > end for end in turns[1:-1]]).sum(axis=0)
        begin, end = turns[phase], turns[phase + 1]
        share = (t - begin) / np.where(end == begin, 1.0, end - begin)
        high, low = heights[phase], heights[phase + 1]
        with np.errstate(over="ignore", invalid="ignore"):
            if self.anneal_strategy == "linear":
                return grown(np.asarray((low - high) * share + high))
            return grown(np.asarray(low + (high - low) / 2.0 * (np.cos(np.pi * share) + 1)))

    def _turns(self, peak: float) -> tuple[Array, Array]:
        """Return the steps at which a way ends, not whole numbers, as torch has them, and the rates there."""
        first, length = peak / self.div_factor, self._length
        up, last = float(self.pct_start * length) - 1, first / self.final_div_factor
        if not self.three_phase:
            return np.array([0.0, up, length - 1]), np.array([first, peak, last])
        back = float(2 * self.pct_start * length) - 2
        return np.array([0.0, up, back, length - 1]), np.array([first, peak, first, last])

    def refuse_beyond(self, steps: int) -> None:
        """Raise `InvalidInput` where the cycle is shorter than the run."""
        if positive_int("steps", steps, minimum=0, maximum=np.inf) > self._length:
            raise InvalidInput(
                f"OneCycleLR has {self._length} rates and the run {steps} steps: the cycle ends before the run. Give "
                f"total_steps={steps}, or run for {self._length} steps."
            )
