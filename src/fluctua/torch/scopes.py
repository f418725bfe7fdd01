"""What a state is of: all weights, a parameter group, or one tensor."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .part import Part
from .sketch import LARGE, WIDTH, Fold

__all__ = ["ALL", "KINDS", "Scope", "scopes_of"]

ALL = "all"
KINDS = ("global", "param_group", "tensor")
WHOLE = slice(None)
"""Where all tensors of a group are in its vector."""


@dataclass(frozen=True)
class Scope:
    """Some of the tensors.

    Attributes
    ----------
    name : str
    places : sequence of int
        Of its tensors, counted through all groups.
    spans : list of (int, slice)
        Number of a group, and where in its vector they are.
    fold : Fold
        What makes one vector of them.
    """

    name: str
    places: Sequence[int]
    spans: list[tuple[int, slice]]
    fold: Fold

    def vector(self, parts: Sequence[Tensor]) -> Tensor:
        """Return a vector of its own from those of the groups, which are changed where it is folded."""
        if len(self.spans) == 1:
            number, span = self.spans[0]
            return self.fold(parts[number] if span == WHOLE else parts[number][span])
        home = parts[self.spans[0][0]]
        return self.fold(torch.cat([parts[number][span].to(home) for number, span in self.spans]))


def scopes_of(kind: str, parts: Sequence[Part], sketch: int | str | None) -> list[Scope]:
    """Return the scopes of a kind, in the order of the groups."""
    made, place = list[Scope](), 0
    for number, part in enumerate(parts):
        sizes = [each.numel() for each in part.params]
        if kind == "param_group":
            places = range(place, place + len(sizes))
            made.append(_scope(f"group {part.number}", places, [(number, WHOLE)], sum(sizes), part, sketch))
        elif kind == "tensor":
            ends = list(itertools.accumulate(sizes))
            for own, (end, size) in enumerate(zip(ends, sizes, strict=True)):
                span = slice(end - size, end)
                made.append(_scope(_name(part, own), [place + own], [(number, span)], size, part, sketch))
        place += len(sizes)
    if kind != "global":
        return made
    size = sum(each.numel() for part in parts for each in part.params)
    return [_scope(ALL, range(place), [(k, WHOLE) for k in range(len(parts))], size, parts[0], sketch)]


def _scope(
    name: str, places: Sequence[int], spans: list[tuple[int, slice]], size: int, part: Part, sketch: int | str | None
) -> Scope:
    width = (WIDTH if size > LARGE else None) if isinstance(sketch, str) else sketch
    return Scope(name, places, spans, Fold(size, width, part.device, part.dtype))


def _name(part: Part, place: int) -> str:
    names = part.group.get("param_names")
    return f"group {part.number}, {names[place] if names else f'tensor {place}'}"
