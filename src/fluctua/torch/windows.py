"""The windows of the looks to come: sums over blocks of steps, at most some forty pieces however long the run is.

A look at the time t needs 2m blocks of the length t/32 after t/2, and nothing before. Looks are a factor of 1.14 to 1.5
apart, so that two to five of them are open at any time. Sums are cut where a block of any of them ends; products of the
pieces are added up to those of the blocks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..verification.equilibrium.looks import PER_LOOK, look_lengths

__all__ = ["SAVED", "Piece", "Window", "Windows", "moved"]

SAVED = ("look", "due", "shortest", "lengths", "starts", "pieces")
"""Names of what is saved; earlier versions saved others."""
_FIRST = PER_LOOK // 2
"""Blocks before the windows of a look."""
_LONGEST = 256
"""Units after which sums are cut in any case: float32 adds so many weights without a loss that matters."""


_NONE = torch.empty(())  # made once: to make one takes as long as to add weights


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
    weights : list of tensor
        A vector for each scope, as all that follow.
    starts, ends : list of tensor
        The gradients add up to the ends less the starts, which are the ends of the piece before.
    sampled : list of tensor
        What is to be added to that; empty where there is nothing.
    tally : tensor
        Sums of the samples, (3, n) for n tensors; one number until the clock has counted them, before a look.
    """

    unit: int
    samples: int
    steps: Any
    weights: list[Tensor]
    starts: list[Tensor]
    ends: list[Tensor]
    sampled: list[Tensor]
    tally: Tensor = _NONE

    def plus(self, other: Piece) -> Piece:
        """Return the sums of both, the other being the later."""
        return Piece(
            other.unit,
            self.samples + other.samples,
            self.steps + other.steps,
            [one + two for one, two in zip(self.weights, other.weights, strict=True)],
            self.starts,
            other.ends,
            [one + two for one, two in zip(self.sampled, other.sampled, strict=True)],
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

    def blocks(self, pieces: list[Piece]) -> list[list[Piece]]:
        """Return the pieces of each of its blocks."""
        inside = [each for each in pieces if self.begins < each.unit <= self.ends]
        return list(_split(inside, lambda unit: unit % self.length == 0))


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

    def take(self, piece: Piece) -> list[list[Piece]] | None:
        """Add sums; return the pieces of each block of a look that is due."""
        if piece.unit > self.open[0].begins:
            self.pieces.append(piece)
        blocks = self._looked() if piece.unit == self.open[0].ends else None
        self._plan(piece.unit)
        return blocks

    def _looked(self) -> list[list[Piece]]:
        """Return the blocks of the first window, and keep what the others need."""
        blocks = self.open[0].blocks(self.pieces)
        self.look += 1
        self.open.pop(0)
        later = [each for each in self.pieces if each.unit > self.open[0].begins]
        self.pieces = [functools.reduce(Piece.plus, some) for some in _split(later, self._needed)]
        return blocks

    def state(self) -> dict[str, Any]:
        """Return what has to be saved."""
        lengths, starts = [each.length for each in self.open], self.pieces[0].starts if self.pieces else []
        values = self.look, self.due, self._shortest, lengths, starts, [_saved(each) for each in self.pieces]
        return dict(zip(SAVED, values, strict=True))

    @classmethod
    def loaded(cls, state: dict[str, Any], devices: list[torch.device]) -> Windows:
        """Return what was saved, the vectors of each scope on its device."""
        made = cls(state["shortest"])
        made.look, made.due = state["look"], state["due"]
        made.open = [Window(each) for each in state["lengths"]]
        ends = moved(state["starts"], devices)
        for each in state["pieces"]:
            made.pieces.append(_loaded(each, ends, devices))
            ends = made.pieces[-1].ends
        made._lengths = look_lengths(state["shortest"])
        while next(made._lengths) < made.open[-1].length:
            pass
        return made


def _split(pieces: list[Piece], needed: Callable[[int], bool]) -> Iterator[list[Piece]]:
    """Yield pieces between units where a cut is needed, and those that are left."""
    some: list[Piece] = []
    for each in pieces:
        some.append(each)
        if needed(each.unit):
            yield some
            some = []
    if some:
        yield some


def _saved(piece: Piece) -> dict[str, Any]:
    """What is saved of a piece: it starts where the one before it ends."""
    return {name: value for name, value in vars(piece).items() if name != "starts"}


def _loaded(saved: dict[str, Any], starts: list[Tensor], devices: list[torch.device]) -> Piece:
    steps, tally = (moved(saved[name], devices[:1]) for name in ("steps", "tally"))
    weights, ends, sampled = (moved(saved[name], devices) for name in ("weights", "ends", "sampled"))
    return Piece(saved["unit"], saved["samples"], steps, weights, starts, ends, sampled, tally)


def moved(saved: Any, devices: Sequence[torch.device]) -> Any:
    """Copies of tensors, one for each scope on its device; other lists of tensors, and one alone, on the first."""
    if isinstance(saved, Tensor):
        return saved.to(devices[0], copy=True)
    if isinstance(saved, list):
        homes = devices if len(saved) == len(devices) else [devices[0]] * len(saved)
        return [each.to(home, copy=True) for each, home in zip(saved, homes, strict=True)]
    return saved
