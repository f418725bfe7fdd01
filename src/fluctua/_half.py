"""Numbers of 16 bits: they stay as they are in memory, and whatever is read of them is float32."""

from __future__ import annotations

from functools import cache, cached_property
from importlib import import_module
from typing import Any, Literal, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from ._arrays import AnyArray, Array, DType

__all__ = ["HalfArray", "Rows", "as_half", "read_type", "stored_as"]

HalfKind = Literal["float16", "bfloat16"]
Bits = NDArray[np.uint16]


@cache
def _table(kind: HalfKind) -> NDArray[np.float32]:
    return _wide(np.arange(2**16, dtype=np.uint16), kind)


def _wide(bits: Bits, kind: HalfKind) -> NDArray[np.float32]:
    if kind == "float16":
        return bits.view(np.float16).astype(np.float32)
    return np.left_shift(bits, 16, dtype=np.uint32).view(np.float32)


class HalfArray:
    """An array of float16 or bfloat16, two bytes a number. What is read of it, `array[rows]`, is a float32 copy.

    NumPy has no bfloat16, and computes with float16 in float16. So this is what a problem of such inputs holds, and
    what `load` gives for a file in bfloat16. `numpy.asarray` widens all of it.

    Attributes
    ----------
    bits : ndarray of uint16
    stored : {"float16", "bfloat16"}
        What the bits mean.
    factors : ndarray, (N,), or None
        What each row is multiplied by when it is read.
    dtype : dtype
        float32, that of what is read.
    """

    dtype: DType = np.dtype(np.float32)

    def __init__(self, bits: Bits, stored: HalfKind, factors: Array | None = None) -> None:
        self.bits, self.stored, self.factors = bits, stored, factors

    @property
    def shape(self) -> tuple[int, ...]:
        """As an array's."""
        return self.bits.shape

    @property
    def ndim(self) -> int:
        """As an array's."""
        return self.bits.ndim

    @property
    def size(self) -> int:
        """As an array's."""
        return self.bits.size

    @property
    def nbytes(self) -> int:
        """Bytes in memory: two a number."""
        return self.bits.nbytes

    @property
    def table(self) -> NDArray[np.float32]:
        """The number that each of the 65,536 patterns of bits means."""
        return _table(self.stored)

    @cached_property
    def contiguous(self) -> Bits:
        """The bits row after row."""
        return np.ascontiguousarray(self.bits)

    @property
    def given(self) -> Any:
        """The array as NumPy has it where NumPy can: float16 without factors; else this object."""
        return self.bits.view(np.float16) if self.stored == "float16" and self.factors is None else self

    def scaled(self, factors: Array) -> HalfArray:
        """Return the array whose rows are multiplied by `factors` when they are read."""
        return HalfArray(self.bits, self.stored, factors if self.factors is None else self.factors * factors)

    def reshape(self, *shape: SupportsIndex) -> HalfArray:
        """Return the same numbers in another shape; without factors alone."""
        return HalfArray(self.bits.reshape(*shape), self.stored)

    def taken(self, rows: Any) -> HalfArray:
        """Return some of the rows, in 16 bits, as a copy."""
        factors = None if self.factors is None else self.factors[rows]
        return HalfArray(self.bits[rows].copy(), self.stored, factors)

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, key: Any) -> AnyArray:
        wide = _wide(np.asarray(self.bits[key]), self.stored)
        if self.factors is None:
            return wide
        factors = np.asarray(self.factors[key[0] if isinstance(key, tuple) else key])
        return np.asarray(wide * factors.reshape(factors.shape + (1,) * (wide.ndim - factors.ndim)), np.float32)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        del copy  # it is one always
        wide = self[:]
        return wide if dtype is None else wide.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"HalfArray({' x '.join(f'{n:,}' for n in self.shape)} of {self.stored}, read as float32)"


Rows = AnyArray | HalfArray
"""Rows of inputs: slices of them are float32 or float64."""


def stored_as(rows: Rows) -> str:
    """Return the type of the numbers as they lie in memory: float16, bfloat16, float32, float64."""
    return rows.stored if isinstance(rows, HalfArray) else str(rows.dtype)


def read_type(rows: Rows) -> DType:
    """Return the type in which rows are computed with: float32 for those of 16 bits, and else their own."""
    return np.dtype(np.float32) if rows.dtype == np.float16 else rows.dtype


def as_half(value: object) -> HalfArray | None:
    """Return an array or a tensor of 16-bit floats as one, without a copy where it lies in this machine's memory."""
    if isinstance(value, HalfArray):
        return value
    kind = str(getattr(value, "dtype", "")).removeprefix("torch.")
    if kind not in ("float16", "bfloat16") or isinstance(value, np.ma.MaskedArray):
        return None
    if isinstance(value, np.ndarray):
        return HalfArray(np.asarray(value).view(np.uint16), "float16" if kind == "float16" else "bfloat16")
    return _of_tensor(value, "float16" if kind == "float16" else "bfloat16")


def _of_tensor(value: Any, kind: HalfKind) -> HalfArray | None:
    """None for what is no plain tensor: the door says why, or widens it."""
    if not hasattr(value, "detach") or str(value.layout) != "torch.strided":
        return None
    plain = value.detach().cpu().resolve_neg().contiguous()
    return HalfArray(plain.view(import_module("torch").int16).numpy().view(np.uint16), kind)
