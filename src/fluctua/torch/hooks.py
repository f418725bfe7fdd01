"""The hook on an optimiser: it samples, counts, and starts the clock anew where anything changed; it never raises."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from ..errors import InvalidInput
from ..verification.equilibrium.looks import PER_LOOK, look_lengths
from .clock import Clock, shortest_look
from .closures import closure_of, is_of_lightning, with_closure
from .rules import rules_of, unwrapped
from .seen import SETTINGS, Seen
from .turns import LastHook
from .windows import Piece

__all__ = ["Hooked", "ordinarily"]


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    """Whatever happens in a hook, training goes on: the monitor stops, and says why."""

    @functools.wraps(method)
    def run(self: Hooked, *arguments: Any) -> Any:
        try:
            with torch.no_grad():
                return None if self._stopped else method(self, *arguments)
        except Exception as error:
            self._stop(_failed(error))
            return None

    return run


def ordinarily(method: Callable[..., Any]) -> Callable[..., Any]:
    """What is asked within torch.inference_mode makes tensors that may be written into outside of it."""

    @functools.wraps(method)
    def run(self: Hooked, *arguments: Any) -> Any:
        if not torch.is_inference_mode_enabled():
            return method(self, *arguments)
        with torch.inference_mode(False), torch.no_grad():
            return method(self, *arguments)

    return run


def _failed(error: Exception) -> str:
    return f"the monitor has stopped, {type(error).__name__}: {error}"


class Hooked(ABC):
    """What watches an optimiser through a hook before each step."""

    def __init__(self, optimizer: Optimizer, every: int, kind: str, sketch: int | str | None) -> None:
        self.optimizer = unwrapped(optimizer)
        self._rules = rules_of(self.optimizer)
        _refuse_weights(self.optimizer)
        self._every, self._kind, self._sketch = every, kind, sketch
        self._steps, self._stopped = 0, False
        self._clock: Clock | None = None
        self._seen = Seen(self.optimizer, self._rules.settings)
        self._mark(0)
        self._handle = LastHook(self.optimizer, self._hook())

    @abstractmethod
    def _look(self, clock: Clock, blocks: list[list[Piece]]) -> None:
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
        """Take the hook off the optimiser; what was found stays."""
        self._settle()
        self._handle.remove()

    @property
    def _first(self) -> int:
        """Steps from the start of the clock to the first look."""
        groups = [group for group in self.optimizer.param_groups if group["params"]]
        return PER_LOOK * next(look_lengths(shortest_look(self._rules, groups, self._every))) * self._every

    def _new_clock(self, known: Any) -> Clock:
        return Clock(self.optimizer, self._rules, self._every, self._kind, self._sketch, known)

    def _hook(self) -> Callable[..., Any]:
        """What is called before each step: it counts, and asks little of most.

        torch.compile leaves it alone, and it costs nothing more where nothing is compiled.
        """
        apart: Callable[..., Any] = torch.compiler.disable(self._met)  # type: ignore[no-untyped-call]
        compiling, met, seen = torch.compiler.is_dynamo_compiling, self._met, self._seen

        def call(optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
            if compiling():
                return apart(optimizer, args, kwargs)
            steps = self._steps
            if steps == self._next or kwargs or len(args) > 1 or "found_inf" in optimizer.__dict__:
                return met(optimizer, args, kwargs)
            self._steps = steps + 1
            rate = seen.rate
            for group in optimizer.param_groups:
                if group["lr"] is not rate:
                    seen.follow()
                    break
            return None

        return call

    def _met(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        """End the last unit, refuse a closure, sample in the middle of a unit, and count the step."""
        self._settle()
        self._seen.follow()
        closure = closure_of(args, kwargs) if kwargs or len(args) > 1 else None
        if closure is not None and not is_of_lightning(closure):
            self._refuse()
        else:
            if "found_inf" in optimizer.__dict__:
                self._skip(optimizer.__dict__["found_inf"])
            if self._steps == self._middle and closure is None:
                self._sample(optimizer)
        if closure is not None and is_of_lightning(closure):
            return with_closure(args, kwargs, functools.partial(self._evaluated, closure))
        self._count()
        return None

    def _count(self) -> None:
        self._steps += 1
        self._aim()

    @ordinarily
    def _settle(self) -> None:
        """End units whose last step was made: before the next step, or where anything is asked of the monitor."""
        while self._steps >= self._end:
            clock, quiet = self._clock, self._quiet
            self._mark(self._end if quiet else self._steps)
            try:
                due = clock is None or clock.due()
                if not quiet and not self._seen.unmoved():
                    self._turn()
                elif due:  # most cuts make no look
                    moved = not self._seen.in_place()
                    self._turn() if clock is None or clock.is_look_due or moved else clock.cut()
            except Exception as error:
                self._stop(_failed(error))

    def _mark(self, begun: int) -> None:
        """Begin a unit after so many steps."""
        self._begun, self._middle, self._end, self._quiet = begun, begun + self._every // 2, begun + self._every, False
        self._aim()

    def _aim(self) -> None:
        """Find the step before which there is something to do: to sample, or to end a unit that is not quiet."""
        after = self._end + self._every // 2 if self._quiet else self._end
        self._next = self._middle if self._steps <= self._middle else after

    def _refuse(self) -> None:
        """Say that a step with a closure is not followed; no unit ends while there are such."""
        if not self._stopped:
            self.restart(
                f"step {self._steps + 1} was given a closure, and those are refused: an optimizer may evaluate one "
                f"more than once, or not at all. Call loss.backward() and then optimizer.step() without one"
            )
            self._mark(self._steps + 1)

    def _evaluated(self, closure: Callable[[], Any]) -> Any:
        """Evaluate a closure, which may ask the monitor: its step has not been made and is counted afterwards."""
        loss = closure()
        if self._steps == self._middle:
            self._sample(self.optimizer)
        self._count()
        return loss

    def _sample(self, optimizer: Optimizer) -> None:
        """Take up a step; here and not in `_guarded`, since to leave the graph aside costs as much as to sample.

        A unit is quiet where nothing has changed, and nothing is to be cut at its end: that is not visited.
        """
        held, clock = optimizer.__dict__, self._clock
        try:
            late = self._handle.come_last()
            if clock is None:
                return
            self._seen.follow_trained()
            if late:
                self._seen.strayed = self._seen.strayed or "the order of the hooks"
            if clock.observe(held.get("grad_scale"), held.get("found_inf")):
                self._quiet = clock.units + 1 < clock.windows.due and self._seen.unmoved()
            else:
                self._stop("a gradient is sparse: its norm cannot be read without waiting for the device")
        except Exception as error:
            self._recover(error)

    @_guarded
    def _recover(self, error: Exception) -> None:
        """Begin anew where weights of another dtype or place fit no sums; else stop."""
        if not self._changed():
            self._stop(_failed(error))

    @_guarded
    def _skip(self, found: torch.Tensor | None) -> None:
        if self._clock is not None and found is not None:
            self._clock.skip(found)

    @_guarded
    def _turn(self) -> None:
        """Begin, begin anew where anything changed, or cut, and look where a look is due."""
        if not (self._seen.unmoved() and self._seen.in_place()) and self._changed():
            return
        if self._clock is None:
            self._begin()
        else:
            self._cut_where_due(self._clock)

    def _holds(self) -> bool:
        """Whether settings and parameters are still those of the last look; a rate on a device is asked for."""
        self._settle()
        return self._seen.unmoved() and (self._clock is None or not self._clock.moved)

    def _cut_where_due(self, clock: Clock) -> None:
        if clock.is_due and (blocks := clock.cut()) is not None:
            self._look(clock, blocks)

    def _changed(self) -> bool:
        """Start the clock anew where a setting has another value, or a parameter other memory.

        A look that is due is made before, where no step was made with the new setting.
        """
        what = self._seen.changed()
        if what == SETTINGS and not self._seen.strayed and self._clock is not None:
            self._cut_where_due(self._clock)
        self._seen.take()
        if not what:
            return False
        self.restart(f"{what} changed at step {self._steps}, and the clock started anew")
        return True

    def _begin(self) -> None:
        """Start the clock, where anything moves."""
        groups = self.optimizer.param_groups
        if not any(group["params"] for group in groups):
            self.restart("the optimizer has no parameter")
        elif all(not isinstance(group["lr"], torch.Tensor) and group["lr"] == 0 for group in groups):
            self.restart("the learning rate is 0: nothing moves")
        elif any(group.get("momentum") and group.get("dampening") == 1 for group in groups):
            self.restart("the dampening is 1: no gradient enters the momentum, and nothing moves by it")
        else:
            _refuse_weights(self.optimizer)  # there may be others than at first
            self._clock, self._seen.trained = self._new_clock(self._seen.settings), None

    def _stop(self, reason: str) -> None:
        """Let go of everything, and say why."""
        self.restart(reason)
        self._stopped = True


_OF_FSDP = ("_is_flat_param", "_fsdp_flattened")
"""Marks of the tensors that the first FSDP keeps of the weights, with use_orig_params and without."""


def _refuse_weights(optimizer: Optimizer) -> None:
    """Refuse weights whose scalar products cannot be taken."""
    for group in optimizer.param_groups:
        for each in group["params"]:
            if each.is_complex():
                raise InvalidInput("a parameter is complex: the monitor takes real ones. Use torch.view_as_real.")
            if type(each).__name__ == "DTensor" or any(hasattr(each, name) for name in _OF_FSDP):
                raise InvalidInput(
                    "a parameter is sharded (FSDP, tensor parallel): its scalar products would need communication, "
                    "which the monitor does not do. Use DistributedDataParallel."
                )
            if isinstance(each, torch.nn.UninitializedParameter) or each.is_meta:
                raise InvalidInput("a parameter has no values yet: run a batch through the model first.")
