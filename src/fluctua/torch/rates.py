"""Learning rates of an optimiser's groups, and the schedulers of torch that compute them from base rates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .._validate.values import real_number, shown
from ..errors import InvalidInput
from .rules import unwrapped

__all__ = ["held", "nested", "of_groups", "put_rate"]


def put_rate(group: dict[str, Any], rate: float) -> None:
    """Write a rate into a group, in place where it is a tensor."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def of_groups(name: str, value: Any, groups: int) -> list[float]:
    """One number for each group."""
    if not isinstance(value, (list, tuple)):
        return [real_number(name, value, minimum=0.0)] * groups
    if len(value) != groups:
        raise InvalidInput(f"{name} must be a number or one for each of the {groups} groups, got {len(value)}.")
    return [real_number(name, each, minimum=0.0) for each in value]


def held(schedulers: Any, optimizer: Optimizer) -> list[Any]:
    """Schedulers of torch behind the wrappers of other libraries; refuse what is none, or of another optimizer."""
    if not isinstance(schedulers, (list, tuple)):
        raise InvalidInput(f"schedulers must be a list of torch's, got {shown(schedulers)}.")
    found = [getattr(each, "scheduler", each) for each in schedulers]  # Accelerate's holds torch's
    for each in found:
        if not isinstance(each, LRScheduler):
            raise InvalidInput(
                f"schedulers must be those of torch.optim.lr_scheduler, got {shown(each)}: a cut multiplies the base "
                f"rates that they compute from."
            )
        if unwrapped(each.optimizer) is not optimizer:
            raise InvalidInput(f"the scheduler {type(each).__name__} is of another optimizer: a cut would change that.")
    return found


def nested(scheduler: Any) -> Iterator[Any]:
    """A scheduler and those it is made of, as far as they have base rates."""
    if hasattr(scheduler, "base_lrs"):
        yield scheduler
    for each in getattr(scheduler, "_schedulers", ()):
        yield from nested(each)
