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
from .windows import Piece, Windows

__all__ = ["Clock", "identity", "settings"]

_WAITING = 256
"""Samples whose tallies may wait for each other: each is a few tensors of one number."""


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
        self._lost: Any = 0
        self._counts: list[Tensor] = []
        self._sampled = 0
        self._untallied: list[Piece] = []

    def observe(self, scale: Tensor | None, found: Tensor | None) -> None:
        """Take up a step from before it."""
        for part in self.parts:
            part.observe(scale, found)

    def skip(self, found: Tensor) -> None:
        """Note on the device whether the step just made was none."""
        self._lost = self._lost + (found > 0).sum().to(self.device)

    def tick(self) -> list[Piece] | None:
        """End a unit; return the blocks of a look that is due."""
        self.units += 1
        if not self.windows.cut_at(self.units):
            return None
        piece = self._piece()
        self._untallied.append(piece)
        if self.units == self.windows.open[0].ends or sum(each.samples for each in self._untallied) >= _WAITING:
            self._tally()
        return self.windows.take(piece)

    def _tally(self) -> None:
        """Give the pieces their tallies, many at a time."""
        if not self._untallied:
            return
        for piece, rows in zip(
            self._untallied, zip(*(part.tallies() for part in self.parts), strict=True), strict=True
        ):
            piece.tally = rows[0] if len(rows) == 1 else torch.cat([each.to(self.device) for each in rows], dim=1)
            self._counts.append(piece.tally[-1])
        self._untallied = []

    def _piece(self) -> Piece:
        """Return the sums since the last cut, and begin new ones."""
        samples = self.units - self._cut
        steps = samples * self._every - self._lost
        weights, gradients = zip(*(part.cut(steps, samples) for part in self.parts), strict=True)
        self._cut, self._lost = self.units, 0
        self._sampled += samples
        folded = [[each.vector(some) for each in self.scopes] for some in (weights, gradients)]
        for part in self.parts:
            part.renew()
        return Piece(self.units, samples, steps, folded[0], folded[1])

    def missed(self) -> int:
        """Return how many samples since the last call were not finite; asks the device."""
        good = round(float(torch.stack(self._counts).amin(1).sum())) if self._counts else 0
        found, self._sampled, self._counts = self._sampled - good, 0, []
        return found

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
        self._tally()
        numbers = {"units": self.units, "cut": self._cut, "lost": self._lost, "sampled": self._sampled}
        return {
            **numbers,
            "counts": self._counts,
            "parts": [each.state() for each in self.parts],
            "windows": self.windows.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what was saved of weights of the same shapes."""
        self.units, self._cut, self._sampled = state["units"], state["cut"], state["sampled"]
        lost, self._counts = state["lost"], [each.to(self.device, copy=True) for each in state["counts"]]
        self._lost = lost.to(self.device, copy=True) if isinstance(lost, Tensor) else lost
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load(saved)
        self.windows = Windows.loaded(state["windows"], [self.parts[each.spans[0][0]].device for each in self.scopes])


def settings(optimizer: Optimizer, names: Sequence[str]) -> tuple[Any, ...]:
    """Return what decides the steps of all groups; a tensor stands for itself."""
    return tuple(
        tuple("tensor" if isinstance(value := group[name], Tensor) else value for name in names)
        for group in optimizer.param_groups
    )


def identity(optimizer: Optimizer) -> tuple[Any, ...]:
    """Return which tensors there are, and where."""
    params = [each for group in optimizer.param_groups for each in group["params"]]
    return tuple((id(each), each.data_ptr(), each.dtype) for each in params)
