"""Lists of tensors in few kernels, in the precision of the sums: float64 for float64 weights, else float32."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["dots", "kept", "precise", "squares", "summed", "widest"]


def widest(device: torch.device) -> torch.dtype:
    """Return the dtype of scalars and of products on a device: float64 where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def precise(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which weights of this one are summed."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def summed(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return tensors in the dtype of their sums, the same objects where they have it."""
    return [each.detach().to(precise(each.dtype)) for each in tensors]


def kept(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return copies of tensors in the dtype of their sums."""
    return [each.detach().to(precise(each.dtype), copy=True) for each in tensors]


def squares(tensors: Sequence[Tensor]) -> Tensor:
    """Return the squared norm of each, (n,), on the device of the first."""
    norms = torch._foreach_norm(list(tensors))
    return _gathered(norms).square()


def dots(ones: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    """Return the scalar product of each pair, (n,), on the device of the first."""
    return _gathered([torch.dot(one.reshape(-1), other.reshape(-1)) for one, other in zip(ones, others, strict=True)])


def _gathered(scalars: Sequence[Tensor]) -> Tensor:
    home = scalars[0].device
    return torch.stack([each.to(home, widest(home), non_blocking=True) for each in scalars])
