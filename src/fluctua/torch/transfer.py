"""One look: from sums on the device to numbers on the host, in one transfer."""

from __future__ import annotations

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

_EXTRA = 4  # |w_A - w_B|^2, |g_A + g_B|^2, their product, g_A . g_B


@dataclass(frozen=True)
class Gathered:
    """What a look knows of one scope.

    Attributes
    ----------
    name : str
    products : ndarray
        w_i . g_j of the blocks, (2m, 2m).
    floors, squares : ndarray
        Means over each block of the floor's samples and of |g|^2, (2m,).
    sketch : float
        Standard error of W from folding.
    common : float
        g_A . g_B.
    """

    name: str
    products: Array
    floors: Array
    squares: Array
    sketch: float
    common: float

    def read(self, *, local: bool) -> Reading:
        """Return W, F and their errors."""
        return reading(self.products, self.floors, local=local, sketch=self.sketch)

    @property
    def noise_scale(self) -> float:
        """Variance of a batch's gradient over the square of its mean; infinite where no mean is seen."""
        total = float(self.squares.mean())
        return total / self.common - 1 if self.common > 0 else float("nan" if np.isnan(total) else "inf")


def gathered(blocks: Sequence[Piece], scopes: Sequence[Scope]) -> list[Gathered]:
    """Return what a look knows of each scope, and of all together as the last where there are several."""
    with np.errstate(all="ignore"):
        found = list(_scopes(blocks, scopes))
        return found if len(found) == 1 else [*found, _together(found)]


def _scopes(blocks: Sequence[Piece], scopes: Sequence[Scope]) -> Iterator[Gathered]:
    home = blocks[0].tally.device
    products = [_products(blocks, number).to(home) for number in range(len(scopes))]
    tallies = torch.stack([each.tally for each in blocks])
    host = torch.cat([tallies.reshape(-1), *products]).cpu().numpy().astype(np.float64)
    sums, rest = np.split(host, [tallies.numel()])
    samples = sums.reshape(tallies.shape)
    means = samples[:, :-1] / samples[:, -1:]
    count = len(blocks)
    for scope, row in zip(scopes, rest.reshape(len(scopes), -1), strict=True):
        floors, squares = means[:, :, scope.places].sum(-1).T
        step, gradient, product, common = row[-_EXTRA:]
        width = scope.fold.width
        error = 0.0 if width is None else float(sketch_error(step, gradient, product, width))
        yield Gathered(scope.name, row[:-_EXTRA].reshape(count, count), floors, squares, error, float(common))


def _products(blocks: Sequence[Piece], number: int) -> Tensor:
    """Products of the blocks of one scope, then four more numbers, on its device."""
    weights, gradients = (
        _means([getattr(each, name)[number] for each in blocks], [getattr(each, count) for each in blocks])
        for name, count in (("weights", "samples"), ("gradients", "steps"))
    )
    half = len(blocks) // 2
    (w_a, w_b), (g_a, g_b) = ((each[:half].mean(0), each[half:].mean(0)) for each in (weights, gradients))
    gone, both = w_a - w_b, g_a + g_b
    extra = [torch.dot(gone, gone), torch.dot(both, both), torch.dot(gone, both), torch.dot(g_a, g_b)]
    return torch.cat([(weights @ gradients.T).reshape(-1), torch.stack(extra)])


def _means(sums: list[Tensor], counts: list[Any]) -> Tensor:
    """Return sums over their counts, a row each."""
    rows = torch.stack(sums)
    rows = rows.to(widest(rows.device))
    if any(isinstance(each, Tensor) for each in counts):
        return rows.div_(torch.stack([torch.as_tensor(each).to(rows) for each in counts])[:, None])
    return rows.div_(torch.tensor(counts, dtype=rows.dtype).to(rows.device)[:, None])


def _together(found: Sequence[Gathered]) -> Gathered:
    products, floors, squares = (
        np.asarray(sum(getattr(each, name) for each in found)) for name in ("products", "floors", "squares")
    )
    error = float(np.linalg.norm([each.sketch for each in found]))
    return Gathered(ALL, products, floors, squares, error, sum(each.common for each in found))
