"""The noun of the study: data as the Gaussian of their mean and covariance."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array, even
from ..._half import Rows
from ..._results import Brief, ByValue
from ..._validate.plain import Keywords
from ..._validate.values import real_array, real_number, sample_rows
from ...errors import DeficientRank, InvalidInput, UnscaledData
from ...problem.modes import rounding
from ...problem.moments import blocks

__all__ = ["GaussianData"]

_ASYMMETRY = 1e-8  # of the largest element of a covariance that is given
_WIDE = 1.5  # of an absolute value, from which data look as if nobody had scaled them


@dataclass(frozen=True, eq=False, repr=False, init=False)
class GaussianData(Brief, ByValue):
    r"""Data as a Gaussian: what a sampler of a diffusion model makes of them follows from mean and covariance alone.

    Parameters
    ----------
    mean : array_like, (d,)
        Their mean.
    covariance : array_like, (d, d)
        Their covariance, symmetric and without a negative direction.
    samples : int, optional
        How many they are the moments of.

    Attributes
    ----------
    mean : ndarray, (d,)
    covariance : ndarray, (d, d)
    samples : int or None

    Raises
    ------
    InvalidInput
        For arrays of other shapes, and for a covariance that is none.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> digits = diffusion.GaussianData.of(fl.load("digits").inputs, scale=(-1, 1))
    >>> print(f"rank {digits.rank} of {len(digits.mean)}, total variance {digits.total_variance:.4f}")
    rank 61 of 64, total variance 18.7731
    """

    mean: Array
    covariance: Array
    samples: int | None = None

    def __init__(self, mean: ArrayLike, covariance: ArrayLike, *, samples: int | None = None) -> None:
        centre = real_array("mean", mean, ndim=1, shape="(features,)").astype(np.float64)
        matrix = real_array("covariance", covariance, ndim=2, shape="(features, features)").astype(np.float64)
        if matrix.shape != (len(centre), len(centre)):
            raise InvalidInput(
                f"covariance must have shape {(len(centre), len(centre))}, as mean has {len(centre)} entries; got "
                f"{matrix.shape}."
            )
        _refuse_asymmetric(matrix)
        held = {"mean": centre, "covariance": even(matrix), "samples": samples}
        for name, value in held.items():
            object.__setattr__(self, name, value)
        self._refuse_negative()

    def __hash__(self) -> int:
        return hash((self.mean.shape, self.samples))

    @classmethod
    def of(cls, inputs: ArrayLike, *, scale: tuple[float, float] | None = None) -> GaussianData:
        """Return the Gaussian with the mean and the covariance, of 1/N, of samples.

        Parameters
        ----------
        inputs : array_like, (N, d)
            The samples.
        scale : tuple of two floats, optional
            Where the smallest and the largest of all numbers are mapped to: (-1, 1) is what diffusion models are
            trained on.

        Returns
        -------
        GaussianData
            With `.samples` = N.

        Raises
        ------
        InvalidInput
            For inputs that are no finite real (N, d), for a single sample, and for a scale that is none.

        Warns
        -----
        UnscaledData
            Where numbers beyond 1.5 are left as they are: noise schedules are made for data between -1 and 1.
        DeficientRank
            For no more samples than columns.

        Notes
        -----
        Cost: two passes over the data, N d^2 multiplications.
        """
        rows = sample_rows("inputs", inputs)
        if len(rows) < 2:
            raise InvalidInput("inputs holds a single sample, and one sample has no covariance. Give at least two.")
        low, high = _range(rows)
        shift, factor = mapped(low, high, scale)
        if scale is None and max(-low, high) > _WIDE:
            warnings.warn(UnscaledData(low, high), stacklevel=2)
        mean, covariance = moments_of(rows)
        made = cls(shift + factor * mean, factor**2 * covariance, samples=len(rows))
        if len(rows) <= made.features:
            warnings.warn(DeficientRank(len(rows), made.features, made.rank), stacklevel=2)
        return made

    @cached_property
    def _spectrum(self) -> tuple[Array, Array]:
        """Variances, largest first and exactly zero below rounding, and their modes in columns."""
        variances, modes = np.linalg.eigh(self.covariance)
        variances, modes = variances[::-1], modes[:, ::-1]
        kept = variances > rounding(len(variances)) * max(float(variances[0]), 0.0)
        return np.where(kept, variances, 0.0), np.ascontiguousarray(modes)

    @cached_property
    def grids(self) -> dict[Any, Any]:
        """The last of the predicted grids, by what it is for."""
        return {}

    @property
    def variances(self) -> Array:
        """Variances of the modes, largest first, (d,); those of directions without data are exactly zero."""
        return self._spectrum[0]

    @property
    def modes(self) -> Array:
        """Eigenvectors of the covariance, (d, d), a column for each of `variances`."""
        return self._spectrum[1]

    @cached_property
    def mode_mean(self) -> Array:
        """The mean in the modes, (d,)."""
        return np.asarray(self.modes.T @ self.mean)

    @property
    def rank(self) -> int:
        """How many modes have data."""
        return int(np.count_nonzero(self.variances))

    @property
    def features(self) -> int:
        """Number of columns, d."""
        return len(self.mean)

    @property
    def total_variance(self) -> float:
        """Trace of the covariance."""
        return float(self.variances.sum())

    @property
    def words(self) -> str:
        """The data in a few words."""
        few = f" of {self.samples:,} samples" if self.samples else ""
        return f"Gaussian{few} in {self.features} dimensions, rank {self.rank}"

    def _refuse_negative(self) -> None:
        lowest, highest = np.linalg.eigvalsh(self.covariance)[[0, -1]]
        if lowest < -_ASYMMETRY * max(highest, 0.0) or highest <= 0:
            raise InvalidInput(
                f"covariance must have no negative direction and some positive one; its eigenvalues reach from "
                f"{lowest:.3g} to {highest:.3g}. A covariance is a mean of squares: GaussianData.of(inputs) makes one."
            )

    def _shown(self) -> Keywords:
        return {"samples": self.samples, "features": self.features, "rank": self.rank, "variance": self.total_variance}


def _refuse_asymmetric(matrix: Array) -> None:
    off = np.abs(matrix - matrix.T)
    if off.max() > _ASYMMETRY * np.abs(matrix).max():
        row, column = np.unravel_index(int(off.argmax()), off.shape)
        raise InvalidInput(
            f"covariance must be symmetric, and its element ({row}, {column}) is {matrix[row, column]:.6g} while "
            f"({column}, {row}) is {matrix[column, row]:.6g}. Give (C + C.T)/2 if that is what it means."
        )


def _range(rows: Rows) -> tuple[float, float]:
    parts = [np.asarray(rows[some]) for some in blocks(*rows.shape)]
    return float(min(part.min() for part in parts)), float(max(part.max() for part in parts))


def mapped(low: float, high: float, scale: tuple[float, float] | None) -> tuple[float, float]:
    """Shift and factor of x -> shift + factor x."""
    if scale is None:
        return 0.0, 1.0
    if not isinstance(scale, (tuple, list)) or len(scale) != 2:
        raise InvalidInput(f"scale must be the two numbers (low, high), as (-1, 1), got {scale!r}.")
    bottom = real_number("scale[0]", scale[0])
    top = real_number("scale[1]", scale[1], above=bottom)
    if high <= low:
        raise InvalidInput(f"all inputs are {low:g}, and one number cannot be mapped to {scale}. Check the data.")
    factor = (top - bottom) / (high - low)
    return bottom - factor * low, factor


def moments_of(rows: Rows) -> tuple[Array, Array]:
    """Mean and covariance in two passes: the second about the mean, so that nothing cancels."""
    count, features = rows.shape
    mean = sum(np.asarray(rows[some], np.float64).sum(axis=0) for some in blocks(count, features)) / count
    gram = np.zeros((features, features))
    for some in blocks(count, features):
        x = np.asarray(rows[some], np.float64) - mean
        gram += x.T @ x  # one operand twice: BLAS computes one triangle only
    return np.asarray(mean), gram / count
