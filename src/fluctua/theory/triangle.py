"""Symmetric matrices as vectors of half the length, whose products are those of the matrices."""

from __future__ import annotations

import numpy as np

from .._arrays import Array
from ..problem.moments import bands, mirror

__all__ = ["Triangle", "positive"]

_BANDS = 16
_TWICE = float(np.sqrt(2.0))


class Triangle:
    """Where each element of symmetric matrices (r, r) stands in a vector.

    Vectors hold `bands` of the matrix: of each its square on the diagonal, and the rest, which stands for both sides,
    times the square root of 2. So the product of two vectors is the trace of that of the matrices.

    Parameters
    ----------
    modes : int
        r.
    """

    def __init__(self, modes: int) -> None:
        self.modes, self._places, self.size = modes, [], 0
        for rows, columns in bands(modes, _BANDS):
            count = (rows.stop - rows.start) * (modes - rows.start)
            self._places.append((slice(self.size, self.size + count), rows, columns))
            self.size += count

    def vector(self, matrix: Array) -> Array:
        """Return the vector of the symmetric part of a matrix, (r, r)."""
        return self._packed(matrix, _TWICE)

    def factors(self, matrix: Array) -> Array:
        """Return the vector by which those of matrices are multiplied where they are, elementwise, by this one."""
        return self._packed(matrix, 1.0)

    def _packed(self, matrix: Array, twice: float) -> Array:
        out = np.empty(self.size)
        for place, rows, columns in self._places:
            band = out[place].reshape(rows.stop - rows.start, -1)
            np.add(matrix[rows, columns], matrix[columns, rows].T, out=band)
            band *= 0.5
            band[:, len(band) :] *= twice
        return out

    def matrix(self, vector: Array) -> Array:
        """Return the matrix of a vector, (r, r)."""
        out = np.empty((self.modes, self.modes))
        for place, rows, columns in self._places:
            band = vector[place].reshape(rows.stop - rows.start, -1)
            out[rows, columns] = band
            out[rows, rows.stop :] /= _TWICE
        return mirror(out, _BANDS)


def positive(matrix: Array, share: float) -> bool:
    """Return whether no eigenvalue of a symmetric matrix is below -`share` of the largest.

    Cost: r^3/3 flops where Cholesky's factors exist, and else those of all eigenvalues.
    """
    lifted = matrix.copy()
    np.fill_diagonal(lifted, np.diag(matrix) + share * np.abs(np.diag(matrix)).max())  # no more than the largest of all
    try:
        np.linalg.cholesky(lifted)
    except np.linalg.LinAlgError:
        values = np.linalg.eigvalsh(matrix)
        return bool(values[0] >= -share * abs(values[-1]))
    return True
