"""Mean and spread of every column, so that neither an offset nor the precision of the data costs digits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .._arrays import AnyArray, Array, Bools
from .._half import Rows
from ..errors import InvalidInput

__all__ = ["Columns", "row_blocks"]

_BLOCK_ELEMENTS = 2**22  # 32 MB in float64
_FLICKER = 4.0  # epsilons of a column's mean, up to which its spread is rounding


@dataclass(frozen=True, eq=False)
class Columns:
    """What centring and standardising need of the training inputs.

    A mean is the sum of two floats, `origin` and `rest`: one cannot hold the mean of 10^9 + x to a digit of x that
    float64 inputs have.

    Attributes
    ----------
    origin, rest : ndarray, (d,)
    deviation : ndarray, (d,)
        Standard deviations, divided by N; 1 where the column is constant, which is scikit-learn's rule.
    constant : ndarray of bool, (d,)
        Columns whose spread is rounding alone.
    rounding : ndarray, (d,)
        What is rounding of each.
    """

    origin: Array
    rest: Array
    deviation: Array
    constant: Bools
    rounding: Array

    @classmethod
    def of(cls, inputs: Rows) -> Columns:
        """Find them in three passes: scikit-learn's StandardScaler sees the columns less a mean that is nearly theirs.

        Raises
        ------
        InvalidInput
            Where a variance leaves the range of floats.
        """
        from sklearn.preprocessing import StandardScaler

        origin, scaler = _mean(inputs), StandardScaler()
        with np.errstate(over="ignore", invalid="ignore"):
            for rows in row_blocks(inputs):
                scaler.partial_fit(inputs[rows].astype(np.float64) - origin)
        mean, deviation = np.asarray(scaler.mean_, np.float64), np.sqrt(scaler.var_)
        if not np.isfinite(deviation).all():
            raise InvalidInput(
                f"the inputs have a variance beyond the range of float64 in column "
                f"{int(np.argmin(np.isfinite(deviation)))}, so that they cannot be centred. Rescale them, to about 1."
            )
        rounding = _FLICKER * float(np.finfo(inputs.dtype).eps) * np.abs(origin)
        constant = deviation <= rounding
        first = inputs[0].astype(np.float64)
        origin, rest = np.where(constant, first, origin), np.where(constant, 0.0, mean)
        return cls(origin, rest, np.where(constant, 1.0, deviation), constant, 2 * rounding)

    @property
    def mean(self) -> Array:
        """The means to float64, (d,)."""
        return np.asarray(self.origin + self.rest)

    def centred(self, block: AnyArray) -> Array:
        """Return rows less the means, in float64; of constant columns what is rounding becomes 0."""
        out = block.astype(np.float64)
        out -= self.origin
        out -= self.rest
        if self.constant.any():
            still = out[:, self.constant]
            out[:, self.constant] = np.where(np.abs(still) <= self.rounding[self.constant], 0.0, still)
        return np.asarray(out)


def row_blocks(inputs: Rows) -> Iterator[slice]:
    """Yield slices of rows that fit a block."""
    rows = max(_BLOCK_ELEMENTS // inputs.shape[1], 256)
    for start in range(0, len(inputs), rows):
        yield slice(start, start + rows)


def _mean(inputs: Rows) -> Array:
    """Means of the columns, right but for the rounding of a sum."""
    total = np.zeros(inputs.shape[1])
    for rows in row_blocks(inputs):
        total += inputs[rows].mean(axis=0, dtype=np.float64) * (len(inputs[rows]) / len(inputs))
    return total
