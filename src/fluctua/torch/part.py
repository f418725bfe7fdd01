"""What is kept of one parameter group between two cuts: sums of its weights, and where it was at the last one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .lists import flat, summed, widest
from .rules import Group, Rules, Tensors

__all__ = ["Part"]


class Part:
    """Sums over the steps of one parameter group since the last cut, each one vector on its device.

    Memory: three copies of the weights in the precision of the sums; with momentum one more, for Adam two, with
    decoupled decay another. They are made once: what a cut hands over are these vectors, until `renew`.
    """

    def __init__(self, rules: Rules, optimizer: torch.optim.Optimizer, group: Group) -> None:
        self._rules, self._optimizer, self.group = rules, optimizer, group
        self.params: Tensors = list(group["params"])
        self.device = self.params[0].device
        self._buffered = rules.local or bool(group.get("momentum"))
        self._aliases = [each.detach() for each in self.params]
        self._start = flat(summed(self.params), self.device)
        self.dtype = self._start.dtype
        self._before, self._buffers_before = self._start.clone(), self._flat_buffers()
        self._weights = torch.zeros_like(self._start)
        self._buffer_sum = torch.zeros_like(self._start) if rules.local else None
        self._views = {name: self._viewed(name) for name in ("_start", "_before", "_weights", "_buffer_sum")}
        rate = group["lr"]
        self._rate = rate.detach().clone() if isinstance(rate, Tensor) else None
        self.moved = torch.zeros((), dtype=torch.bool, device=self.device)
        self._numbers: list[Tensor] = []
        self._found: list[Tensor | None] = []
        self._taken: list[tuple[list[Tensor], list[Tensor | None]]] = []
        self._scales = self._rules.scales(group, self._states())

    def observe(self, scale: Tensor | None, skipped: Tensor | None) -> None:
        """Take up one step from before it: weights, and gradients as they are applied."""
        if self._rate is not None:
            self.moved |= (self._rate != self.group["lr"]).to(self.device)
        weights, buffers = self._here(self._aliases), self._buffers()
        torch._foreach_add_(self._views["_weights"], weights)
        away: Tensors = []
        if self._rules.local:
            torch._foreach_add_(self._views["_buffer_sum"], buffers)
            away = list(torch._foreach_sub(weights, self._views["_start"]))
        self._numbers += self._rules.sampled(self.group, self._gradients(scale), weights, buffers, away, self._scales)
        self._found.append(skipped)

    def cut(self, steps: Any, samples: int) -> tuple[Tensor, Tensor]:
        """Return sums since the last cut: of weights less those at the start, and of gradients.

        They may be changed, and are of use until `renew`.
        """
        torch._foreach_sub_(self._views["_before"], self._here(self._aliases))
        buffers = self._flat_buffers()
        change = None if buffers is None or self._buffers_before is None else buffers - self._buffers_before
        mean = None if self._buffer_sum is None else self._buffer_sum / samples
        gradients = self._rules.gradients(self.group, steps, self._before, change, mean)
        if self._scales:
            gradients += flat(self._scales, self.device) * self._weights * (steps / samples)
        self._buffers_before = buffers
        return self._weights.sub_(self._start, alpha=samples), gradients

    def renew(self) -> None:
        """Begin new sums, from where the weights are now."""
        torch._foreach_copy_(self._views["_before"], self._here(self._aliases))
        for each in (self._weights, self._buffer_sum):
            if each is not None:
                each.zero_()
        self._taken.append((self._numbers, self._found))
        self._numbers, self._found = [], []
        self._scales = self._rules.scales(self.group, self._states())

    def tallies(self) -> list[Tensor]:
        """Return (3, n) for each cut since the last call: sums of the floor's samples and of |g|^2, how many finite."""
        samples = [each for numbers, _ in self._taken for each in numbers]
        found = [each for _, some in self._taken for each in some]
        counts = [len(some) for _, some in self._taken]
        self._taken = []
        values = self._counted(samples, found)
        return [each.clone().sum(1) for each in values.split(counts, dim=1)]

    def _counted(self, samples: list[Tensor], found: list[Tensor | None]) -> Tensor:
        """Samples of the floor, of |g|^2, and ones, zero where one of them is not finite, (3, k, n)."""
        same = [each.to(self.device) for each in samples] if self._spread else samples
        numbers = torch.stack(same).view(len(found), -1, len(self.params)).to(widest(self.device))
        floors, squares = self._rules.tallied(self.group, numbers)
        values = torch.stack([floors, squares, torch.ones_like(squares)])
        finite = values.abs().amax(0) < math.inf
        if any(each is not None for each in found):
            good = [torch.ones((), device=self.device) if each is None else each == 0 for each in found]
            finite &= torch.stack([each.reshape(()).to(self.device, torch.bool) for each in good])[:, None]
        return torch.where(finite, values, 0)

    @property
    def _spread(self) -> bool:
        return any(each.device != self.device for each in self.params)

    def _viewed(self, name: str) -> Tensors:
        """A sum as tensors of the shapes of the weights."""
        whole = getattr(self, name)
        if whole is None:
            return []
        pieces = torch.split(whole, [each.numel() for each in self.params])
        return [one.view(each.shape) for one, each in zip(pieces, self.params, strict=True)]

    def _here(self, tensors: Sequence[Tensor | None]) -> Tensors:
        """Tensors in the precision and on the device of the sums, zero where there is none; the same where they are."""
        dtype, device = self.dtype, self.device
        return [
            torch.zeros(like.shape, dtype=dtype, device=device)
            if each is None
            else each
            if each.dtype is dtype and each.device == device
            else each.detach().to(device, dtype, non_blocking=True)
            for each, like in zip(tensors, self.params, strict=True)
        ]

    def _gradients(self, scale: Tensor | None) -> Tensors:
        """Gradients of the step, zero where there is none."""
        here = self._here([each.grad for each in self.params])
        return here if scale is None else list(torch._foreach_div(here, scale))

    def _buffers(self) -> Tensors:
        """The optimiser's buffers, zero where it has none yet."""
        return self._here([each.get(self._rules.buffer) for each in self._states()]) if self._buffered else []

    def _flat_buffers(self) -> Tensor | None:
        return flat(self._buffers(), self.device) if self._buffered else None

    def _states(self) -> list[dict[str, Any]]:
        return [self._optimizer.state.get(each, {}) for each in self.params]

    def state(self) -> dict[str, Any]:
        """Return what has to be saved, tensors by name."""
        return {name: getattr(self, name) for name in SAVED}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what was saved, on the device of the weights."""
        for name in SUMS:
            if state[name] is not None:
                getattr(self, name).copy_(state[name])
        for name in OTHERS:
            setattr(self, name, self._moved(state[name]))

    def _moved(self, values: Any) -> Any:
        if not isinstance(values, list):
            return values if values is None else values.to(self.device, copy=True)
        return [one if one is None else one.to(self.device, copy=True) for one in values]


SUMS = ("_start", "_before", "_weights", "_buffer_sum")
"""Vectors that are written into, since others are views of them."""
OTHERS = ("_scales", "_buffers_before", "_numbers", "_found", "moved")
SAVED = (*SUMS, *OTHERS)
