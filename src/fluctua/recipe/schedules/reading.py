"""A schedule from what a caller gave or a file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from numpy.typing import ArrayLike

from ..._validate.plain import Header, Keywords
from ..._validate.values import choice, shown
from ...errors import InvalidInput
from .base import Schedule
from .shapes import ArrayLR

__all__ = ["read_schedule"]


def read_schedule(given: Schedule | Header | ArrayLike) -> Schedule:
    """Return a schedule as it is, the one that `Schedule.to_dict` described, or an array's.

    Parameters
    ----------
    given : Schedule, mapping or array_like
        A schedule, its description, or the factors of `ArrayLR`.

    Returns
    -------
    Schedule
        One of the classes of this module.

    Raises
    ------
    InvalidInput
        For a scheduler of torch, a function, a name, and what no schedule can be made of; the text says what to call.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.schedules.read_schedule({"name": "StepLR", "step_size": 30, "gamma": 0.1})
    StepLR(step_size=30, gamma=0.1)
    """
    if isinstance(given, Schedule):
        return given
    if isinstance(given, Mapping):
        return _described(dict(given))
    _refuse_code(given)
    return ArrayLR(given)  # type: ignore[arg-type]


def _refuse_code(given: object) -> None:
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


def _described(options: Keywords) -> Schedule:
    kinds = {kind.__name__: kind for kind in Schedule.__subclasses__()}
    kind = kinds[choice("schedule", options.pop("name", None), kinds)]
    known = [item.name for item in fields(kind)]
    if unknown := [name for name in options if name not in known]:
        raise InvalidInput(f"the schedule {kind.__name__} has no {shown(unknown[0])}; it has {', '.join(known)}.")
    try:
        return kind(**options)
    except TypeError:
        raise InvalidInput(f"the schedule {kind.__name__} needs {', '.join(known)}, got {shown(options)}.") from None
