"""The windows of the looks to come: sums over blocks of steps, at most some forty vectors however long the run is.

A look at the time t needs 2m blocks of the length t/32 after t/2, and nothing before. Looks are a factor of 2^(1/4)
apart, so that four or five of them are open at any time. A cut of the sums goes into the open block of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..verification.equilibrium.looks import PER_LOOK, look_lengths

__all__ = ["Piece", "Window", "Windows"]

_FIRST = PER_LOOK // 2
"""Blocks before the windows of a look."""
_LONGEST = 256
"""Units after which sums are cut in any case: float32 adds so many weights without a loss that matters."""


@dataclass
class Piece:
    """Sums over some steps.

    Attributes
    ----------
    weights, gradients : list of tensor
        A vector for each scope.
    tally : tensor
        Sums of the samples, (3, n) for n tensors.
    steps : tensor
        How many.
    samples : int
        Of the weights.
    """

    weights: list[Tensor]
    gradients: list[Tensor]
    tally: Tensor
    steps: Tensor
    samples: int

    def plus(self, other: Piece | None) -> Piece:
        """Return the sums of both."""
        if other is None:
            return self
        return Piece(
            [one + two for one, two in zip(self.weights, other.weights, strict=True)],
            [one + two for one, two in zip(self.gradients, other.gradients, strict=True)],
            self.tally + other.tally,
            self.steps + other.steps,
            self.samples + other.samples,
        )


@dataclass
class Window:
    """The two windows of one look: blocks that are full, and the one that is open."""

    length: int
    blocks: list[Piece] = field(default_factory=list)
    opened: Piece | None = None

    @property
    def begins(self) -> int:
        """Unit before its first block."""
        return _FIRST * self.length

    @property
    def ends(self) -> int:
        """Unit of the look."""
        return PER_LOOK * self.length

    def cut_at(self, unit: int) -> bool:
        """Whether one of its blocks begins or ends after this unit."""
        return self.begins <= unit <= self.ends and unit % self.length == 0

    def take(self, piece: Piece, unit: int) -> None:
        """Add sums that end with this unit."""
        if self.begins < unit <= self.ends:
            self.opened = piece.plus(self.opened)
            if unit % self.length == 0:
                self.blocks.append(self.opened)
                self.opened = None


class Windows:
    """Those of the looks that are open, and of the next one."""

    def __init__(self) -> None:
        self.look = 0
        self._lengths: Iterator[int] = look_lengths()
        self.open: list[Window] = [Window(next(self._lengths))]

    def cut_at(self, unit: int) -> bool:
        """Whether the sums have to be cut after this unit."""
        while self.open[-1].begins <= unit:
            self.open.append(Window(next(self._lengths)))
        return unit % _LONGEST == 0 or any(each.cut_at(unit) for each in self.open)

    def take(self, piece: Piece, unit: int) -> Window | None:
        """Add sums that end with this unit; return the window of a look that is due."""
        for each in self.open:
            each.take(piece, unit)
        return self.open[0] if self.open[0].ends == unit else None

    def looked(self) -> None:
        """Let go of the window of the look that was due."""
        self.look += 1
        self.open.pop(0)

    def state(self) -> dict[str, Any]:
        """Return what has to be saved."""
        return {"look": self.look, "open": [_saved(each) for each in self.open]}

    @classmethod
    def loaded(cls, state: dict[str, Any], device: torch.device) -> Windows:
        """Return what was saved, with its tensors on a device."""
        made = cls()
        made.look = state["look"]
        made.open = [_read(each, device) for each in state["open"]]
        made._lengths = look_lengths()
        while next(made._lengths) < made.open[-1].length:
            pass
        return made


def _saved(window: Window) -> dict[str, Any]:
    pieces = [*window.blocks, *([] if window.opened is None else [window.opened])]
    return {"length": window.length, "full": len(window.blocks), "pieces": [vars(each) for each in pieces]}


def _read(saved: dict[str, Any], device: torch.device) -> Window:
    pieces = [_piece(each, device) for each in saved["pieces"]]
    full = saved["full"]
    return Window(saved["length"], pieces[:full], pieces[full] if len(pieces) > full else None)


def _piece(saved: dict[str, Any], device: torch.device) -> Piece:
    def there(values: Any) -> Any:
        return [each.to(device, copy=True) for each in values] if isinstance(values, list) else values.to(device)

    vectors = {name: there(saved[name]) for name in ("weights", "gradients", "tally", "steps")}
    return Piece(**vectors, samples=saved["samples"])
