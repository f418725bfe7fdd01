"""Inputs in the modes, made where they are read."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arrays import AnyArray, Array, DType
from .._half import Rows
from .._validate.sizes import refuse_bytes
from .moments import blocks

__all__ = ["ProjectedRows"]


class ProjectedRows:
    """z_i = U^T x_i, of which slices are made when they are read: memory of one block instead of (N, r).

    Parameters
    ----------
    inputs : Rows, (N, d)
    modes : ndarray, (d, r)
    """

    ndim = 2

    def __init__(self, inputs: Rows, modes: Array) -> None:
        self.inputs, self.modes = inputs, modes
        self.dtype: DType = inputs.dtype
        self.shape = len(inputs), modes.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes, were they in memory."""
        return int(self.shape[0] * self.shape[1] * self.dtype.itemsize)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> AnyArray:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        modes = self.modes[:, columns]
        return (self.inputs[rows].astype(np.float64) @ modes).astype(self.dtype)

    def astype(self, dtype: DType, copy: bool = True) -> AnyArray:
        """Return all of them, where there is memory for it."""
        del copy
        return np.asarray(self, dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        del copy
        refuse_bytes(
            f"{self.shape[0]:,} x {self.shape[1]:,} projected inputs at once", self.nbytes, "Take fewer samples."
        )
        out = np.empty(self.shape, self.dtype)
        for rows in blocks(self.shape[0], self.modes.shape[0]):
            out[rows] = self[rows]
        return out if dtype is None else out.astype(dtype, copy=False)
