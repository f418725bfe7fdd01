r"""Curvatures and modes of the data: A = <x x^T> diagonalised so that no direction that data have is lost to rounding.

The eigenvectors of the Gram matrix resolve curvatures down to eps h_max. That is enough for most data and nothing for
a time stamp beside a standardised feature, whose curvatures are twenty orders apart. There a triangular factor of the
inputs, X = Q R, is as good column by column as the numbers given, and its modes are found scale by scale. What remains
below rounding is a direction in which the *scaled* columns depend on one another, as one-hot columns and a constant do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._arrays import Array
from .._half import Rows
from .moments import BLOCK_ELEMENTS, blocks

__all__ = ["Spectrum", "mean_square", "rounding", "spectrum"]

Eigh = Callable[[Array], tuple[Array, Array]]
_WELL_CONDITIONED = 1e-11  # smallest curvature over largest down to which the Gram matrix has it to 2e-5
_FEW = 8  # columns for each direction without data, from which looking at these directions alone pays
_PURGES = 3
_LARGE = 1024  # inputs from which a copy of a matrix is dear
_SCALE = 1e-4  # singular values over the largest that one decomposition finds to 1e-12


class Spectrum(NamedTuple):
    """The modes of A = <x x^T>.

    Attributes
    ----------
    curvatures : ndarray, (r,)
        Largest first.
    modes : ndarray, (d, r)
    dropped : ndarray, (d, k)
        Directions among the columns that are not zero in which the data are zero to within rounding.
    scale : ndarray, (d,)
        Root mean square of each column.
    """

    curvatures: Array
    modes: Array
    dropped: Array
    scale: Array


def eigh_in_place(matrix: Array) -> tuple[Array, Array]:
    """Return eigenvalues, smallest first, and eigenvectors of a symmetric matrix, in whose place these may be.

    NumPy copies the matrix twice, which a large one has no room for. SciPy's routine is the same, divide and conquer.
    """
    if len(matrix) < _LARGE:
        values, vectors = np.linalg.eigh(matrix)
    else:
        from scipy.linalg import eigh

        values, vectors = eigh(matrix.T, overwrite_a=True, driver="evd", check_finite=False)
    return values, vectors


def spectrum(inputs: Rows, gram: Array | None = None, eigh: Eigh = eigh_in_place) -> Spectrum:
    """Return the modes of <x x^T> of `inputs`, (N, d), which is `gram` where it is known; that may be lost.

    Notes
    -----
    Cost: N d^2 flops and one eigendecomposition where the curvatures span less than eleven orders of magnitude and the
    directions without data are so to rounding. Otherwise 2 N d^2 more for the triangular factor and a singular value
    decomposition for each four orders of magnitude of the singular values.
    """
    gram = mean_square(inputs) if gram is None else gram
    scale = np.sqrt(np.diag(gram))
    curvatures, modes = eigh(gram)
    # An eigenvalue of A carries an error of about eps h_max; below it a mode cannot be told from a null direction.
    kept = np.flatnonzero(curvatures > rounding(len(gram)) * curvatures[-1])[::-1]
    steep = modes[:, ::-1] if len(kept) == len(gram) else modes[:, kept]
    found = Spectrum(curvatures[kept], np.ascontiguousarray(steep), np.empty((len(gram), 0)), scale)
    missing = int(np.count_nonzero(scale)) - len(kept)
    if found.curvatures[-1] > _WELL_CONDITIONED * found.curvatures[0]:
        if not missing:
            return found
        if missing * _FEW <= np.count_nonzero(scale):
            dropped = _without_data(inputs, found, _null(np.delete(modes, kept, axis=1), scale, missing))
            if dropped is not None:
                return found._replace(dropped=dropped)
    return _scale_by_scale(inputs, scale)


def rounding(width: int) -> float:
    """Relative size of what float64 leaves of a sum of `width` terms that cancel."""
    return max(width, 10) * float(np.finfo(float).eps)


def mean_square(inputs: Rows) -> Array:
    """Return <x x^T>, (d, d), in float64."""
    gram = np.zeros((inputs.shape[1],) * 2)
    for rows in blocks(*inputs.shape):
        x = inputs[rows].astype(np.float64)
        gram += x.T @ x  # one operand twice: BLAS computes one triangle only
        del x
    gram /= len(inputs)
    return gram


def _null(outside: Array, scale: Array, count: int) -> Array:
    """An orthonormal basis of what `outside`, (d, n), has among the columns with data, (d, count)."""
    return np.asarray(np.linalg.svd(np.where(scale[:, None] > 0, outside, 0.0), full_matrices=False)[0][:, :count])


def _without_data(inputs: Rows, found: Spectrum, null: Array) -> Array | None:
    """`null` cleared of the modes found, if the data are zero there to within rounding; None if they are not."""
    allowed = rounding(len(null)) * np.linalg.norm(found.scale[:, None] * null, axis=0)
    for _ in range(_PURGES):
        size, back = _looked_at(inputs, null)
        if (size <= allowed).all():
            return null
        null = null - found.modes @ (found.modes.T @ back / found.curvatures[:, None])
    return None


def _looked_at(inputs: Rows, directions: Array) -> tuple[Array, Array]:
    """Root mean square of the data in `directions`, (k,), and A applied to these, (d, k), without A."""
    square, back = np.zeros(directions.shape[1]), np.zeros_like(directions)
    for rows in blocks(*inputs.shape):
        x = inputs[rows].astype(np.float64)
        z = x @ directions
        square += np.sum(z**2, axis=0)
        back += x.T @ z
    return np.sqrt(square / len(inputs)), back / len(inputs)


def _scale_by_scale(inputs: Rows, scale: Array) -> Spectrum:
    """The modes from a triangular factor of the inputs: every curvature that the scaled columns have."""
    used = np.flatnonzero(scale)
    triangle = _triangle(inputs, used) / np.sqrt(len(inputs))
    null, basis = _dependent(triangle)
    modes = _graded(triangle, basis)
    curvatures = np.sum((triangle @ modes) ** 2, axis=0)
    order = np.argsort(-curvatures, kind="stable")
    curvatures, modes = curvatures[order], modes[:, order]
    wide = np.zeros((inputs.shape[1], len(order))), np.zeros((inputs.shape[1], null.shape[1]))
    wide[0][used], wide[1][used] = modes, _cleared(triangle, modes, null)
    found = Spectrum(curvatures, *wide, scale)
    if not null.size or len(order) == len(inputs):  # the modes fit every sample
        return found
    back = _looked_at(inputs, found.dropped)[1]
    return found._replace(dropped=found.dropped - found.modes @ (found.modes.T @ back / curvatures[:, None]))


def _triangle(inputs: Rows, used: NDArray[np.intp]) -> Array:
    """R of X = Q R for the columns `used`, block by block: each column to eps of its own norm."""
    from scipy.linalg import qr

    width = len(used)
    triangle: Array = np.empty((0, width))
    rows = max(BLOCK_ELEMENTS // width, 2 * width)
    for start in range(0, len(inputs), rows):
        block = inputs[start : start + rows, used].astype(np.float64)
        stacked = np.vstack([triangle, block])
        triangle = np.asarray(qr(stacked, mode="r", overwrite_a=True, check_finite=False)[0][:width], np.float64)
    return triangle


def _dependent(triangle: Array) -> tuple[Array, Array]:
    """Bases of the directions in which the scaled columns are dependent to within rounding, and of all others."""
    scale = np.linalg.norm(triangle, axis=0)
    _, sizes, right = np.linalg.svd(triangle / scale)
    rank = int(np.count_nonzero(sizes > rounding(len(scale)) * sizes[0]))
    if rank == len(scale):
        return np.empty((rank, 0)), np.eye(rank)
    null = np.where(np.abs(right[rank:]) > rounding(len(scale)), right[rank:], 0.0) / scale  # else a small scale rules
    whole = np.linalg.qr(null.T, mode="complete")[0]
    return whole[:, : len(scale) - rank], whole[:, len(scale) - rank :]


def _graded(triangle: Array, basis: Array) -> Array:
    """Right singular vectors of `triangle` within `basis`, however far apart their sizes, orthogonal in the data too.

    One decomposition has errors of eps times its largest singular value. So the steep vectors are taken from it, what
    is left of them in the basis of the others is removed with the data at hand, and the others are decomposed anew.
    """
    found = []
    while basis.shape[1]:
        _, sizes, right = np.linalg.svd(triangle @ basis)
        steep = int(np.count_nonzero(sizes > _SCALE * sizes[0]))
        modes, flat = basis @ right[:steep].T, basis @ right[steep:].T
        found.append(modes)
        basis = _cleared(triangle, modes, flat)
    return np.concatenate(found, axis=1)


def _cleared(triangle: Array, modes: Array, vectors: Array) -> Array:
    """`vectors` less what the data have of `modes` in them; again, for what rounding left."""
    images = triangle @ modes
    for _ in range(_PURGES):
        vectors = vectors - modes @ ((images.T @ (triangle @ vectors)) / np.sum(images**2, axis=0)[:, None])
    return vectors
