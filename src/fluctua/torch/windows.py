"""The windows of the looks to come: sums over blocks of steps, at most some forty vectors however long the run is.

A look at the time t needs 2m blocks of the length t/32 after t/2, and nothing before. Looks are a factor of 1.14 to 1.5
apart, so that two to five of them are open at any time. Sums are cut where a block of any of them ends; a look adds
the pieces up to its blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


@dataclass(eq=False)
class Piece:
    """Sums over some steps.

    Attributes
    ----------
    unit : int
        The last one.
    samples : int
        Of the weights.
    steps : int or tensor
        How many.
    weights, gradients : list of tensor
        A vector for each scope.
    tally : tensor
        Sums of the samples, (3, n) for n tensors; empty until the clock has counted them, before a look.
    """

    unit: int
    samples: int
    steps: Any
    weights: list[Tensor]
    gradients: list[Tensor]
    tally: Tensor = field(default_factory=lambda: torch.empty(0))

    def plus(self, other: Piece) -> Piece:
        """Return the sums of both, the other being the later."""
        return Piece(
            other.unit,
            self.samples + other.samples,
            self.steps + other.steps,
            [one + two for one, two in zip(self.weights, other.weights, strict=True)],
            [one + two for one, two in zip(self.gradients, other.gradients, strict=True)],
            self.tally + other.tally,
        )


@dataclass(frozen=True)
class Window:
    """The two windows of one look, by the length of their blocks."""

    length: int

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

    def next_cut(self, unit: int) -> int:
        """Return the first unit after this one at which one of its blocks begins or ends."""
        return max(self.begins, (unit // self.length + 1) * self.length)

    def blocks(self, pieces: list[Piece]) -> list[Piece]:
        """Return the sums over each of its blocks."""
        inside = [each for each in pieces if self.begins < each.unit <= self.ends]
        return list(_merged(inside, lambda unit: unit % self.length == 0))


class Windows:
    """Those of the looks that are open, and of the next one, with the pieces of which their blocks are made.

    Attributes
    ----------
    look : int
        Looks that were made.
    due : int
        Unit after which the sums have to be cut next.
    """

    def __init__(self, shortest: int = 1) -> None:
        self.look, self._shortest = 0, shortest
        self._lengths: Iterator[int] = look_lengths(shortest)
        self.open: list[Window] = [Window(next(self._lengths))]
        self.pieces: list[Piece] = []
        self._plan(0)

    def _plan(self, unit: int) -> None:
        """Find the next unit after which the sums have to be cut."""
        while self.open[-1].begins <= unit:
            self.open.append(Window(next(self._lengths)))
        self.due = min((unit // _LONGEST + 1) * _LONGEST, *(each.next_cut(unit) for each in self.open))

    def _needed(self, unit: int) -> bool:
        return any(each.cut_at(unit) for each in self.open)

    def take(self, piece: Piece) -> list[Piece] | None:
        """Add sums; return the blocks of a look that is due."""
        if piece.unit > self.open[0].begins:
            self.pieces.append(piece)
        blocks = self._looked() if piece.unit == self.open[0].ends else None
        self._plan(piece.unit)
        return blocks

    def _looked(self) -> list[Piece]:
        """Return the blocks of the first window, and keep what the others need."""
        blocks = self.open[0].blocks(self.pieces)
        self.look += 1
        self.open.pop(0)
        later = [each for each in self.pieces if each.unit > self.open[0].begins]
        self.pieces = list(_merged(later, self._needed))
        return blocks

    def state(self) -> dict[str, Any]:
        """Return what has to be saved."""
        lengths = [each.length for each in self.open]
        return {
            "look": self.look,
            "due": self.due,
            "shortest": self._shortest,
            "lengths": lengths,
            "pieces": [vars(each) for each in self.pieces],
        }

    @classmethod
    def loaded(cls, state: dict[str, Any], devices: list[torch.device]) -> Windows:
        """Return what was saved, the vectors of each scope on its device."""
        made = cls(state["shortest"])
        made.look, made.due = state["look"], state["due"]
        made.open = [Window(each) for each in state["lengths"]]
        made.pieces = [_loaded(each, devices) for each in state["pieces"]]
        made._lengths = look_lengths(state["shortest"])
        while next(made._lengths) < made.open[-1].length:
            pass
        return made


def _merged(pieces: list[Piece], needed: Callable[[int], bool]) -> Iterator[Piece]:
    """Yield the sums of pieces between units where a cut is needed, and of what is left."""
    gathered: Piece | None = None
    for each in pieces:
        gathered = each if gathered is None else gathered.plus(each)
        if needed(each.unit):
            yield gathered
            gathered = None
    if gathered is not None:
        yield gathered


def _loaded(saved: dict[str, Any], devices: list[torch.device]) -> Piece:
    def there(values: Any, device: torch.device) -> Any:
        return values.to(device, copy=True) if isinstance(values, Tensor) else values

    weights, gradients = (
        [there(one, device) for one, device in zip(saved[name], devices, strict=True)]
        for name in ("weights", "gradients")
    )
    steps, tally = (there(saved[name], devices[0]) for name in ("steps", "tally"))
    return Piece(saved["unit"], saved["samples"], steps, weights, gradients, tally)
