"""One look: from sums on the device to numbers on the host, in one transfer."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._arrays import Array
from ..verification.equilibrium.work import Reading, reading, sketch_error
from .lists import widest
from .scopes import ALL, Scope
from .windows import Piece

__all__ = ["Gathered", "gathered"]


_COLUMNS = 8192
"""Numbers of each vector that are made float64 and multiplied at a time, so that a look needs little memory."""


@dataclass(frozen=True)
class Gathered:
    """What a look knows of one scope.

    Attributes
    ----------
    name : str
    products : ndarray
        Of the mean weights of each block with the mean gradients of each, (2m, 2m).
    common : float
        Product of the mean gradients of the two windows.
    floors, squares : ndarray
        Means over each block of the floor's samples and of |g|^2, (2m,).
    samples : ndarray
        Means of the floor's samples over shorter blocks, (n,).
    sketch : float
        Standard error of W from folding.
    """

    name: str
    products: Array
    common: float
    floors: Array
    squares: Array
    samples: Array
    sketch: float

    def read(self, *, local: bool) -> Reading:
        """Return W, F and their errors."""
        short = self.samples if len(self.samples) > len(self.floors) else None
        return reading(self.products, self.floors, local=local, sketch=self.sketch, samples=short)

    @property
    def noise_scale(self) -> float:
        """Variance of a batch's gradient over the square of its mean; infinite where no mean is seen."""
        total = float(self.squares.mean())
        return total / self.common - 1 if self.common > 0 else float("nan" if np.isnan(total) else "inf")


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
    products = [_products(blocks, number, folded=each.fold.width is not None) for number, each in enumerate(scopes)]
    sums, bins, counts, *grams = _on_host([tallies, samples, _counts(pieces, tallies), *products], tallies.device)
    per_block = np.add.reduceat(sums, first)
    means = per_block[:, :-1] / per_block[:, -1:]
    short = bins[:, 0] / bins[:, 1]
    short = short[np.isfinite(short).all(-1)]
    shares = 1 / np.add.reduceat([each.samples for each in pieces], first), factor / np.add.reduceat(counts, first)
    for place, (scope, gram) in enumerate(zip(scopes, grams, strict=True)):
        floors, squares = means[:, :, scope.places].sum(-1).T
        of_blocks, common, sketch = _means(gram, *shares, scope.fold.width)
        yield Gathered(scope.name, of_blocks, common, floors, squares, short[:, place], sketch)


def _means(sums: Array, weights: Array, gradients: Array, width: int | None) -> tuple[Array, float, float]:
    """Products of blocks' means, that of the windows' mean gradients, and the error from folding, all from sums.

    `weights` and `gradients` are what makes a mean of a block's sum.
    """
    many, half = len(weights), len(weights) // 2
    whole, parts = sums[: many**2].reshape(many, many) * np.outer(weights, gradients), sums[many**2 :]
    scales = 1 / (1 / gradients).reshape(2, half).sum(1)
    if width is None:
        return whole, float(parts[0] * scales.prod()), 0.0
    gone = np.repeat([1, -1], half) @ whole.sum(1) / half**2
    common, first, second, step = parts * [scales.prod(), *scales**2, (weights[0] / half) ** 2]
    return whole, float(common), float(sketch_error(step, first + second + 2 * common, gone, width))


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


def _products(blocks: Sequence[Sequence[Piece]], number: int, *, folded: bool) -> Tensor:
    """Products of a scope's sums over blocks, weights by gradients, then of sums over windows, on its device."""
    sums = [_summed([each.weights[number] for each in block]) for block in blocks]
    ends = [blocks[0][0].starts[number], *(block[-1].ends[number] for block in blocks)]
    more = [_summed([each.sampled[number] for each in block]) for block in blocks if block[0].sampled]
    columns = torch.stack([*sums, *ends, *more]).split(_COLUMNS, 1)
    return _summed([_of_columns(each, len(blocks), folded) for each in columns])


def _summed(vectors: Sequence[Tensor]) -> Tensor:
    return functools.reduce(torch.add, vectors)


def _of_columns(rows: Tensor, count: int, folded: bool) -> Tensor:
    """The share of some columns: of sums of weights, ends of the gradients' sums, and what is added to those.

    After the products of blocks comes that of the gradients of both windows. Where vectors are folded, squares follow:
    of the gradients of either, and of how far the weights went from the one to the other.
    """
    rows = rows.to(widest(rows.device))
    weights, ends, more = rows[:count], rows[count : 2 * count + 1], rows[2 * count + 1 :]
    gradients = ends[1:] - ends[:-1]
    if len(more):
        gradients += more
    first, second = gradients.unflatten(0, (2, -1)).sum(1)
    pairs = [(first, second)]
    if folded:
        before, after = weights.unflatten(0, (2, -1)).sum(1)
        pairs += [(each, each) for each in (first, second, before - after)]
    return torch.cat([(weights @ gradients.T).flatten(), torch.stack([torch.dot(*each) for each in pairs])])


def _together(found: Sequence[Gathered]) -> Gathered:
    def total(name: str) -> Any:
        return sum(getattr(each, name) for each in found)

    names = "products", "common", "floors", "squares", "samples"
    errors = np.linalg.norm([each.sketch for each in found])
    return Gathered(ALL, sketch=float(errors), **{name: total(name) for name in names})
