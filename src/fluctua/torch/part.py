"""What is kept of one parameter group between two cuts: sums of its weights, and where it was at the last one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .lists import flat, precise, summed, widest
from .rules import Group, Rules, Tensors

__all__ = ["Part"]


class Part:
    """Sums over the steps of one parameter group since the last cut, on its device.

    Memory: three copies of the weights in the precision of the sums; with momentum one more, for Adam two, with
    decoupled decay another.
    """

    def __init__(self, rules: Rules, optimizer: torch.optim.Optimizer, group: Group) -> None:
        self._rules, self._optimizer, self.group = rules, optimizer, group
        self.params: Tensors = list(group["params"])
        self.device = self.params[0].device
        self._buffered = rules.local or bool(group.get("momentum"))
        self._start = flat(summed(self.params), self.device)
        self._before, self._buffers_before = self._start.clone(), self._flat_buffers()
        self._weights = [torch.zeros_like(each, dtype=precise(each.dtype)).detach() for each in self.params]
        self._buffer_sum = [torch.zeros_like(each) for each in self._weights] if rules.local else []
        rate = group["lr"]
        self._rate = rate.detach().clone() if isinstance(rate, Tensor) else None
        self.moved = torch.zeros((), dtype=torch.bool, device=self.device)
        self._numbers: list[Tensor] = []
        self._found: list[Tensor | None] = []
        self._scales = self._rules.scales(group, self._states())

    def observe(self, scale: Tensor | None, skipped: Tensor | None) -> None:
        """Take up one step from before it: weights, and gradients as they are applied."""
        if self._rate is not None:
            self.moved |= (self._rate != self.group["lr"]).to(self.device)
        weights = summed(self.params)
        torch._foreach_add_(self._weights, weights)
        buffers = self._buffers()
        if self._rules.local:
            torch._foreach_add_(self._buffer_sum, buffers)
        away = self._away(weights) if self._rules.local else []
        self._numbers += self._rules.sampled(self.group, self._gradients(scale), weights, buffers, away, self._scales)
        self._found.append(skipped)

    def cut(self, steps: Any, samples: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return sums since the last cut: of weights less those at the start, of gradients, and the tally."""
        now, buffers = flat(summed(self.params), self.device), self._flat_buffers()
        total = flat(self._weights, self.device)
        change = None if buffers is None or self._buffers_before is None else buffers - self._buffers_before
        mean = flat(self._buffer_sum, self.device) / samples if self._rules.local else None
        gradients = self._rules.gradients(self.group, steps, self._before - now, change, mean)
        if self._scales:
            gradients += flat(self._scales, self.device) * total * (steps / samples)
        total -= samples * self._start
        tally = self._tally()
        self._before, self._buffers_before = now, buffers
        torch._foreach_zero_([*self._weights, *self._buffer_sum])
        self._numbers, self._found = [], []
        self._scales = self._rules.scales(self.group, self._states())
        return total, gradients, tally

    def _tally(self) -> Tensor:
        """Sums of the floor's samples and of |g|^2, and how many were finite, (3, n)."""
        same = [each.to(self.device) for each in self._numbers] if self._spread else self._numbers
        numbers = torch.stack(same).view(len(self._found), -1, len(self.params)).to(widest(self.device))
        values = torch.stack(self._rules.tallied(self.group, numbers))
        finite = values.isfinite().all(0)
        if any(each is not None for each in self._found):
            good = [torch.ones((), device=self.device) if each is None else each == 0 for each in self._found]
            finite &= torch.stack([each.reshape(()).to(self.device, torch.bool) for each in good])[:, None]
        return torch.cat([torch.where(finite, values, 0).sum(1), finite.sum(0)[None].to(values.dtype)])

    @property
    def _spread(self) -> bool:
        return any(each.device != self.device for each in self.params)

    def _away(self, weights: Tensors) -> Tensors:
        """Weights less those at the start."""
        sizes = [each.numel() for each in weights]
        starts = zip(torch.split(self._start, sizes), weights, strict=True)
        return list(torch._foreach_sub(weights, [one.view_as(each).to(each.device) for one, each in starts]))

    def _gradients(self, scale: Tensor | None) -> Tensors:
        """Gradients of the step, zero where there is none."""
        found = [each.grad for each in self.params]
        here = [
            torch.zeros_like(like) if each is None else summed([each])[0]
            for each, like in zip(found, self._weights, strict=True)
        ]
        return here if scale is None else list(torch._foreach_div(here, scale))

    def _buffers(self) -> Tensors:
        """The optimiser's buffers, zero where it has none yet."""
        if not self._buffered:
            return []
        found = [state.get(self._rules.buffer) for state in self._states()]
        return [
            torch.zeros_like(each, dtype=precise(each.dtype)).detach() if one is None else summed([one])[0]
            for one, each in zip(found, self.params, strict=True)
        ]

    def _flat_buffers(self) -> Tensor | None:
        return flat(self._buffers(), self.device) if self._buffered else None

    def _states(self) -> list[dict[str, Any]]:
        return [self._optimizer.state.get(each, {}) for each in self.params]

    def state(self) -> dict[str, Any]:
        """Return what has to be saved, tensors by name."""
        return {name: getattr(self, name) for name in SAVED}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what was saved, on the device of the weights."""
        for name in SAVED:
            setattr(self, name, self._moved(name, state[name]))

    def _moved(self, name: str, values: Any) -> Any:
        if not isinstance(values, list):
            return values if values is None else values.to(self.device, copy=True)
        places = [each.device for each in self.params] if name in PLACED else [self.device] * len(values)
        return [one if one is None else one.to(place, copy=True) for one, place in zip(values, places, strict=False)]


PLACED = ("_weights", "_buffer_sum", "_scales")
"""Lists that lie where the weights lie."""
SAVED = (*PLACED, "_start", "_before", "_buffers_before", "_numbers", "_found", "moved")
