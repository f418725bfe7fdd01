"""The floor's samples one by one: sums over bins that grow with the run, of which the error of the floor is known."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["Bins"]


class Bins:
    """Sums of the floor's samples over so many units each, and how many samples they are, for each scope.

    Attributes
    ----------
    width : int
        Units in a bin: at least the memory of the run, so that bins are independent.
    first : int
        Bins before the first that is kept.
    """

    def __init__(self, width: int, scopes: int, device: torch.device, dtype: torch.dtype) -> None:
        self.width, self.first = width, 0
        self._whole = torch.zeros((0, 2, scopes), dtype=dtype, device=device)
        self._rest = self._whole.clone()

    def add(self, units: Tensor) -> None:
        """Add units one after the other, (k, 2, scopes)."""
        both = torch.cat([self._rest, units])
        full = len(both) // self.width * self.width
        made = both[:full].view(-1, self.width, *both.shape[1:]).sum(1)
        self._whole, self._rest = torch.cat([self._whole, made]), both[full:].clone()

    def forget(self, unit: int, width: int) -> None:
        """Drop what lies before a unit, and make bins of two until they have this width."""
        gone = (unit // self.width - self.first) // 2 * 2
        if gone > 0:
            self._whole, self.first = self._whole[gone:], self.first + gone
        while self.width < width:
            self._double()

    def _double(self) -> None:
        """Make one bin of two: the last of an odd number begins the next bin."""
        if len(self._whole) % 2:
            empty = self._whole.new_zeros(self.width - 1, *self._whole.shape[1:])
            self._rest = torch.cat([self._whole[-1:], empty, self._rest])
            self._whole = self._whole[:-1]
        self._whole = self._whole.view(-1, 2, *self._whole.shape[1:]).sum(1)
        self.width, self.first = 2 * self.width, self.first // 2

    def between(self, begin: int, end: int) -> Tensor:
        """Return the bins that lie within units begin to end, (n, 2, scopes)."""
        return self._whole[max(-(-begin // self.width) - self.first, 0) : end // self.width - self.first]

    def state(self) -> dict[str, Any]:
        """Return what has to be saved."""
        return {"width": self.width, "first": self.first, "whole": self._whole, "rest": self._rest}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what was saved."""
        self.width, self.first = state["width"], state["first"]
        self._whole, self._rest = (state[name].to(self._whole.device, copy=True) for name in ("whole", "rest"))
