"""What every schedule does: a rate at each step, a text, a description as plain JSON types."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array, Ints
from ..._results import Brief
from ..._validate.plain import Json, JsonObject
from ...errors import InvalidInput

__all__ = ["LARGEST", "Schedule", "geometric", "grown"]

LARGEST = 1e150  # of a rate: its square is still inside the range of floats


@dataclass(frozen=True, repr=False)
class Schedule(Brief):
    """What the learning rate does in time; the base of the schedules here.

    Examples
    --------
    >>> import fluctua as fl
    >>> isinstance(fl.schedules.StepLR(step_size=30), fl.schedules.Schedule)
    True
    """

    def rates(self, lr: float, steps: ArrayLike) -> Array:
        """Return eta_t at the given steps.

        Parameters
        ----------
        lr : float
            The recipe's learning rate, which the schedule changes in time.
        steps : array_like of int
            Counted from 0.

        Returns
        -------
        ndarray
            One rate per step, in the shape of `steps`.

        Raises
        ------
        InvalidInput
            For steps that are not whole numbers from 0 up, and beyond the end of a schedule that ends.
        """
        raise NotImplementedError

    def times(self, factor: float) -> Schedule:
        """Return the schedule of a recipe whose lr is `factor` times as much: all rates are.

        Parameters
        ----------
        factor : float
            Above 0.

        Returns
        -------
        Schedule
            Itself, where all its rates are multiples of lr.
        """
        del factor
        return self

    def refuse_beyond(self, steps: int) -> None:
        """Raise `InvalidInput` if the schedule does not reach that far, as an array and one cycle do not.

        Parameters
        ----------
        steps : int
            Length of the run.

        Raises
        ------
        InvalidInput
            If the schedule has fewer rates than the run has steps.
        """

    @property
    def words(self) -> str:
        """The schedule in words."""
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        usual = {item.name for item in fields(self) if item.kw_only and given[item.name] == item.default}
        options = [f"{name}={_said(value)}" for name, value in given.items() if value is not None and name not in usual]
        return f"{type(self).__name__}({', '.join(options)})"

    def to_dict(self) -> JsonObject:
        """Return the schedule as plain JSON types, with its name."""
        return {"name": type(self).__name__, **{item.name: _plain(getattr(self, item.name)) for item in fields(self)}}


def geometric(lr: float, gamma: float, times: Ints) -> Array:
    """Return lr gamma^n for each n of `times`."""
    with np.errstate(over="ignore"):
        return grown(np.asarray(lr * gamma**times))


def grown(rates: Array) -> Array:
    """Return the rates, if none is beyond what a rate can be."""
    if not (rates < LARGEST).all():
        raise InvalidInput(
            f"a rate of this schedule is {LARGEST:g} or more: squares of such rates leave the range of floats. Use "
            f"smaller factors, or fewer steps."
        )
    return rates


def _said(value: object) -> str:
    if isinstance(value, Schedule):
        return value.words
    if isinstance(value, tuple):
        return f"[{', '.join(map(_said, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain(value: Json | Schedule | tuple[object, ...]) -> Json:
    if isinstance(value, Schedule):
        return value.to_dict()
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value  # type: ignore[arg-type]
