"""The arguments that most public functions have, refused before any work if they are of another type."""

from __future__ import annotations

from typing import Any

from ._validate import flag, function, instance
from .averaging import EMA, RunningAverage
from .problem import LeastSquares
from .sgd import SGD

__all__ = ["door"]

_LEFT_OUT: Any = object()


def door(
    problem: Any = _LEFT_OUT, sgd: Any = _LEFT_OUT, *, average: Any = None, progress: Any = None, staged: Any = None,
    **flags: Any,
) -> None:  # fmt: skip
    """Raise `InvalidInput`, by name, for an argument that is not what its name stands for; `flags` are True or False.

    What is left out is not looked at. `staged` is a progress that is told the stage too.
    """
    if problem is not _LEFT_OUT:
        instance("problem", problem, LeastSquares, "a problem, fluctua.LeastSquares(inputs, targets)")
    if sgd is not _LEFT_OUT:
        instance("sgd", sgd, SGD, "a recipe, fluctua.SGD(lr, batch_size)")
    if average is not None:
        instance("average", average, (EMA, RunningAverage), "fluctua.EMA(decay), fluctua.RunningAverage(start) or None")
    function("progress", progress, ("fraction",))
    function("progress", staged, ("stage", "fraction"))
    for name, value in flags.items():
        flag(name, value)
