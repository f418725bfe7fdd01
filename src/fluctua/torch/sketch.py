"""Vectors of many tensors as one, whole or folded with fixed random signs to a few thousand numbers.

The fold keeps scalar products: signs are independent, so that products of different entries cancel in the mean, and
|a| |b| / sqrt(width) is the standard error of one. Summation is in a fixed order: the same weights give the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .lists import precise

__all__ = ["LARGE", "WIDTH", "Fold"]

WIDTH = 4093
"""Numbers that a large vector is folded to: a prime, so that no row of a matrix falls into step with it."""
LARGE = 2**17
"""Entries above which a vector is folded where nothing else is asked for: 40 MB would be kept of one."""


class Fold:
    """What makes one vector of the tensors of a scope.

    Parameters
    ----------
    tensors : sequence of tensor
        Of the shapes that will come.
    width : int or None
        Numbers to fold to; None keeps all.
    """

    def __init__(self, tensors: Sequence[Tensor], width: int | None) -> None:
        size = sum(each.numel() for each in tensors)
        self.width = width if width is not None and width < size else None
        self._device = tensors[0].device
        self._dtype = torch.float64 if any(each.dtype == torch.float64 for each in tensors) else precise(torch.float32)
        self._signs: Tensor | None = None
        if self.width is not None:
            drawn = torch.Generator().manual_seed(size)
            signs = torch.randint(0, 2, (-(-size // self.width), self.width), generator=drawn, dtype=torch.int8)
            self._signs, self._size = (2 * signs - 1).to(self._device), size

    def __call__(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return the vector, (size,) or (width,)."""
        whole = torch.cat([each.reshape(-1).to(self._device, self._dtype, non_blocking=True) for each in tensors])
        if self._signs is None:
            return whole
        padded = whole.new_zeros(self._signs.shape)
        padded.view(-1)[: self._size] = whole
        return padded.mul_(self._signs).sum(0)
