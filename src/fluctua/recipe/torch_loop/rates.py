"""How each schedule is done in torch: torch's own class of that name, or a function of the step."""

from __future__ import annotations

from dataclasses import fields
from functools import singledispatch

import numpy as np

from ..._validate.sizes import refuse_bytes
from ..schedules.base import Schedule
from ..schedules.combined import ChainedScheduler, PerEpoch, SequentialLR
from ..schedules.cycles import OneCycleLR
from ..schedules.decays import ConstantLR
from ..schedules.shapes import ArrayLR, InverseTimeLR, LinearLR
from .layout import assigned, number, options

__all__ = ["rhythm", "scheduler"]


def scheduler(schedule: Schedule | None, lr: float, steps: int) -> list[str]:
    """Return the lines that make the scheduler of a run of so many steps; none without a schedule."""
    if schedule is None:
        return []
    inner, every = rhythm(schedule)
    if (text := _call(inner, lr)) is not None:
        return assigned(f"scheduler = {text}")
    count = -(-steps // every)
    refuse_bytes(f"a loop with {count:,} factors of lr written out", 200.0 * count, "Ask for fewer steps.")
    factors = inner.rates(lr, np.arange(count)) / lr
    return [
        *assigned(f"factors = [{', '.join(map(number, factors.tolist()))}]"),
        "scheduler = lr_scheduler.LambdaLR(",
        f"    optimizer, lambda step: factors[min(step, {len(factors) - 1})]",
        ")",
    ]


def rhythm(schedule: Schedule) -> tuple[Schedule, int]:
    """Return the schedule that is stepped, and after how many steps of the run each time."""
    if not isinstance(schedule, PerEpoch):
        return schedule, 1
    inner, every = rhythm(schedule.schedule)
    return inner, every * schedule.batches


@singledispatch
def _call(schedule: Schedule, lr: float) -> str | None:
    """Return the call that makes torch's scheduler; None where none of torch's has these rates."""
    del lr
    return _named(schedule, {})


def _named(schedule: Schedule, changed: dict[str, object]) -> str:
    given = {each.name: getattr(schedule, each.name) for each in fields(schedule) if each.name != "_"}
    usual = {each.name: each.default for each in fields(schedule)}
    told = {name: value for name, value in {**given, **changed}.items() if value != usual[name]}
    return f"lr_scheduler.{type(schedule).__name__}({', '.join(['optimizer', *options(told)])})"


@_call.register
def _(_schedule: ArrayLR | PerEpoch, _lr: float) -> str | None:
    return None


@_call.register
def _(schedule: InverseTimeLR, _lr: float) -> str | None:
    return f"lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step / {number(schedule.half_time)}))"


@_call.register
def _(schedule: LinearLR, _lr: float) -> str | None:
    return _named(schedule, {}) if 0 < schedule.start_factor <= 1 >= schedule.end_factor else None


@_call.register
def _(schedule: ConstantLR, _lr: float) -> str | None:
    return _named(schedule, {}) if schedule.factor <= 1 else None


@_call.register
def _(schedule: OneCycleLR, lr: float) -> str | None:
    ends, _ = schedule._turns(lr)
    if ends[-1] == ends[-2]:  # its last way takes no step, and torch divides by zero after it
        return None
    return _named(schedule, {"max_lr": lr if schedule.max_lr is None else schedule.max_lr})


@_call.register
def _(schedule: SequentialLR, lr: float) -> str | None:
    parts = _parts(schedule, lr)
    if parts is None:
        return None
    return f"lr_scheduler.SequentialLR(optimizer, [{parts}], milestones={list(schedule.milestones)})"


@_call.register
def _(schedule: ChainedScheduler, lr: float) -> str | None:
    parts = _parts(schedule, lr)
    return None if parts is None else f"lr_scheduler.ChainedScheduler([{parts}])"


def _parts(schedule: SequentialLR | ChainedScheduler, lr: float) -> str | None:
    parts = [_call(part, lr) for part in schedule.schedulers]
    told = [part for part in parts if part is not None]
    return ", ".join(told) if len(told) == len(parts) else None
