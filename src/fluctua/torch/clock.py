"""The clock of a monitor: sums from its start on, and the looks that fall due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from .part import Part
from .rules import Rules
from .scopes import scopes_of
from .windows import Piece, Window, Windows

__all__ = ["Clock", "identity", "settings"]


class Clock:
    """Time since the learning rate is what it is, in units of `every` steps, and the sums since then.

    Attributes
    ----------
    units : int
        Since the start.
    parts : list of Part
        One for each parameter group.
    scopes : list of Scope
    windows : Windows
    """

    def __init__(self, optimizer: Optimizer, rules: Rules, every: int, kind: str, sketch: int | str | None) -> None:
        self._every = every
        self.parts = [Part(rules, optimizer, group) for group in optimizer.param_groups if group["params"]]
        self.scopes = scopes_of(kind, self.parts, sketch)
        self.windows, self.units, self._cut = Windows(), 0, 0
        self.device = self.parts[0].device
        self.lost = torch.zeros((), dtype=torch.int64, device=self.device)
        self.missed = torch.zeros((), dtype=torch.int64, device=self.device)

    def observe(self, scale: Tensor | None, found: Tensor | None) -> None:
        """Take up a step from before it."""
        for part in self.parts:
            part.observe(scale, found)

    def skip(self, found: Tensor) -> None:
        """Note on the device whether the step just made was none."""
        self.lost += (found > 0).sum().to(self.device)

    def tick(self) -> Window | None:
        """End a unit; return the window of a look that is due."""
        self.units += 1
        if not self.windows.cut_at(self.units):
            return None
        return self.windows.take(self._piece(), self.units)

    def _piece(self) -> Piece:
        """Return the sums since the last cut, and begin new ones."""
        samples = self.units - self._cut
        steps = samples * self._every - self.lost
        sums = [part.cut(steps.to(part.device), samples) for part in self.parts]
        weights, gradients = ([each for one in some for each in one] for some in list(zip(*sums, strict=True))[:2])
        tally = torch.cat([one[2].to(self.device) for one in sums], dim=1)
        self.missed += samples - tally[-1].min().to(torch.int64)
        self._cut, self.lost = self.units, torch.zeros_like(self.lost)
        folded = [[each.vector(some) for each in self.scopes] for some in (weights, gradients)]
        return Piece(folded[0], folded[1], tally, steps, samples)

    @property
    def moved(self) -> bool:
        """Whether a learning rate that is a tensor has changed; asks the device."""
        return any(bool(part.moved) for part in self.parts if isinstance(part.group["lr"], Tensor))

    @property
    def shapes(self) -> list[list[list[int]]]:
        """Shapes of the tensors of each group."""
        return [[list(each.shape) for each in part.params] for part in self.parts]

    def state(self) -> dict[str, Any]:
        """Return what has to be saved."""
        numbers = {"units": self.units, "cut": self._cut, "lost": self.lost, "missed": self.missed}
        return {**numbers, "parts": [each.state() for each in self.parts], "windows": self.windows.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what was saved of weights of the same shapes."""
        self.units, self._cut = state["units"], state["cut"]
        self.lost, self.missed = (state[name].to(self.device, copy=True) for name in ("lost", "missed"))
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load(saved)
        self.windows = Windows.loaded(state["windows"], self.device)


def settings(optimizer: Optimizer, names: Sequence[str]) -> tuple[Any, ...]:
    """Return what decides the steps of all groups; a tensor stands for itself."""
    return tuple(
        tuple("tensor" if isinstance(value := group[name], Tensor) else value for name in names)
        for group in optimizer.param_groups
    )


def identity(optimizer: Optimizer) -> tuple[Any, ...]:
    """Return which tensors there are, and where."""
    return tuple((id(each), each.dtype, each.device) for group in optimizer.param_groups for each in group["params"])
