"""Learning-rate schedules: eta_t at every step, with the names and the arithmetic of `torch.optim.lr_scheduler`.

A schedule belongs to a recipe, ``fl.SGD(lr, batch_size, schedule=...)``, and gives the rate of each *step*: that of a
torch loop which calls ``scheduler.step()`` after every ``optimizer.step()``. Any other schedule is an array, `ArrayLR`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validate.values import choice, positive_int, real_array, real_number, shown, step_numbers
from ..errors import InvalidInput

__all__ = ["SHAPES", "ArrayLR", "CosineAnnealingLR", "InverseTimeLR", "LinearLR", "Schedule", "StepLR", "read_schedule"]

Array = NDArray[np.float64]
LARGEST = 1e150  # of a rate: its square is still inside the range of floats


@dataclass(frozen=True)
class Schedule:
    """What the learning rate does in time; the base of the schedules here."""

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t at the given steps, counted from 0, for the recipe's `lr`."""
        raise NotImplementedError

    def refuse_beyond(self, steps: int) -> None:
        """Raise `InvalidInput` if the schedule does not reach that far; only an array can end."""

    @property
    def words(self) -> str:
        """The schedule in words."""
        given = {name: value if isinstance(value, int) else f"{value:g}" for name, value in asdict(self).items()}
        options = ", ".join(f"{name}={value}" for name, value in given.items())
        return f"{type(self).__name__}({options})"

    def to_dict(self) -> dict[str, Any]:
        """Return the schedule as plain JSON types, with its name."""
        return {"name": type(self).__name__, **asdict(self)}


@dataclass(frozen=True)
class StepLR(Schedule):
    """eta_t = lr gamma^floor(t/step_size): the rate falls by a factor every so many steps.

    Parameters
    ----------
    step_size : int
    gamma : float
        Above 0.
    """

    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", positive_int("step_size", self.step_size))
        object.__setattr__(self, "gamma", real_number("gamma", self.gamma, above=0.0, below=LARGEST))

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        return np.asarray(lr * self.gamma ** (step_numbers("steps", steps) // self.step_size))


@dataclass(frozen=True)
class CosineAnnealingLR(Schedule):
    """eta_t = eta_min + (lr - eta_min) (1 + cos(pi t/T_max))/2: half a cosine down to `eta_min`, after T_max steps.

    Parameters
    ----------
    T_max : int
        Beyond it the cosine comes up again, as torch's does.
    eta_min : float
    """

    T_max: int
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "T_max", positive_int("T_max", self.T_max))
        object.__setattr__(self, "eta_min", real_number("eta_min", self.eta_min, minimum=0.0, below=LARGEST))

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        share = 0.5 * (1 + np.cos(np.pi * step_numbers("steps", steps) / self.T_max))
        return np.asarray(self.eta_min + (lr - self.eta_min) * share)


@dataclass(frozen=True)
class LinearLR(Schedule):
    """eta_t = lr times a factor that moves in a line from `start_factor` to `end_factor`, and stays there.

    ``LinearLR(1, 0, steps)`` is the linear decay to zero, ``LinearLR(0.1, 1, steps)`` a warm-up.

    Parameters
    ----------
    start_factor, end_factor : float
    total_iters : int
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


@dataclass(frozen=True)
class InverseTimeLR(Schedule):
    """eta_t = lr / (1 + t/half_time): the 1/t decay of stochastic approximation (Robbins and Monro, 1951).

    Parameters
    ----------
    half_time : float
        Steps after which the rate is half of `lr`.
    """

    half_time: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "half_time", real_number("half_time", self.half_time, above=1 / LARGEST))

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t."""
        return np.asarray(lr / (1 + step_numbers("steps", steps) / self.half_time))


@dataclass(frozen=True)
class ArrayLR(Schedule):
    """eta_t = lr factors[t]: any schedule at all. With lr = 1 the array holds the rates themselves.

    Parameters
    ----------
    factors : sequence of float
        At least 0, one for each step of the run; a run longer than that is refused.
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


def read_schedule(given: Schedule | Mapping[str, Any] | ArrayLike) -> Schedule:
    """Return a schedule as it is, the one that `Schedule.to_dict` described, or an array's."""
    if isinstance(given, Schedule):
        return given
    if isinstance(given, Mapping):
        return _described(dict(given))
    _refuse_code(given)
    return ArrayLR(given)  # type: ignore[arg-type]


def _refuse_code(given: Any) -> None:
    """Raise `InvalidInput`, with what to call, for what makes rates and holds none: a scheduler, a function, a name."""
    kinds = {kind.__name__: kind for kind in Schedule.__subclasses__()}
    if isinstance(given, str):
        name, how = given, f"the shapes are {', '.join(f'fluctua.schedules.{kind}' for kind in kinds)}"
    elif isinstance(given, type) or hasattr(given, "get_last_lr"):
        name = given.__name__ if isinstance(given, type) else type(given).__name__
        call = f"call fluctua.schedules.{name} with the same arguments, or " if name in kinds else ""
        how = f"{call}record get_last_lr()[0] before each step of a run of the scheduler alone, and divide by lr"
    elif callable(given):
        name, how = getattr(given, "__name__", type(given).__name__), "numpy.array([f(t) for t in range(steps)])"
    else:
        return
    raise InvalidInput(
        f"schedule must be one of fluctua.schedules or an array of the factors of lr, one for each step, because rates "
        f"are needed before there is a run; got {name!r}. To make one: {how}."
    )


def _described(options: dict[Any, Any]) -> Schedule:
    kinds = {kind.__name__: kind for kind in Schedule.__subclasses__()}
    kind = kinds[choice("schedule", options.pop("name", None), kinds)]
    known = [item.name for item in fields(kind)]
    if unknown := [name for name in options if name not in known]:
        raise InvalidInput(f"the schedule {kind.__name__} has no {shown(unknown[0])}; it has {', '.join(known)}.")
    try:
        return kind(**options)
    except TypeError:
        raise InvalidInput(f"the schedule {kind.__name__} needs {', '.join(known)}, got {shown(options)}.") from None


SHAPES: dict[str, Callable[[int], Schedule | None]] = {
    "constant": lambda _steps: None,
    "linear": lambda steps: LinearLR(1.0, 0.0, steps),
    "cosine": CosineAnnealingLR,
    "step": lambda steps: StepLR(-(-steps // 3)),
    "inverse": lambda steps: InverseTimeLR(steps / 10),
}
"""Usual schedules, stretched over a run of so many steps: down to zero, by tenths at each third, or as 1/t."""
