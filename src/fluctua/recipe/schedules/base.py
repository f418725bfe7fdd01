"""What every schedule does: a rate at each step, a text, a description as plain JSON types."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._validate.plain import JsonObject

__all__ = ["LARGEST", "Schedule"]

LARGEST = 1e150  # of a rate: its square is still inside the range of floats


@dataclass(frozen=True)
class Schedule:
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
            For steps that are not whole numbers from 0 up, and beyond the end of an `ArrayLR`.
        """
        raise NotImplementedError

    def refuse_beyond(self, steps: int) -> None:
        """Raise `InvalidInput` if the schedule does not reach that far; only an array can end.

        Parameters
        ----------
        steps : int
            Length of the run.

        Raises
        ------
        InvalidInput
            If an `ArrayLR` holds fewer factors than the run has steps.
        """

    @property
    def words(self) -> str:
        """The schedule in words."""
        given = {name: value if isinstance(value, int) else f"{value:g}" for name, value in asdict(self).items()}
        options = ", ".join(f"{name}={value}" for name, value in given.items())
        return f"{type(self).__name__}({options})"

    def to_dict(self) -> JsonObject:
        """Return the schedule as plain JSON types, with its name."""
        return {"name": type(self).__name__, **asdict(self)}
