"""What a state is of: all weights, a parameter group, or one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .part import Part
from .sketch import LARGE, WIDTH, Fold

__all__ = ["ALL", "KINDS", "Scope", "scopes_of"]

ALL = "all"
KINDS = ("global", "param_group", "tensor")


@dataclass(frozen=True)
class Scope:
    """Some of the tensors.

    Attributes
    ----------
    name : str
    places : sequence of int
        Of its tensors, counted through all groups.
    fold : Fold
        What makes one vector of them.
    """

    name: str
    places: Sequence[int]
    fold: Fold

    def vector(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return the vector of its tensors among all."""
        return self.fold([tensors[place] for place in self.places])


def scopes_of(kind: str, parts: Sequence[Part], sketch: int | str | None) -> list[Scope]:
    """Return the scopes of a kind, in the order of the groups."""
    tensors = [each for part in parts for each in part.start]
    places = [(number, place) for number, part in enumerate(parts) for place in range(len(part.start))]
    if kind == "global":
        named = {ALL: list(range(len(tensors)))}
    elif kind == "param_group":
        named = {f"group {k}": [i for i, (one, _) in enumerate(places) if one == k] for k in range(len(parts))}
    else:
        named = {_name(parts[k], k, place): [i] for i, (k, place) in enumerate(places)}
    folds = {name: Fold([tensors[i] for i in some], _width(sketch, tensors, some)) for name, some in named.items()}
    return [Scope(name, some, folds[name]) for name, some in named.items()]


def _name(part: Part, number: int, place: int) -> str:
    names = part.group.get("param_names")
    return f"group {number}, {names[place] if names else f'tensor {place}'}"


def _width(sketch: int | str | None, tensors: Sequence[torch.Tensor], places: Sequence[int]) -> int | None:
    if isinstance(sketch, str):
        return WIDTH if sum(tensors[place].numel() for place in places) > LARGE else None
    return sketch
