"""What records are made with: NumPy's arrays, or those of a device, in float64."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from .._arrays import AnyArray, Array, DType

__all__ = ["Arithmetic"]


class Arithmetic:
    """Of arrays in this machine's memory; `on_device` has that of another's."""

    def zeros(self, *shape: int) -> Any:
        """Return sums before the first, in float64."""
        return np.zeros(shape)

    def state(self, *shape: int, dtype: DType) -> Any:
        """Return weights of 0, in the precision of the runs."""
        return np.zeros(shape, dtype)

    def summed(self, factors: AnyArray, state: Any) -> Any:
        """Return the sum of the slots of a state, each with its factor."""
        return np.tensordot(factors, state, 1)

    def given(self, values: AnyArray, dtype: DType | None = None) -> Any:
        """Return values of the problem's as an array to compute with, of a type if it is said."""
        return values if dtype is None else values.astype(dtype)

    def wide(self, values: Any) -> Any:
        """Return the same in float64."""
        return values.astype(np.float64)

    def contracted(self, form: str, left: Any, right: Any) -> Any:
        """Return a sum of products as `numpy.einsum` writes it, in float64.

        It is not made by BLAS, whose product rounds a row differently in different company.
        """
        return np.einsum(form, left, right, dtype=np.float64)

    def product(self, left: Any, right: Any, out: Any) -> None:
        """Set `out` to the matrix product."""
        np.matmul(left, right, out=out)

    def add_square(self, rows: Any, total: Any) -> None:
        """Add to `total` the lower triangle of rows^T rows, in place; what is above is not said."""
        rows, one = np.ascontiguousarray(rows, np.float64), ctypes.c_double(1.0)
        count, size = map(ctypes.c_int, rows.shape)
        given = ctypes.byref(one), rows.ctypes.data, ctypes.byref(size), ctypes.byref(one)
        upper = b"U"  # of the transpose, which is what BLAS sees
        _syrk()(upper, b"N", ctypes.byref(size), ctypes.byref(count), *given, total.ctypes.data, ctypes.byref(size))

    def mirrored(self, total: Any) -> Any:
        """Return the symmetric matrix of a lower triangle."""
        return np.tril(total) + np.tril(total, -1).T

    def kept(self, values: Any) -> Array:
        """Return the sums as this machine's memory has them."""
        return np.asarray(values)


@cache
def _syrk() -> Any:
    """Return BLAS's dsyrk, called without Python's lock: SciPy's own function holds it, and other workers wait."""
    from scipy.linalg import cython_blas

    api, capsule = ctypes.pythonapi, cython_blas.__pyx_capi__["dsyrk"]
    name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", api))(capsule)
    of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", api))
    return ctypes.CFUNCTYPE(None, *[ctypes.c_char_p] * 2, *[ctypes.c_void_p] * 8)(of(capsule, name))
