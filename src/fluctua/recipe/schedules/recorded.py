"""The rates of any scheduler of torch, from a run of the scheduler alone."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from ..._arrays import Array
from ..._validate.sizes import refuse_bytes
from ..._validate.values import positive_int, real_number, shown
from ...errors import InvalidInput
from .shapes import ArrayLR

__all__ = ["from_torch"]

_SMALL = 2.0**-20  # a power of two: where rates are multiples of lr they are exactly so


def from_torch(build: Callable[[Any], Any], steps: int, lr: float | None = None) -> ArrayLR:
    r"""Return the schedule that a scheduler of `torch.optim.lr_scheduler`, stepped after every batch, makes.

    The scheduler is built on an optimiser of its own, with one parameter group, and run alone. For a scheduler that is
    stepped once an epoch, `steps` are epochs, and `PerEpoch` takes the result.

    Parameters
    ----------
    build : callable
        ``build(optimizer)`` returns the scheduler, any that needs no loss, as in
        ``lambda optimizer: LambdaLR(optimizer, f)``.
    steps : int
        Length of the run.
    lr : float, optional
        The learning rate that the optimiser has, and that `SGD` must have. It is needed where rates are no multiples
        of it, as with an eta_min or a max_lr; without it that is checked.

    Returns
    -------
    ArrayLR
        The factor of lr at every step.

    Raises
    ------
    InvalidInput
        Where torch is not installed, for what builds no scheduler, a scheduler that follows the loss or moves the
        momentum, several learning rates, rates that are no multiples of lr without an `lr`, and (`TooLarge`) more
        steps than memory holds.

    Notes
    -----
    Cost: `steps` steps of the scheduler and of an optimiser of one number, about 1e-4 seconds each; twice that without
    `lr`. A number is kept for each step.

    Examples
    --------
    >>> import fluctua as fl
    >>> from torch.optim.lr_scheduler import LambdaLR
    >>> halved = fl.schedules.from_torch(lambda optimizer: LambdaLR(optimizer, lambda t: 0.5**t), 3)
    >>> fl.SGD(lr=0.1, batch_size=8, schedule=halved).rates([0, 1, 2]).tolist()
    [0.1, 0.05, 0.025]
    """
    count = positive_int("steps", steps)
    if not callable(build) or (hasattr(build, "get_last_lr") and not isinstance(build, type)):
        raise InvalidInput(
            f"build must be a function that builds the scheduler on the optimizer that it is given, as in "
            f"from_torch(lambda optimizer: {_name(build)}(optimizer, ...), steps); got {shown(build)}."
        )
    refuse_bytes(f"steps = {count}, each with its rate,", 40.0 * count, "Ask for fewer steps.")
    if lr is not None:
        given = real_number("lr", lr, above=0.0)
        return ArrayLR(_rates(build, count, given) / given)
    factors = _rates(build, count, 1.0)
    if not np.array_equal(_rates(build, count, _SMALL), factors * _SMALL):
        raise InvalidInput(
            "the rates of this scheduler are no multiples of the optimizer's lr, as with an eta_min or a max_lr of its "
            "own: give from_torch(build, steps, lr=...) the lr of the recipe."
        )
    return ArrayLR(factors)


def _name(given: object) -> str:
    return type(given).__name__ if hasattr(given, "get_last_lr") else "StepLR"


def _rates(build: Callable[[Any], Any], steps: int, lr: float) -> Array:
    """Return the rate before each step of a loop that steps the scheduler after the optimiser."""
    optimizer = _optimizer(lr)
    scheduler = _built(build, optimizer)
    before, rates = _told(optimizer), np.empty(steps)
    for step in range(steps):
        if step:
            optimizer.step()
            _stepped(scheduler, step)
        rates[step] = _rate(optimizer, before)
    return rates


def _optimizer(lr: float) -> Any:
    try:
        torch: Any = import_module("torch")  # the one place that runs torch, and only when asked to
    except ImportError:
        raise InvalidInput(
            "from_torch runs a scheduler of torch, and torch is not installed: pip install 'fluctua[torch]', or give "
            "an array with the factor of every step."
        ) from None
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=0.9)


def _built(build: Callable[[Any], Any], optimizer: Any) -> Any:
    try:
        scheduler = build(optimizer)
    except Exception as error:
        raise InvalidInput(
            f"build(optimizer) raised {type(error).__name__}: {error} It must build a scheduler on one parameter "
            f"group; a learning rate for each group is not covered."
        ) from error
    if "ReduceLROnPlateau" in [kind.__name__ for kind in type(scheduler).__mro__]:
        raise InvalidInput(
            "ReduceLROnPlateau follows the loss of the run, and rates are needed before there is a run: it is not "
            "covered."
        )
    if not callable(getattr(scheduler, "step", None)) or not hasattr(scheduler, "get_last_lr"):
        raise InvalidInput(f"build(optimizer) must return a scheduler of torch, got {shown(scheduler)}.")
    if getattr(scheduler, "optimizer", optimizer) is not optimizer:
        raise InvalidInput("build(optimizer) must build the scheduler on the optimizer that it is given, not another.")
    return scheduler


def _stepped(scheduler: Any, step: int) -> None:
    try:
        scheduler.step()
    except Exception as error:
        raise InvalidInput(
            f"the scheduler has {step} rates and raised {type(error).__name__} at its step {step}: {error}"
        ) from error


def _told(optimizer: Any) -> list[dict[str, Any]]:
    """Return everything but the learning rate that the optimiser holds for each group and its defaults name."""
    return [{name: group[name] for name in optimizer.defaults if name != "lr"} for group in optimizer.param_groups]


def _rate(optimizer: Any, before: list[dict[str, Any]]) -> float:
    """Return the one rate of all groups, where nothing else has moved."""
    rates = {float(group["lr"]) for group in optimizer.param_groups}
    if len(rates) > 1:
        raise InvalidInput(f"the parameter groups have the learning rates {sorted(rates)}: one of all is covered.")
    for was, now in zip(before, _told(optimizer), strict=True):
        if moved := [name for name in was if was[name] != now[name]]:
            raise InvalidInput(
                f"the scheduler moves the {moved[0]}, from {was[moved[0]]} to {now[moved[0]]}: that of a recipe is one "
                f"number. Build it with cycle_momentum=False."
            )
    return rates.pop()
