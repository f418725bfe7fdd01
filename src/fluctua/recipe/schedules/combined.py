"""Schedules made of schedules: one after another, their product, and one that is stepped once an epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._validate.values import listed, positive_int, step_numbers
from ...errors import InvalidInput
from .base import Schedule, grown
from .cycles import OneCycleLR
from .decays import ConstantLR, ExponentialLR, MultiStepLR, PolynomialLR, whole_numbers
from .reading import read_schedule
from .shapes import CosineAnnealingLR, LinearLR, StepLR

__all__ = ["ChainedScheduler", "PerEpoch", "SequentialLR"]

_FACTORS = (StepLR, MultiStepLR, ExponentialLR, LinearLR, PolynomialLR, ConstantLR)


@dataclass(frozen=True, repr=False)
class SequentialLR(Schedule):
    """One schedule after another, each from its own step 0: a warm-up and then a decay.

    Parameters
    ----------
    schedulers : sequence of fluctua.schedules.Schedule
        In their order. torch's own do not nest without a shift or an error, and OneCycleLR overwrites the rate at which
        the others begin: `SequentialLR`, `ChainedScheduler` and `OneCycleLR` are refused here.
    milestones : sequence of int
        The steps at which the second, the third, ... begin, in rising order: one fewer than `schedulers`.

    Raises
    ------
    InvalidInput
        For values out of range, and for schedules that are refused here.

    Examples
    --------
    >>> import fluctua as fl
    >>> warm_up, decay = fl.schedules.LinearLR(0.5, 1.0, total_iters=2), fl.schedules.CosineAnnealingLR(4)
    >>> both = fl.schedules.SequentialLR([warm_up, decay], milestones=[2])
    >>> both.rates(0.1, [0, 1, 2, 4, 6]).round(3).tolist()
    [0.05, 0.075, 0.1, 0.05, 0.0]
    """

    schedulers: Iterable[Schedule]
    milestones: Iterable[int]

    def __post_init__(self) -> None:
        parts = _parts(self.schedulers)
        if refused := [part for part in parts if isinstance(part, SequentialLR | ChainedScheduler | OneCycleLR)]:
            raise InvalidInput(
                f"a {type(refused[0]).__name__} inside SequentialLR is not covered: torch's begins a step early, "
                f"raises, or changes the rates of its neighbours. List the parts of sequences in one, or use "
                f"fluctua.schedules.from_torch, which takes the rates as torch has them."
            )
        begins = whole_numbers("milestones", self.milestones)
        if len(begins) != len(parts) - 1 or any(later < former for former, later in pairwise(begins)):
            raise InvalidInput(
                f"milestones must be {len(parts) - 1} steps in rising order, one for each schedule after the first of "
                f"{len(parts)}; got {list(begins)}."
            )
        object.__setattr__(self, "schedulers", parts)
        object.__setattr__(self, "milestones", begins)

    def _pieces(self) -> Iterator[tuple[Schedule, int, float]]:
        """Yield each schedule with the step at which it begins and the one at which the next does."""
        begins = (0, *self.milestones)
        yield from zip(self.schedulers, begins, (*begins[1:], np.inf), strict=True)

    def times(self, factor: float) -> Schedule:
        """Return the schedule with its parts' own rates times as much."""
        return replace(self, schedulers=[part.times(factor) for part in self.schedulers])

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        t = step_numbers("steps", steps)
        self.refuse_beyond(int(t.max(initial=-1)) + 1)
        found = np.empty(t.shape)
        for part, begin, end in self._pieces():
            inside = (begin <= t) & (t < end)
            found[inside] = part.rates(lr, t[inside] - begin)
        return found

    def refuse_beyond(self, steps: int) -> None:
        """Raise `InvalidInput` where one of the schedules ends before its turn does."""
        for part, begin, end in self._pieces():
            lasts = int(min(positive_int("steps", steps, minimum=0, maximum=np.inf), end)) - begin
            if lasts > 0:
                _refuse_part(part, lasts, f"of SequentialLR, from step {begin} on, ")


