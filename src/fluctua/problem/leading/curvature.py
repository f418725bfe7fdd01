"""A = <x x^T> applied to vectors: as a matrix where that is small, and else by passes over the samples."""

from __future__ import annotations

import numpy as np

from ..._arrays import Array
from ..._half import Rows
from ..modes import mean_square
from ..moments import blocks

__all__ = ["Curvature"]

_SMALL = 8_192  # inputs up to which A is made: 512 MiB, and as much again while it is decomposed

_FEW, _CACHED = 64, 2**20  # vectors whose products wait for memory, and elements of samples that stay in a cache then


class Curvature:
    """A of some inputs, (d, d), which is made where d is at most 8,192.

    Parameters
    ----------
    inputs : Rows, (N, d)
    gram : ndarray, (d, d), optional
        A, where it is known.
    """

    def __init__(self, inputs: Rows, gram: Array | None = None) -> None:
        self.inputs, self.size = inputs, inputs.shape[1]
        self.matrix = mean_square(inputs) if gram is None and self.size <= _SMALL else gram

    def times(self, vectors: Array) -> Array:
        """Return A of the columns of `vectors`, (d, m)."""
        if self.matrix is not None:
            return self.matrix @ vectors
        out, few = np.zeros(vectors.shape[::-1]), vectors.shape[1] <= _FEW
        for rows in blocks(*self.inputs.shape):
            read = self.inputs[rows]
            step = max(1, _CACHED // self.size) if few else len(read)
            for begin in range(0, len(read), step):
                x = read[begin : begin + step].astype(np.float64)
                out += (x @ vectors).T @ x
        return out.T / len(self.inputs)
