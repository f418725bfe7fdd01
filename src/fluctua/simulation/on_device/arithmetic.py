"""What records are made with on a device, and how arrays come there and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._arrays import AnyArray, Array, DType
from ..._validate.devices import Device
from ..arithmetic import Arithmetic

__all__ = ["DeviceArithmetic"]


class DeviceArithmetic(Arithmetic):
    """Of tensors on a device."""

    def __init__(self, device: Device) -> None:
        self.device, self.torch = device, device.torch

    def zeros(self, *shape: int) -> Any:
        """Return sums before the first, in float64."""
        return self.torch.zeros(shape, dtype=self.torch.float64, device=self.device.handle)

    def state(self, *shape: int, dtype: DType) -> Any:
        """Return weights of 0, in the precision of the runs."""
        return self.empty(*shape, dtype=dtype).zero_()

    def summed(self, factors: AnyArray, state: Any) -> Any:
        """Return the sum of the slots of a state, each with its factor."""
        return self.torch.tensordot(self.given(factors), state, dims=1)

    def empty(self, *shape: int, dtype: Any) -> Any:
        """Return room for numbers of a NumPy type."""
        kind = getattr(self.torch, np.dtype(dtype).name)
        return self.torch.empty(shape, dtype=kind, device=self.device.handle)

    def given(self, values: AnyArray, dtype: DType | None = None) -> Any:
        """Return values of the problem's as a tensor on the device, of a type if it is said."""
        return self.device.sent(values, dtype)

    def wide(self, values: Any) -> Any:
        """Return the same in float64."""
        return values.double()

    def contracted(self, form: str, left: Any, right: Any) -> Any:
        """Return a sum of products as `torch.einsum` writes it, in float64."""
        return self.torch.einsum(form, left.double(), right.double())

    def product(self, left: Any, right: Any, out: Any) -> None:
        """Set `out` to the matrix product."""
        self.torch.matmul(left, right, out=out)

    def add_square(self, rows: Any, total: Any) -> None:
        """Add rows^T rows to `total`, in place."""
        total.addmm_(rows.T, rows)

    def mirrored(self, total: Any) -> Any:
        """Return the symmetric matrix of a lower triangle: here nothing is left out."""
        return total

    def kept(self, values: Any) -> Array:
        """Return the sums as this machine's memory has them."""
        return np.asarray(values.cpu().numpy())
