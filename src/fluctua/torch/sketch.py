"""Vectors of many tensors as one, whole or folded with fixed random signs to a few thousand numbers.

The fold keeps scalar products: signs are independent, so that products of different entries cancel in the mean, and
|a| |b| / sqrt(width) is the standard error of one. Summation is in a fixed order: the same weights give the same bits.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["LARGE", "WIDTH", "Fold"]

WIDTH = 4093
"""Numbers that a large vector is folded to: a prime, so that no row of a matrix falls into step with it."""
LARGE = 2**17
"""Entries above which a vector is folded where nothing else is asked for: 40 MB would be kept of one."""


class Fold:
    """What makes a short vector of a long one.

    Parameters
    ----------
    size : int
        Of the vectors that will come.
    width : int or None
        Numbers to fold to; None keeps all.
    device : torch.device
    dtype : torch.dtype, optional
        Of the vectors: signs of another one are slow.
    """

    def __init__(self, size: int, width: int | None, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.width = width if width is not None and width < size else None
        if self.width is not None:
            drawn = torch.Generator("cpu").manual_seed(size)  # by name, whatever the default device is
            signs = 2 * torch.randint(0, 2, (size,), generator=drawn, dtype=torch.int8, device="cpu") - 1
            self._signs = signs.to(device, dtype)
            self._whole = size // self.width * self.width

    def __call__(self, vector: Tensor) -> Tensor:
        """Return a vector of its own, (size,) or (width,); one that is folded is changed."""
        if self.width is None:
            return vector.clone()
        signed = vector.mul_(self._signs)
        folded = signed[: self._whole].view(-1, self.width).sum(0)
        folded[: len(signed) - self._whole] += signed[self._whole :]
        return folded
