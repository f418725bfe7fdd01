"""What records are made with: NumPy's arrays, or those of a device, in float64."""

from __future__ import annotations

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
        from scipy.linalg.blas import dsyrk

        dsyrk(1.0, rows.T, beta=1.0, c=total.T, overwrite_c=True)

    def mirrored(self, total: Any) -> Any:
        """Return the symmetric matrix of a lower triangle."""
        return np.tril(total) + np.tril(total, -1).T

    def kept(self, values: Any) -> Array:
        """Return the sums as this machine's memory has them."""
        return np.asarray(values)
