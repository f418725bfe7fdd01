"""One look: from sums on the device to numbers on the host, in one transfer."""

from __future__ import annotations

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
    products : ndarray
        Products of the blocks' mean weights with their mean gradients, (2m, 2m).
    gradients : ndarray
        Products of the blocks' mean gradients with each other, (2m, 2m).
    weights : ndarray or None
        Products of the blocks' mean weights with each other, (2m, 2m); None where vectors were not folded.
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
    products: Array
    gradients: Array
    weights: Array | None
    floors: Array
    squares: Array
    samples: Array
    width: int | None
    others: float = 0.0

    def read(self, *, local: bool) -> Reading:
        """Return W, F and their errors."""
        short = self.samples if len(self.samples) > len(self.floors) else None
        return reading(self.products, self.floors, local=local, sketch=self.sketch, samples=short)

    @property
    def sketch(self) -> float:
        """Standard error of W from folding."""
        if self.width is None or self.weights is None:
            return self.others
        quarter = len(self.floors) // 2
        gone, both = np.repeat([1, -1], quarter) / quarter, np.full(2 * quarter, 1 / quarter)
        step, gradient, product = gone @ self.weights @ gone, both @ self.gradients @ both, gone @ self.products @ both
        return float(sketch_error(step, gradient, product, self.width))

    @property
    def noise_scale(self) -> float:
        """Variance of a batch's gradient over the square of its mean; infinite where no mean is seen."""
        half = len(self.floors) // 2
        total, common = float(self.squares.mean()), float(self.gradients[:half, half:].mean())
        return total / common - 1 if common > 0 else float("nan" if np.isnan(total) else "inf")


def gathered(blocks: Sequence[Sequence[Piece]], samples: Tensor, scopes: Sequence[Scope]) -> list[Gathered]:
    """Return what a look knows of each scope, and of all together as the last where there are several.

    `samples` are sums of the floor's samples in bins, and how many there are, (n, 2, scopes).
    """
    with np.errstate(all="ignore"):
        found = list(_scopes(blocks, samples, scopes))
        return found if len(found) == 1 else [*found, _together(found)]


def _scopes(blocks: Sequence[Sequence[Piece]], samples: Tensor, scopes: Sequence[Scope]) -> Iterator[Gathered]:
    pieces = [each for block in blocks for each in block]
    first = np.cumsum([0, *map(len, blocks[:-1])])
    tallies = torch.stack([each.tally for each in pieces])
    grams = [_products(blocks, number, scope.fold.width) for number, scope in enumerate(scopes)]
    there = [tallies, samples, _counts(pieces, tallies), *(each for gram in grams for each in gram)]
    sums, bins, counts, *products = _on_host(there, tallies.device)
    per_block = np.add.reduceat(sums, first)
    means = per_block[:, :-1] / per_block[:, -1:]
    short = bins[:, 0] / bins[:, 1]
    short = short[np.isfinite(short).all(-1)]
    steps = 1 / np.add.reduceat(counts, first)
    many = 1 / np.add.reduceat([each.samples for each in pieces], first)
    found = iter(products)
    for place, scope in enumerate(scopes):
        floors, squares = means[:, :, scope.places].sum(-1).T
        crossed = np.add.reduceat(next(found), first) * many[:, None] * steps
        gradients = next(found) * steps[:, None] * steps
        weights = None
        if scope.fold.width is not None:
            weights = np.add.reduceat(np.add.reduceat(next(found), first), first, axis=1) * many[:, None] * many
        own = short[:, place]
        yield Gathered(scope.name, crossed, gradients, weights, floors, squares, own, scope.fold.width)


def _counts(pieces: Sequence[Piece], like: Tensor) -> Tensor:
    """The steps in each piece; those of which the device says that they were none are known there."""
    steps = [each.steps for each in pieces]
    if any(isinstance(each, Tensor) for each in steps):
        return torch.stack([torch.as_tensor(each, dtype=like.dtype).to(like.device) for each in steps])
    return torch.tensor(steps, dtype=like.dtype, device=like.device)


def _on_host(tensors: Sequence[Tensor], device: torch.device) -> list[Array]:
    """Arrays of tensors, in one transfer."""
    host = torch.cat([each.reshape(-1).to(device) for each in tensors]).cpu().numpy().astype(np.float64)
    parts = np.split(host, np.cumsum([each.numel() for each in tensors])[:-1])
    return [one.reshape(each.shape) for one, each in zip(parts, tensors, strict=True)]


def _products(blocks: Sequence[Sequence[Piece]], number: int, width: int | None) -> list[Tensor]:
    """Products of one scope's sums, on its device: of the weights of pieces with the gradients of blocks, (n, 2m).

    Then of the gradients with each other, and where vectors are folded of the weights with each other, (n, n).
    """
    rows = _rows(blocks, number)
    weights, gradients = rows[: -len(blocks)], rows[-len(blocks) :]
    found = list((rows @ gradients.T).split([len(weights), len(gradients)]))
    return found if width is None else [*found, weights @ weights.T]


def _rows(blocks: Sequence[Sequence[Piece]], number: int) -> Tensor:
    """The weights of each piece, and then the gradients of each block, written once."""
    weights = [each.weights[number] for block in blocks for each in block]
    like = weights[0]
    whole = like.new_empty((len(weights) + len(blocks), len(like)), dtype=widest(like.device))
    rows = whole.unbind()
    for row, each in zip(rows, weights, strict=False):
        row.copy_(each)
    for row, block in zip(rows[len(weights) :], blocks, strict=True):
        torch.sub(block[-1].ends[number], block[0].starts[number], out=row)
        for one in block:
            if one.sampled:
                row.add_(one.sampled[number])
    return whole


def _together(found: Sequence[Gathered]) -> Gathered:
    names = ("products", "gradients", "floors", "squares", "samples")
    products, gradients, *rest = (np.asarray(sum(getattr(each, name) for each in found)) for name in names)
    error = float(np.linalg.norm([each.sketch for each in found]))
    return Gathered(ALL, products, gradients, None, *rest, None, error)
