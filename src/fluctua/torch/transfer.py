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
    gram : ndarray
        Products of the blocks' means, first of weights and then of gradients, (4m, 4m).
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
        return reading(self.gram[:half, half:], self.floors, local=local, sketch=self.sketch, samples=short)

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
        half = len(self.floors)
        total, common = float(self.squares.mean()), float(self.gram[half : half + half // 2, half + half // 2 :].mean())
        return total / common - 1 if common > 0 else float("nan" if np.isnan(total) else "inf")


def gathered(blocks: Sequence[Piece], samples: Tensor, scopes: Sequence[Scope]) -> list[Gathered]:
    """Return what a look knows of each scope, and of all together as the last where there are several.

    `samples` are sums of the floor's samples in bins, and how many there are, (n, 2, scopes).
    """
    with np.errstate(all="ignore"):
        found = list(_scopes(blocks, samples, scopes))
        return found if len(found) == 1 else [*found, _together(found)]


def _scopes(blocks: Sequence[Piece], samples: Tensor, scopes: Sequence[Scope]) -> Iterator[Gathered]:
    tallies = torch.stack([each.tally for each in blocks])
    steps = torch.stack([torch.as_tensor(each.steps, dtype=tallies.dtype).to(tallies.device) for each in blocks])
    grams = [_gram(blocks, number).to(tallies.device) for number in range(len(scopes))]
    there = [tallies, samples, steps, *grams]
    host = torch.cat([each.reshape(-1) for each in there]).cpu().numpy().astype(np.float64)
    sums, bins, counts, *products = np.split(host, np.cumsum([each.numel() for each in there])[:-1])
    per_block, per_bin = sums.reshape(tallies.shape), bins.reshape(samples.shape)
    means = per_block[:, :-1] / per_block[:, -1:]
    short = per_bin[:, 0] / per_bin[:, 1]
    short = short[np.isfinite(short).all(-1)]
    over = 1 / np.concatenate([[each.samples for each in blocks], counts])
    for place, (scope, gram) in enumerate(zip(scopes, products, strict=True)):
        floors, squares = means[:, :, scope.places].sum(-1).T
        both = gram.reshape(len(over), len(over)) * over[:, None] * over
        yield Gathered(scope.name, both, floors, squares, short[:, place], scope.fold.width)


def _gram(blocks: Sequence[Piece], number: int) -> Tensor:
    """Products of the sums of all blocks of one scope, weights and then gradients, on its device."""
    rows = torch.stack([getattr(each, name)[number] for name in ("weights", "gradients") for each in blocks])
    rows = rows.to(widest(rows.device))
    return rows @ rows.T


def _together(found: Sequence[Gathered]) -> Gathered:
    gram, floors, squares, samples = (
        np.asarray(sum(getattr(each, name) for each in found)) for name in ("gram", "floors", "squares", "samples")
    )
    return Gathered(ALL, gram, floors, squares, samples, None, float(np.linalg.norm([each.sketch for each in found])))
