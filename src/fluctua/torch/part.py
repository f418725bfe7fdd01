"""What is kept of one parameter group between two cuts: sums over sampled steps, and numbers of each sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.linalg import vector_norm

from .lists import added, flat, precise, put, widest
from .rules import Group, Rules, Tensors

__all__ = ["Part"]

_NOTHING: dict[str, Any] = {}


class Part:
    """Sums over the steps of one parameter group since the last cut, each one vector on its device.

    Attributes
    ----------
    factor : float
        What gives the sum of the gradients from the change of the vector of `ended`.
    own_factor : float
        What of it is in that vector already: all of it where parts differ.
    number : int
        Of the group in the optimiser, where others may be empty.
    settings : dict
        Those that the clock was started with, whatever the group says by now; the group's own where one is a tensor.

    Memory: one copy of the weights in the precision of the sums; for Adam two more. They are made once. A vector that
    a cut hands over is of use until the next call: all are written over the same numbers.
    """

    def __init__(self, rules: Rules, optimizer: torch.optim.Optimizer, group: Group, known: Sequence[Any]) -> None:
        self._rules, self._optimizer, self.group = rules, optimizer, group
        held = {name: value for name, value in zip(rules.settings, known, strict=True) if value != "tensor"}
        self.settings = {**group, **held}
        self.params: Tensors = list(group["params"])
        self.number = [*map(id, optimizer.param_groups)].index(id(group))
        self.device, self.dtype = self.params[0].device, precise(self.params[0].dtype)
        self._buffered = rules.local or bool(self.settings.get("momentum"))
        self._aliases = [each.detach() for each in self.params]
        self._plain = all(each.dtype is self.dtype and each.device == self.device for each in self._aliases)
        self._sums = self.start
        self._views, self._empty = self._viewed(self._sums), True
        self._start = self._sums.clone() if rules.local else None
        self._buffer_sums = torch.zeros_like(self._sums) if rules.local else None
        self._more = {each: self._viewed(getattr(self, each)) for each in ("_start", "_buffer_sums") if rules.local}
        rate = group["lr"]
        self._rate = rate.detach().clone() if isinstance(rate, Tensor) else None
        self.moved = torch.zeros((), dtype=torch.bool, device=self.device)
        self._numbers: list[Tensor] = []
        self._found: list[Tensor | None] = []
        self._scales = self._here(rules.scales(self.settings, self._states())) if rules.local else []
        self.factor, self._of_weights, self._of_buffers = rules.shares(self.settings)
        self.own_factor = 1.0
        self._quick = self._plain and self._rate is None and self.device.type == "cpu" and rules.quick(self.settings)
        self._pairs = list(zip(self._views, self._aliases, strict=True))

    @property
    def start(self) -> Tensor:
        """A copy of where the weights are."""
        return flat(self._weights(), self.device)

    def observe(self, scale: Tensor | None, skipped: Tensor | None) -> bool:
        """Take up one step from before it: weights, and gradients as they are applied; False where one is sparse."""
        if self._quick and scale is None and self._observed_quickly():
            self._found.append(skipped)
            return True
        found: list[Any] = [each.grad for each in self.params]
        odd = True in [each is None or each.is_sparse or each.requires_grad for each in found]
        if odd:
            if any(each is not None and each.is_sparse for each in found):
                return False
            found = [None if each is None else each.detach() for each in found]
        still = [each is None for each in found] if odd else []
        self.compare_rates()
        gradients = found if self._plain and scale is None and not odd else self._gradients(found, scale)
        here, away = self._weights(), list[Tensor]()
        buffers = self._at_rest(self._buffers(), still) if self._buffered else []
        if self._rules.local:
            added(self._more["_buffer_sums"], buffers)
            self._take_back_decay(here, still)
            away = list(torch._foreach_sub(here, self._more["_start"]))
        pulled = self._at_rest(here, still)
        self._numbers += self._rules.sampled(self.settings, gradients, pulled, buffers, away, self._scales)
        self._found.append(skipped)
        (put if self._empty else added)(self._views, here)
        self._empty = False
        return True

    def _observed_quickly(self) -> bool:
        """Take up weights and norms alone, with as few calls as can be: between samples all code leaves the caches."""
        found, dtype = [], self.dtype
        for each in self.params:
            gradient = each.grad
            if gradient is None or gradient.requires_grad or gradient.is_sparse or gradient.dtype is not dtype:
                return False
            found.append(vector_norm(gradient))
        if self._buffered:
            states, name = self._optimizer.state, self._rules.buffer
            for each in self.params:
                buffer = states.get(each, _NOTHING).get(name)
                if buffer is None or buffer.dtype is not dtype:
                    return False
                found.append(vector_norm(buffer))
        self._numbers += found
        if self._empty:
            put(self._views, self._aliases)
            self._empty = False
        else:
            for view, weights in self._pairs:
                view.add_(weights)
        return True

    def compare_rates(self) -> None:
        """Note on the device whether a learning rate that is a tensor has changed."""
        if self._rate is not None:
            self.moved |= (self._rate != self.group["lr"]).reshape(()).to(self.device)

    def direct(self, share: Any) -> Tensor | None:
        """Return the part of the gradients' sum that is sampled, each sample for `share` steps; before `weights`."""
        if self._buffer_sums is None:
            return None
        total = self._buffer_sums
        if self._scales:
            total.addcmul_(flat(self._scales, self.device), self._sums)
        return total.mul_(share)

    def weights(self) -> Tensor:
        """Return the sum of the sampled weights since the last cut, and begin new sums."""
        self._empty = True
        return self._sums

    def ended(self) -> Tensor:
        """Return the vector whose change since the last cut is the rest of the gradients' sum (F81)."""
        self.compare_rates()
        if self._buffer_sums is not None:
            self._buffer_sums.zero_()
            self._scales = self._here(self._rules.scales(self.settings, self._states()))
        scale = self._of_weights if isinstance(self._of_weights, Tensor) else None
        if scale is None and self._of_weights == 0:
            self._sums.zero_()
        else:
            put(self._views, self._weights())
        if scale is not None:
            self._sums.mul_(scale)
        if self._buffered and self._of_buffers:
            added(self._views, self._buffers(), self._of_buffers)
        return self._sums if self.own_factor == 1 else self._sums.mul_(self.own_factor)

    def counted(self, count: int) -> Tensor:
        """Return the next samples of the floor, of |g|^2, and ones, (3, count, n) for n tensors.

        They are zero where one of them is not finite.
        """
        end = count * (len(self._numbers) // len(self._found))
        taken, found = self._numbers[:end], self._found[:count]
        self._numbers, self._found = self._numbers[end:], self._found[count:]
        same = [each.to(self.device) for each in taken] if self._spread else taken
        numbers = torch.stack(same).view(count, -1, len(self.params)).to(widest(self.device))
        floors, squares = self._rules.tallied(self.settings, numbers)
        values = torch.stack([floors, squares, torch.ones_like(squares)])
        finite = values.abs().amax(0) < math.inf
        if any(each is not None for each in found):
            good = [torch.ones((), device=self.device) if each is None else each == 0 for each in found]
            finite &= torch.stack([each.reshape(()).to(self.device, torch.bool) for each in good])[:, None]
        return torch.where(finite, values, 0)

    @property
    def _spread(self) -> bool:
        return any(each.device != self.device for each in self.params)

    def _viewed(self, whole: Tensor) -> Tensors:
        """A sum as tensors of the shapes of the weights."""
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
            for each, like in zip(tensors, self.params, strict=False)
        ]

    def _at_rest(self, tensors: Tensors, still: Sequence[bool]) -> Tensors:
        """Tensors, zero where there is no gradient: an optimiser leaves those alone, their decay and buffers too."""
        if True not in still:
            return tensors
        return [torch.zeros_like(each) if rests else each for each, rests in zip(tensors, still, strict=True)]

    def _take_back_decay(self, here: Tensors, still: Sequence[bool]) -> None:
        """Take out what `direct` adds for weights that rest: no decay pulls at them."""
        for rests, total, scale, weights in zip(still, self._more["_buffer_sums"], self._scales, here, strict=False):
            if rests:
                total.addcmul_(scale, weights, value=-1)

    def _weights(self) -> Tensors:
        return self._aliases if self._plain else self._here(self._aliases)

    def _gradients(self, found: list[Tensor | None], scale: Tensor | None) -> Tensors:
        """Gradients of the step, zero where there is none."""
        here = self._here(found)
        return here if scale is None else list(torch._foreach_div(here, scale))

    def _buffers(self) -> Tensors:
        """The optimiser's buffers, zero where it has none yet."""
        return self._here([each.get(self._rules.buffer) for each in self._states()])

    def _states(self) -> list[dict[str, Any]]:
        return [self._optimizer.state.get(each, _NOTHING) for each in self.params]

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
        self._empty = state["_empty"]

    def _moved(self, values: Any) -> Any:
        if not isinstance(values, list):
            return values if values is None else values.to(self.device, copy=True)
        return [one if one is None else one.to(self.device, copy=True) for one in values]


SUMS = ("_sums", "_start", "_buffer_sums")
"""Vectors that are written into, since others are views of them."""
OTHERS = ("_scales", "_numbers", "_found", "moved")
SAVED = (*SUMS, *OTHERS, "_empty")
