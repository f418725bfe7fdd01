"""Second and fourth moments that inputs would have, centred or standardised beside a bias, from one pass over them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._arrays import AnyArray, Array
from .._half import Rows
from ..data.columns import Columns, row_blocks
from ..problem.least_squares import LeastSquares
from ..problem.modes import rounding

__all__ = ["InputMoments", "growth"]

_SMALL, _TOLERANCE = 32, 1e-3  # columns that need no Lanczos; of the eigenvector, whose square is the error of R^2


@dataclass(frozen=True, eq=False)
class InputMoments:
    """Averages over the standardised inputs s that vary, and a bias: all that follows from centring is a congruence."""

    deviation: Array
    """Of each column; 1 of the bias."""
    correlations: Array
    """<s s^T>."""
    rows: AnyArray
    """s of the samples and the bias, in the precision of the inputs."""

    @classmethod
    def of(cls, inputs: Rows) -> InputMoments:
        """Average over the samples, block by block."""
        columns = Columns.of(inputs)
        varies = ~columns.constant
        deviation = np.append(columns.deviation[varies], 1.0)
        held = np.ones((len(inputs), len(deviation)), np.result_type(inputs.dtype, np.float32))
        second = np.zeros((len(deviation),) * 2)
        for rows in row_blocks(inputs):
            s = np.ones((len(inputs[rows]), len(deviation)))
            s[:, :-1] = columns.centred(inputs[rows])[:, varies] / deviation[:-1]
            second += s.T @ s
            held[rows] = s
        return cls(deviation, second / len(inputs), held)

    @cached_property
    def _modes(self) -> tuple[Array, Array]:
        """What is not rounding of the correlations, in rising order, and its directions."""
        held, modes = np.linalg.eigh(self.correlations)
        kept = held > rounding(len(held)) * held[-1]
        return held[kept], modes[:, kept]

    def spectrum(self, scaled: bool) -> tuple[Array, float]:
        """Return the curvatures, largest first, and R^2."""
        held, modes = self._modes
        sizes = np.ones_like(self.deviation) if scaled else self.deviation
        squares = self.rows**2 @ (sizes**2).astype(self.rows.dtype)
        square = _largest(self.rows, squares, modes / np.sqrt(held))
        return (np.ascontiguousarray(held[::-1]) if scaled else self._centred(len(held))), square

    def _centred(self, count: int) -> Array:
        """Curvatures of the covariance down to rounding, and that of the bias, however far it is from these."""
        inputs, deviation = self.correlations[:-1, :-1], self.deviation[:-1]
        found = np.linalg.eigvalsh(deviation[:, None] * inputs * deviation)[::-1][: count - 1]
        found = found[found > rounding(len(deviation)) * found[0]] if len(found) else found
        return np.asarray(np.sort(np.append(found, 1.0))[::-1])


def growth(problem: LeastSquares) -> float:
    """Return the least R^2 with <|x|^2 x x^T> <= R^2 <x x^T>, of the inputs as they are: what feeds the noise."""
    blocks = [problem.inputs[rows] for rows in row_blocks(problem.inputs)]
    squares = np.concatenate([np.einsum("ij,ij->i", block, block, dtype=np.float64) for block in blocks])
    return _largest(problem.projections, squares, np.diag(1 / np.sqrt(problem.curvatures)))


def _largest(rows: AnyArray, squares: AnyArray, whitened: Array) -> float:
    """Return the largest eigenvalue of V^T <q z z^T> V, by Lanczos: the matrix, which costs N d^2, is not formed."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    unit = float(squares.max())
    weights = (squares / unit / len(rows)).astype(rows.dtype) if unit else np.zeros(len(rows), rows.dtype)

    def applied(u: Array) -> Array:
        moved = rows @ (whitened @ u).astype(rows.dtype)
        return np.asarray(whitened.T @ ((weights * moved.T) @ rows).T, np.float64)

    size = whitened.shape[1]
    if size <= _SMALL:
        return unit * float(np.linalg.eigvalsh(applied(np.eye(size)))[-1])
    start = np.random.default_rng(0).normal(size=size)
    lanczos: Any = eigsh  # its stubs know no real operator
    operator = LinearOperator((size, size), matvec=applied, dtype=np.float64)
    return unit * float(lanczos(operator, k=1, which="LA", tol=_TOLERANCE, v0=start, return_eigenvectors=False)[0])
