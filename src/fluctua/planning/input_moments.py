"""Second and fourth moments that inputs would have, centred or standardised beside a bias, from one pass over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._arrays import Array
from .._half import Rows
from ..data.columns import Columns, row_blocks
from ..problem.least_squares import LeastSquares
from ..problem.modes import rounding
from ..problem.moments import weighted_square

__all__ = ["InputMoments", "growth"]


@dataclass(frozen=True, eq=False)
class InputMoments:
    """Averages over the standardised inputs s that vary, and a bias: all that follows from centring is a congruence."""

    deviation: Array
    """Of each column; 1 of the bias."""
    correlations: Array
    """<s s^T>."""
    fourth: tuple[Array, Array]
    """<|x|^2 s s^T> of x centred and of x standardised, each beside the bias."""

    @classmethod
    def of(cls, inputs: Rows) -> InputMoments:
        """Average over the samples, block by block."""
        columns = Columns.of(inputs)
        varies = ~columns.constant
        deviation = np.append(columns.deviation[varies], 1.0)
        second, centred, standardised = (np.zeros((len(deviation),) * 2) for _ in range(3))
        for rows in row_blocks(inputs):
            s = np.ones((len(inputs[rows]), len(deviation)))
            s[:, :-1] = columns.centred(inputs[rows])[:, varies] / deviation[:-1]
            second += s.T @ s
            centred += weighted_square(s, s**2 @ deviation**2)
            standardised += weighted_square(s, np.sum(s**2, axis=1))
        return cls(deviation, second / len(inputs), (centred / len(inputs), standardised / len(inputs)))

    def spectrum(self, scaled: bool) -> tuple[Array, float]:
        """Return the curvatures, largest first, and R^2."""
        held, modes = np.linalg.eigh(self.correlations)
        kept = held > rounding(len(held)) * held[-1]
        whitened = modes[:, kept] / np.sqrt(held[kept])
        square = float(np.linalg.eigvalsh(whitened.T @ self.fourth[scaled] @ whitened)[-1])
        if scaled:
            return np.ascontiguousarray(held[kept][::-1]), square
        return self._centred(int(kept.sum())), square

    def _centred(self, count: int) -> Array:
        """Curvatures of the covariance down to rounding, and that of the bias, however far it is from these."""
        inputs, deviation = self.correlations[:-1, :-1], self.deviation[:-1]
        found = np.linalg.eigvalsh(deviation[:, None] * inputs * deviation)[::-1][: count - 1]
        found = found[found > rounding(len(deviation)) * found[0]] if len(found) else found
        return np.asarray(np.sort(np.append(found, 1.0))[::-1])


def growth(problem: LeastSquares) -> float:
    """Return the least R^2 with <|x|^2 x x^T> <= R^2 <x x^T>, of the inputs as they are: what feeds the noise."""
    blocks = (problem.inputs[rows] for rows in row_blocks(problem.inputs))
    squares = np.concatenate([np.einsum("ij,ij->i", block, block, dtype=np.float64) for block in blocks])
    size = np.sqrt(problem.curvatures)
    return float(np.linalg.eigvalsh(problem.scatter(weights=squares) / np.multiply.outer(size, size))[-1])
