"""Lists of tensors in few kernels, in the precision of the sums: float64 for float64 weights, else float32."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["added", "dots", "flat", "norms", "precise", "put", "summed", "widest"]


def widest(device: torch.device) -> torch.dtype:
    """Return the dtype of scalars and of products on a device: float64 where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def precise(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which weights of this one are summed."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def summed(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return tensors in the dtype of their sums, the same objects where they have it."""
    return [each.detach().to(precise(each.dtype)) for each in tensors]


def _one_by_one(tensors: Sequence[Tensor]) -> bool:
    """Whether kernels for lists save nothing: on the CPU they are loops, and slower than the operations of a step."""
    return tensors[0].is_cpu


def norms(tensors: list[Tensor]) -> list[Tensor]:
    """Return the norm of each."""
    if _one_by_one(tensors):
        return [torch.linalg.vector_norm(each) for each in tensors]
    return list(torch._foreach_norm(tensors))


def put(into: list[Tensor], values: list[Tensor]) -> None:
    """Write values into tensors."""
    if _one_by_one(into):
        for one, value in zip(into, values, strict=True):
            one.copy_(value)
    else:
        torch._foreach_copy_(into, values)


def added(into: list[Tensor], values: list[Tensor], alpha: float = 1.0) -> None:
    """Add values, alpha times each, to tensors."""
    if _one_by_one(into):
        for one, value in zip(into, values, strict=True):
            one.add_(value, alpha=alpha)
    else:
        torch._foreach_add_(into, values, alpha=alpha)


def dots(ones: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """Return the scalar product of each pair."""
    return [torch.dot(one.reshape(-1), other.reshape(-1)) for one, other in zip(ones, others, strict=True)]


def flat(tensors: Sequence[Tensor], device: torch.device) -> Tensor:
    """Return a copy of all as one vector."""
    return torch.cat([each.reshape(-1).to(device, non_blocking=True) for each in tensors])
