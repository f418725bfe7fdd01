"""The clock of a monitor: sums from its start on, and the looks that fall due."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ..verification.equilibrium.looks import bin_width
from .bins import Bins
from .lists import widest
from .part import Part
from .rules import Group, Rules
from .scopes import scopes_of
from .windows import Piece, Windows, moved

__all__ = ["SAVED", "Clock", "identity", "settings", "shortest_look"]

_ROUNDING = 1e-9
_WAITING = 256
"""Samples whose tallies may wait for each other: each is a few tensors of one number."""


MEMORIES = 4
"""Blocks and bins are at least so many memories of the momentum long: shorter ones are not independent."""


class Clock:
    """Time since the learning rate is what it is, in units of `every` steps, and the sums since then.

    Attributes
    ----------
    units : int
        Since the start.
    parts : list of Part
        One for each parameter group.
    factor : float
        What gives the sums of the gradients from the differences of the pieces' ends.
    scopes : list of Scope
    windows : Windows
    bins : Bins
    """

    def __init__(
        self,
        optimizer: Optimizer,
        rules: Rules,
        every: int,
        kind: str,
        sketch: int | str | None,
        known: Sequence[Sequence[Any]],
    ) -> None:
        """Start with the settings `known` of the groups, which those of now may have taken the place of."""
        self._every = every
        groups = [pair for pair in zip(optimizer.param_groups, known, strict=True) if pair[0]["params"]]
        self.parts = [Part(rules, optimizer, *pair) for pair in groups]
        self.factor = self._shared_factor()
        self.scopes = scopes_of(kind, self.parts, sketch)
        self.device = self.parts[0].device
        self._shortest = shortest_look(rules, [part.settings for part in self.parts], every)
        self.windows, self.units, self._cut = Windows(self._shortest), 0, 0
        width = bin_width(self.windows.open[0].length, self._shortest)
        self.bins = Bins(width, len(self.scopes), self.device, widest(self.device))
        self._origin = self._folded([part.start for part in self.parts])
        self._ends = self._folded([part.ended() for part in self.parts])
        self._lost: Any = 0
        self._counts: list[Tensor] = []
        self._sampled = 0
        self._untallied: list[Piece] = []

    def _shared_factor(self) -> float:
        """The factor of all parts, which a look applies; else 1, and each part has its own in its vectors."""
        factors = {part.factor for part in self.parts}
        if len(factors) == 1:
            return factors.pop()
        for part in self.parts:
            part.own_factor = part.factor
        return 1.0

    def observe(self, scale: Tensor | None, found: Tensor | None) -> bool:
        """Take up a step from before it; return whether that can be done."""
        seen = True
        for part in self.parts:
            seen = part.observe(scale, found) and seen
        return seen

    def skip(self, found: Tensor) -> None:
        """Note on the device whether the step just made was none."""
        self._lost = self._lost + (found > 0).sum().to(self.device)

    def due(self) -> bool:
        """Count a unit; return whether the sums have to be cut after it."""
        self.units += 1
        return self.is_due

    @property
    def is_due(self) -> bool:
        """Whether the sums have to be cut now."""
        return self.units >= self.windows.due

    @property
    def is_look_due(self) -> bool:
        """Whether that makes a look."""
        return self.units == self.windows.open[0].ends

    def cut(self) -> list[list[Piece]] | None:
        """Cut the sums; return the pieces of each block of a look that is due."""
        piece = self._piece()
        self._untallied.append(piece)
        if self.is_look_due or sum(each.samples for each in self._untallied) >= _WAITING:
            self._tally()
        return self.windows.take(piece)

    def samples(self, blocks: Sequence[Sequence[Piece]]) -> Tensor:
        """Return the floor's samples in the windows of these blocks, in bins, and forget those before the next."""
        first, second, last = (blocks[place][-1].unit for place in (0, 1, -1))
        found = self.bins.between(2 * first - second, last)
        self.bins.forget(self.windows.open[0].begins, bin_width(self.windows.open[0].length, self._shortest))
        return found

    def _tally(self) -> None:
        """Give the pieces their tallies, many at a time."""
        if not self._untallied:
            return
        counts = [piece.samples for piece in self._untallied]
        values = [part.counted(sum(counts)) for part in self.parts]
        whole = values[0] if len(values) == 1 else torch.cat([each.to(self.device) for each in values], dim=2)
        for piece, some in zip(self._untallied, whole.split(counts, dim=1), strict=True):
            piece.tally = some.sum(1)
            self._counts.append(piece.tally[-1])
        self._sampled += sum(counts)
        self._untallied = []
        self.bins.add(self._by_scope(whole))

    def _by_scope(self, values: Tensor) -> Tensor:
        """Samples of the floor and how many are finite in every tensor, of each unit and scope, (units, 2, scopes)."""
        found = []
        for each in self.scopes:
            own = values[:, :, each.places[0] : each.places[-1] + 1]
            good = own[2].amin(1)
            found.append(torch.stack([own[0].sum(1) * good, good], dim=1))
        return torch.stack(found, dim=2)

    def _piece(self) -> Piece:
        """Return the sums since the last cut, and begin new ones."""
        samples = self.units - self._cut
        steps = samples * self._every - self._lost
        sampled = self._folded([each for part in self.parts if (each := part.direct(steps / samples)) is not None])
        weights = self._folded([part.weights() for part in self.parts])
        for one, origin in zip(weights, self._origin, strict=True):
            one.sub_(origin, alpha=samples)
        before, ends = self._ends, self._folded([part.ended() for part in self.parts])
        self._ends, self._cut, self._lost = ends, self.units, 0
        return Piece(self.units, samples, steps, weights, before, ends, sampled)

    def _folded(self, vectors: Sequence[Tensor]) -> list[Tensor]:
        """A vector for each scope from those of the parts, which are written over; none from none."""
        return [each.vector(vectors) for each in self.scopes] if vectors else []

    def missed(self) -> int:
        """Return how many samples since the last call were not finite; asks the device."""
        good = round(float(torch.stack(self._counts).amin(1).sum())) if self._counts else 0
        found, self._sampled, self._counts = self._sampled - good, 0, []
        return found

    @property
    def moved(self) -> bool:
        """Whether a learning rate that is a tensor has changed; asks the device."""
        parts = [part for part in self.parts if isinstance(part.group["lr"], Tensor)]
        for each in parts:
            each.compare_rates()
        return any(bool(each.moved) for each in parts)

    @property
    def shapes(self) -> list[list[list[int]]]:
        """Shapes of the tensors of each group."""
        return [[list(each.shape) for each in part.params] for part in self.parts]

    def state(self) -> dict[str, Any]:
        """Return what has to be saved."""
        self._tally()
        kept = {name: getattr(self, f"_{name}") for name in _KEPT}
        parts, windows = [each.state() for each in self.parts], self.windows.state()
        return {"units": self.units, **kept, "parts": parts, "windows": windows, "bins": self.bins.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what was saved of weights of the same shapes."""
        self.units, devices = state["units"], [self.parts[each.spans[0][0]].device for each in self.scopes]
        for name in _KEPT:
            setattr(self, f"_{name}", moved(state[name], devices))
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load(saved)
        self.windows = Windows.loaded(state["windows"], devices)
        self.bins.load(state["bins"])


_KEPT = ("cut", "lost", "sampled", "counts", "origin", "ends")
SAVED = frozenset(("units", *_KEPT, "parts", "windows", "bins"))
"""Names of what a clock saves; earlier versions saved others, here or in the windows."""


def shortest_look(rules: Rules, groups: Sequence[Group], every: int) -> int:
    """Return the samples in a block that is longer than the memory of any momentum."""
    memory = max((rules.memory(group) for group in groups), default=1.0)
    return math.ceil(MEMORIES * memory / every - _ROUNDING) if memory > 1 else 1


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