@dataclass(frozen=True, repr=False)
class ChainedScheduler(Schedule):
    """The product of the factors of several schedules.

    Parameters
    ----------
    schedulers : sequence of fluctua.schedules.Schedule
        Of `StepLR`, `MultiStepLR`, `ExponentialLR`, `LinearLR`, `PolynomialLR` and `ConstantLR`, and
        `CosineAnnealingLR` with eta_min 0 up to its T_max: after that torch's adds to what the others do.

    Raises
    ------
    InvalidInput
        For what is no product of factors: other schedules, and a floor of the cosine.

    Examples
    --------
    >>> import fluctua as fl
    >>> parts = [fl.schedules.ConstantLR(0.5, total_iters=2), fl.schedules.ExponentialLR(0.5)]
    >>> fl.schedules.ChainedScheduler(parts).rates(0.2, [0, 1, 2]).round(3).tolist()
    [0.1, 0.05, 0.05]
    """

    schedulers: Iterable[Schedule]

    def __post_init__(self) -> None:
        parts = _parts(self.schedulers)
        for part in parts:
            if not (isinstance(part, _FACTORS) or (isinstance(part, CosineAnnealingLR) and not part.eta_min)):
                raise InvalidInput(
                    f"ChainedScheduler multiplies factors, and {part.words} is not one: torch's overwrites the others, "
                    f"or adds to them. Use fluctua.schedules.from_torch, which takes the rates as torch has them."
                )
        object.__setattr__(self, "schedulers", parts)

    def times(self, factor: float) -> Schedule:
        """Return the schedule with its parts' own rates times as much."""
        return replace(self, schedulers=[part.times(factor) for part in self.schedulers])

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        t = step_numbers("steps", steps)
        self.refuse_beyond(int(t.max(initial=-1)) + 1)
        factors = [part.rates(1.0, t) for part in self.schedulers]
        with np.errstate(over="ignore"):
            return grown(np.asarray(lr * np.prod(factors, axis=0)))

    def refuse_beyond(self, steps: int) -> None:
        """Raise `InvalidInput` beyond the T_max of a cosine."""
        for part in self.schedulers:
            if isinstance(part, CosineAnnealingLR) and steps > part.T_max + 1:
                raise InvalidInput(
                    f"a ChainedScheduler with {part.words} has {part.T_max + 1} rates and the run {steps} steps: "
                    f"beyond T_max torch's cosine adds to the other factors. Give T_max={steps}, or use "
                    f"fluctua.schedules.from_torch."
                )


@dataclass(frozen=True, repr=False)
class PerEpoch(Schedule):
    """A schedule that the loop steps once an epoch: eta_t is the rate of step floor(t/batches) of that schedule.

    Parameters
    ----------
    schedule : fluctua.schedules.Schedule or sequence of float
        Its step is an epoch; a sequence holds the factor of every epoch.
    batches : int
        Steps of an epoch, ceil(N/b), or floor(N/b) where the incomplete last batch is dropped.

    Raises
    ------
    InvalidInput
        For what is no schedule, and a number of batches below 1.

    Examples
    --------
    >>> import fluctua as fl
    >>> decay = fl.schedules.PerEpoch(fl.schedules.ExponentialLR(0.5), batches=32)
    >>> decay.rates(0.1, [0, 31, 32, 64]).tolist()
    [0.1, 0.1, 0.05, 0.025]
    """

    schedule: Schedule
    batches: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", read_schedule(self.schedule))
        object.__setattr__(self, "batches", positive_int("batches", self.batches))

    def times(self, factor: float) -> Schedule:
        """Return the schedule with its own rates times as much."""
        return replace(self, schedule=self.schedule.times(factor))

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        t = step_numbers("steps", steps)
        self.refuse_beyond(int(t.max(initial=-1)) + 1)
        return self.schedule.rates(lr, t // self.batches)

    def refuse_beyond(self, steps: int) -> None:
        """Raise `InvalidInput` where the schedule has fewer rates than the run has epochs."""
        epochs = -(-positive_int("steps", steps, minimum=0, maximum=np.inf) // self.batches)
        _refuse_part(self.schedule, epochs, f"of PerEpoch, {self.batches} steps to an epoch and its steps epochs, ")

    @property
    def words(self) -> str:
        """The schedule in words."""
        return f"{self.schedule.words}, stepped once in {self.batches} steps"


def _parts(given: object) -> tuple[Schedule, ...]:
    return tuple(map(read_schedule, listed("schedulers", given, "schedules")))


def _refuse_part(part: Schedule, steps: int, where: str) -> None:
    """Raise `InvalidInput` if a part does not reach that far, with the place that the part has."""
    try:
        part.refuse_beyond(steps)
    except InvalidInput as error:
        raise InvalidInput(f"{where}{error}") from None
