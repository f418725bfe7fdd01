"""One look: from sums on the device to numbers on the host, in one transfer."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .._arrays import Array
from ..verification.equilibrium.work import Reading, reading, sketch_error
from .lists import widest
from .scopes import ALL, Scope
from .windows import Piece

__all__ = ["Gathered", "gathered"]


@dataclass(frozen=True)
class Gathered:
    """What a look knows of one scope.

    Attributes
    ----------
    name : str
    gram : ndarray
        Products of the blocks' means, first of weights and then of gradients, with the gradients, (4m, 2m); with all,
        (4m, 4m), where vectors are folded.
    floors, squares : ndarray
        Means over each block of the floor's samples and of |g|^2, (2m,).
    samples : ndarray
        Means of the floor's samples over shorter blocks, (n,).
    width : int or None
        Numbers that vectors were folded to.
    others : float
        Standard error of W from folding the scopes that this one is made of.
    """

    name: str
    gram: Array
    floors: Array
    squares: Array
    samples: Array
    width: int | None
    others: float = 0.0

    def read(self, *, local: bool) -> Reading:
        """Return W, F and their errors."""
        half = len(self.floors)
        short = self.samples if len(self.samples) > half else None
        return reading(self.gram[:half, -half:], self.floors, local=local, sketch=self.sketch, samples=short)

    @property
    def sketch(self) -> float:
        """Standard error of W from folding."""
        if self.width is None:
            return self.others
        gone, both = np.zeros((2, len(self.gram)))
        quarter = len(self.floors) // 2
        gone[: 2 * quarter] = np.repeat([1, -1], quarter) / quarter
        both[2 * quarter :] = 1 / quarter
        step, gradient, product = gone @ self.gram @ gone, both @ self.gram @ both, gone @ self.gram @ both
        return float(sketch_error(step, gradient, product, self.width))

    @property
    def noise_scale(self) -> float:
        """Variance of a batch's gradient over the square of its mean; infinite where no mean is seen."""
        half, quarter = len(self.floors), len(self.floors) // 2
        total, common = float(self.squares.mean()), float(self.gram[half : half + quarter, -quarter:].mean())
        return total / common - 1 if common > 0 else float("nan" if np.isnan(total) else "inf")


def gathered(
    blocks: Sequence[Sequence[Piece]], samples: Tensor, scopes: Sequence[Scope], factor: float
) -> list[Gathered]:
    """Return what a look knows of each scope, and of all together as the last where there are several.

    `samples` are sums of the floor's samples in bins, and how many there are, (n, 2, scopes); `factor` is what gives
    sums of gradients from the differences of the pieces' ends.
    """
    with np.errstate(all="ignore"):
        found = list(_scopes(blocks, samples, scopes, factor))
        return found if len(found) == 1 else [*found, _together(found)]


def _scopes(
    blocks: Sequence[Sequence[Piece]], samples: Tensor, scopes: Sequence[Scope], factor: float
) -> Iterator[Gathered]:
    pieces = [each for block in blocks for each in block]
    first = np.cumsum([0, *map(len, blocks[:-1])])
    tallies = torch.stack([each.tally for each in pieces])
    products = [_products(blocks, number, scope.fold.width) for number, scope in enumerate(scopes)]
    sums, bins, counts, *grams = _on_host([tallies, samples, _counts(pieces, tallies), *products], tallies.device)
    per_block = np.add.reduceat(sums, first)
    means = per_block[:, :-1] / per_block[:, -1:]
    short = bins[:, 0] / bins[:, 1]
    short = short[np.isfinite(short).all(-1)]
    over = 1 / np.add.reduceat([each.samples for each in pieces], first), factor / np.add.reduceat(counts, first)
    for place, (scope, gram) in enumerate(zip(scopes, grams, strict=True)):
        floors, squares = means[:, :, scope.places].sum(-1).T
        both = gram * np.concatenate(over)[:, None]
        both *= over[1] if scope.fold.width is None else np.concatenate(over)
        yield Gathered(scope.name, both, floors, squares, short[:, place], scope.fold.width)


def _counts(pieces: Sequence[Piece], like: Tensor) -> Tensor:
    """The steps in each piece; those of which the device says that they were none are known there."""
    steps = [each.steps for each in pieces]
    if any(isinstance(each, Tensor) for each in steps):
        return torch.stack([torch.as_tensor(each, dtype=like.dtype, device=like.device) for each in steps])
    return torch.tensor(steps, dtype=like.dtype, device=like.device)


def _on_host(tensors: Sequence[Tensor], device: torch.device) -> list[Array]:
    """Arrays of tensors, in one transfer."""
    host = torch.cat([each.reshape(-1).to(device) for each in tensors]).cpu().numpy().astype(np.float64)
    parts = np.split(host, np.cumsum([each.numel() for each in tensors])[:-1])
    return [one.reshape(each.shape) for one, each in zip(parts, tensors, strict=True)]


def _products(blocks: Sequence[Sequence[Piece]], number: int, width: int | None) -> Tensor:
    """Products of one scope's sums over blocks, weights and then gradients, on its device: (4m, 2m) with the gradients.

    Where vectors are folded they are products with all, (4m, 4m).
    """
    weights = [functools.reduce(torch.add, [each.weights[number] for each in block]) for block in blocks]
    gradients = [block[-1].ends[number] - block[0].starts[number] for block in blocks]
    for total, more in ((one, each) for one, block in zip(gradients, blocks, strict=True) for each in block):
        if more.sampled:
            total.add_(more.sampled[number])
    rows = torch.stack([*weights, *gradients])
    rows = rows.to(widest(rows.device))
    return rows @ (rows[len(blocks) :] if width is None else rows).T


def _together(found: Sequence[Gathered]) -> Gathered:
    floors, squares, samples = (
        np.asarray(sum(getattr(each, name) for each in found)) for name in ("floors", "squares", "samples")
    )
    gram = np.asarray(sum(each.gram[:, -len(floors) :] for each in found))  # some are folded, and others not
    return Gathered(ALL, gram, floors, squares, samples, None, float(np.linalg.norm([each.sketch for each in found])))
