"""The hooks on an optimiser: they sample, count, and start the clock anew where anything changed; they never raise."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from ..errors import InvalidInput
from .clock import Clock, identity, settings
from .part import Part
from .rules import rules_of, unwrapped
from .windows import Piece

__all__ = ["Hooked"]


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    """Whatever happens in a hook, training goes on: the monitor stops, and says why."""

    @functools.wraps(method)
    def run(self: Hooked, *arguments: Any) -> Any:
        try:
            with torch.no_grad():
                return None if self._stopped else method(self, *arguments)
        except Exception as error:
            self._stop(f"the monitor has stopped, {type(error).__name__}: {error}")
            return None

    return run


def _uncompiled(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook that torch.compile leaves alone, and that costs nothing more where nothing is compiled."""
    apart: Callable[..., Any] = torch.compiler.disable(hook)  # type: ignore[no-untyped-call]

    def call(*arguments: Any) -> Any:
        return (apart if torch.compiler.is_compiling() else hook)(*arguments)

    return call


class Hooked(ABC):
    """What watches an optimiser through its hooks before and after a step."""

    def __init__(self, optimizer: Optimizer, every: int, kind: str, sketch: int | str | None) -> None:
        self.optimizer = unwrapped(optimizer)
        self._rules = rules_of(self.optimizer)
        _refuse_weights(self.optimizer)
        self._every, self._kind, self._sketch = every, kind, sketch
        self._steps, self._phase, self._middle, self._stopped = 0, 0, every // 2, False
        self._clock: Clock | None = None
        self._seen = self._settings()
        self._handles = [
            self.optimizer.register_step_pre_hook(_uncompiled(self._before)),
            self.optimizer.register_step_post_hook(_uncompiled(self._after)),
        ]

    @abstractmethod
    def _look(self, clock: Clock, blocks: list[Piece]) -> None:
        """Look at two windows."""

    @abstractmethod
    def restart(self, reason: str = "") -> None:
        """Start the clock anew, and say why.

        Parameters
        ----------
        reason : str, optional
            What is said.
        """

    def remove(self) -> None:
        """Take the hooks off the optimiser; what was found stays."""
        for handle in self._handles:
            handle.remove()

    def _settings(self) -> tuple[Any, Any]:
        return settings(self.optimizer, self._rules.settings), identity(self.optimizer)

    def _new_clock(self) -> Clock:
        return Clock(self.optimizer, self._rules, self._every, self._kind, self._sketch)

    def _before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        """Sample in the middle of a unit; other steps pay for two comparisons."""
        if self._clock is None or self._phase != self._middle:
            return None
        return self._sample(optimizer, args, kwargs)

    @_guarded
    def _sample(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        """Take up a step; with a closure, when it has set the gradients."""
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if closure is None:
            self._take(optimizer)
            return None
        observed = self._observed(closure)
        if "closure" in kwargs:
            return args, {**kwargs, "closure": observed}
        return (args[0], observed, *args[2:]), kwargs

    def _observed(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        def call() -> Any:
            loss = closure()
            self._observe(self.optimizer)
            return loss

        return call

    @_guarded
    def _observe(self, optimizer: Optimizer) -> None:
        self._take(optimizer)

    def _take(self, optimizer: Optimizer) -> None:
        if any(g.is_sparse for part in self._parts() for each in part.params if (g := each.grad) is not None):
            self._stop("a gradient is sparse: its norm cannot be read without waiting for the device")
        elif self._clock is not None:
            self._clock.observe(getattr(optimizer, "grad_scale", None), getattr(optimizer, "found_inf", None))

    def _parts(self) -> list[Part]:
        return [] if self._clock is None else self._clock.parts

    def _after(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        """Count the step, and end a unit."""
        self._steps += 1
        self._phase += 1
        if self._clock is not None and "found_inf" in optimizer.__dict__:
            self._skip(optimizer.__dict__["found_inf"])
        if self._phase >= self._every:
            self._phase = 0
            self._end()

    @_guarded
    def _skip(self, found: torch.Tensor | None) -> None:
        if self._clock is not None and found is not None:
            self._clock.skip(found)

    @_guarded
    def _end(self) -> None:
        """End a unit: begin anew where anything changed, otherwise look where a look is due."""
        seen = self._settings()
        if seen != self._seen:
            what = "the learning rate or another setting" if seen[1] == self._seen[1] else "the list of parameters"
            self.restart(f"{what} changed at step {self._steps}, and the clock started anew")
            self._seen = seen
        elif self._clock is None:
            self._begin()
        elif (blocks := self._clock.tick()) is not None:
            self._look(self._clock, blocks)

    def _begin(self) -> None:
        """Start the clock, where anything moves."""
        if all(not isinstance(group["lr"], torch.Tensor) and group["lr"] == 0 for group in self.optimizer.param_groups):
            self.restart("the learning rate is 0: nothing moves")
        else:
            self._clock = self._new_clock()

    def _stop(self, reason: str) -> None:
        """Let go of everything, and say why."""
        self.restart(reason)
        self._stopped = True


def _refuse_weights(optimizer: Optimizer) -> None:
    """Refuse weights whose scalar products cannot be taken."""
    for group in optimizer.param_groups:
        for each in group["params"]:
            if each.is_complex():
                raise InvalidInput("a parameter is complex: the monitor takes real ones. Use torch.view_as_real.")
            if type(each).__name__ == "DTensor":
                raise InvalidInput(
                    "a parameter is a DTensor (FSDP2, tensor parallel): its scalar products would need communication, "
                    "which the monitor does not do. Use DistributedDataParallel."
                )
            if isinstance(each, torch.nn.UninitializedParameter) or each.is_meta:
                raise InvalidInput("a parameter has no values yet: run a batch through the model first.")
