"""What of a monitor is saved, and what is refused when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .._validate.values import shown
from ..errors import InvalidInput
from . import clock as clocks
from . import windows
from .clock import Clock
from .evidence import Look

if TYPE_CHECKING:
    from .monitor import EquilibriumMonitor

__all__ = ["RESUMED", "copied", "refuse_other", "restored"]

ARGUMENTS = ("_delta", "_alpha", "_every", "_kind", "_sketch")
RESUMED = (*ARGUMENTS, "_steps", "_begun", "_quiet", "_stopped", "_states", "_resting", "_skipped", "_reason")
"""Attributes that are saved as they are."""
OTHERS = ("_seen", "_strayed", "_trained", "clock", "looks")
LATER = {"_begun", "_quiet", "_resting", "_strayed", "_trained"}
"""Those that earlier versions did not save."""


def copied(value: Any) -> Any:
    """Return a copy, tensors too, that later steps do not change."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {name: copied(each) for name, each in value.items()}
    return [copied(each) for each in value] if isinstance(value, list) else value


def refuse_other(monitor: EquilibriumMonitor, state: Mapping[str, Any]) -> None:
    """Refuse the state of another kind of monitor."""
    missing = {*RESUMED, *OTHERS} - set(state if isinstance(state, Mapping) else ())
    earlier = bool(missing) and missing <= LATER
    if not isinstance(state, Mapping) or missing - LATER or set(state["looks"]) != {f.name for f in fields(Look)}:
        raise InvalidInput(f"state is not that of an EquilibriumMonitor: {shown(state)}.")
    if earlier or (state["clock"] is not None and not _of_now(state["clock"])):
        raise InvalidInput(
            "the state was saved by another version of fluctua, whose sums were others: they cannot be gone on with. "
            "Load model and optimizer, and let the new monitor begin anew."
        )
    groups = monitor.optimizer.param_groups
    if state["clock"] is not None and (
        len(state["_seen"]) != len(groups) or _is_local(state["clock"]) != monitor._rules.local
    ):
        raise InvalidInput(
            f"the state is of another optimizer: this one is {type(monitor.optimizer).__name__} with {len(groups)} "
            "groups of parameters. Make the optimizer as it was."
        )
    for name in ARGUMENTS:
        if state[name] != getattr(monitor, name):
            raise InvalidInput(
                f"the state is of a monitor with {name[1:]} = {state[name]}, and this one has "
                f"{getattr(monitor, name)}: its decisions would not be the same. Make it with the same arguments."
            )


def _of_now(clock: Mapping[str, Any]) -> bool:
    """Whether a clock was saved by a version whose sums were these."""
    return set(clock) == {"shapes", *clocks.SAVED} and set(clock["windows"]) == set(windows.SAVED)


def _is_local(clock: Mapping[str, Any]) -> bool:
    """Whether a clock's optimiser was one whose unit is the local one."""
    return any(part["_start"] is not None for part in clock["parts"])


def restored(clock: Clock, saved: dict[str, Any]) -> None:
    """Give a new clock what was saved; refuse that of other weights."""
    if saved["shapes"] != clock.shapes:
        raise InvalidInput(
            f"the state is of weights of shapes {shown(saved['shapes'])}, and the optimizer has {shown(clock.shapes)}."
        )
    clock.load({name: value for name, value in saved.items() if name != "shapes"})
