"""What is kept of one parameter group between two cuts: sums of its weights, and where it was at the last one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .lists import kept, summed, widest
from .rules import Group, Rules, Tensors

__all__ = ["Part"]

ROWS = 3  # of a tally: sums of the floor's samples and of |g|^2, and how many were finite


class Part:
    """Sums over the steps of one parameter group since the last cut, on its device.

    Memory: three copies of the weights in the precision of the sums; with momentum one more, for Adam two, with
    decoupled decay another.
    """

    def __init__(self, rules: Rules, optimizer: torch.optim.Optimizer, group: Group) -> None:
        self._rules, self._optimizer, self.group = rules, optimizer, group
        self.params: Tensors = list(group["params"])
        self._buffered = rules.local or bool(group.get("momentum"))
        self.start, self._before = kept(self.params), kept(self.params)
        self._buffers_before = kept(self._buffers())
        self.device = self.start[0].device
        rate = group["lr"]
        self._rate = rate.detach().clone() if isinstance(rate, Tensor) else None
        self.moved = torch.zeros((), dtype=torch.bool, device=self.device)
        self._clear()

    def _clear(self) -> None:
        self._weights = list(map(torch.zeros_like, self.start))
        self._buffer_sum = list(map(torch.zeros_like, self.start)) if self._rules.local else []
        self.tally = torch.zeros(ROWS, len(self.params), dtype=widest(self.device), device=self.device)
        self._scales = self._rules.scales(self.group, self._states())

    def observe(self, scale: Tensor | None, skipped: Tensor | None) -> None:
        """Take up one step from before it: weights, and gradients as they are applied."""
        if self._rate is not None:
            self.moved |= (self._rate != self.group["lr"]).to(self.device)
        weights = summed(self.params)
        torch._foreach_add_(self._weights, weights)
        buffers = self._buffers()
        if self._rules.local:
            torch._foreach_add_(self._buffer_sum, buffers)
        away = list(torch._foreach_sub(weights, self.start)) if self._rules.local else []
        found = self._rules.sampled(self.group, self._gradients(scale), weights, buffers, away, self._scales)
        values = torch.stack(found).to(self.device)
        finite = values.isfinite().all(0) if skipped is None else values.isfinite().all(0) & (skipped == 0)
        self.tally[:-1] += torch.where(finite, values, 0)
        self.tally[-1] += finite

    def cut(self, steps: Any, samples: int) -> tuple[Tensors, Tensors, Tensor]:
        """Return sums since the last cut: of weights less those at the start, of gradients, and the tally."""
        now, buffers = summed(self.params), self._buffers()
        moved = list(torch._foreach_sub(self._before, now))
        change = list(torch._foreach_sub(buffers, self._buffers_before)) if self._buffered else []
        mean = list(torch._foreach_div(self._buffer_sum, samples)) if self._rules.local else []
        gradients = self._rules.gradients(self.group, steps, moved, change, mean)
        if self._scales:
            pull = torch._foreach_mul(self._scales, self._weights)
            torch._foreach_add_(gradients, list(torch._foreach_mul(pull, steps / samples)))
        torch._foreach_add_(self._weights, self.start, alpha=-samples)
        weights, tally = self._weights, self.tally
        torch._foreach_copy_(self._before, now)
        if self._buffered:
            torch._foreach_copy_(self._buffers_before, buffers)
        self._clear()
        return weights, gradients, tally

    def _gradients(self, scale: Tensor | None) -> Tensors:
        """Gradients of the step, zero where there is none."""
        found = [
            torch.zeros_like(start) if each.grad is None else summed([each.grad])[0]
            for each, start in zip(self.params, self.start, strict=True)
        ]
        return found if scale is None else list(torch._foreach_div(found, scale))

    def _buffers(self) -> Tensors:
        """The optimiser's buffers, zero where it has none yet."""
        if not self._buffered:
            return []
        found = [state.get(self._rules.buffer) for state in self._states()]
        return [
            torch.zeros_like(start) if one is None else summed([one])[0]
            for one, start in zip(found, self.start, strict=True)
        ]

    def _states(self) -> list[dict[str, Any]]:
        return [self._optimizer.state.get(each, {}) for each in self.params]

    def state(self) -> dict[str, Any]:
        """Return what has to be saved, tensors by name."""
        names = ("start", "_before", "_buffers_before", "_weights", "_buffer_sum", "_scales")
        return {"tally": self.tally, "moved": self.moved, **{name: list(getattr(self, name)) for name in names}}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what was saved, on the device of the weights."""
        for name, values in state.items():
            setattr(self, name, _moved(values, self.params, self.device))


def _moved(values: Any, params: Sequence[Tensor], device: torch.device) -> Any:
    if isinstance(values, Tensor):
        return values.to(device, copy=True)
    return [one.to(each.device, copy=True) for one, each in zip(values, params, strict=False)]
