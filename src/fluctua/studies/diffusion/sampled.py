"""What samples show: their mean and covariance, and how much of them is left of their start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..._arrays import Array
from ..._results import ByValue, Tables, Tabular, clipped
from ..._tables import Columns
from ..._validate.plain import Header
from .gaussian import GaussianData
from .sampler import DDIM

__all__ = ["DiffusionSamples", "InModes", "Moments"]


@dataclass(frozen=True)
class Moments:
    """Sums over samples x and their starts y, x about the mean of the data.

    Attributes
    ----------
    count : int
    total, start : ndarray, (d,)
        Sums of x and of y.
    square, cross, start_square : ndarray, (d, d)
        Sums of x x^T, of x y^T and of y y^T.
    """

    count: int
    total: Array
    start: Array
    square: Array
    cross: Array
    start_square: Array

    @classmethod
    def of(cls, samples: Array, starts: Array, centre: Array) -> Moments:
        """Return the sums of a block."""
        x = samples - centre
        return cls(len(x), x.sum(axis=0), starts.sum(axis=0), x.T @ x, x.T @ starts, starts.T @ starts)

    def __add__(self, other: Moments) -> Moments:
        return Moments(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    @property
    def freedom(self) -> int:
        """Degrees of freedom of a variance."""
        return self.count - 1

    @property
    def mean_error(self) -> Array:
        """Mean of x less that of the data, (d,)."""
        return self.total / self.count

    @cached_property
    def covariance(self) -> Array:
        """Covariance of x about its own mean, unbiased, (d, d)."""
        return self._about(self.square, self.total, self.total)

    @cached_property
    def start_covariance(self) -> Array:
        """The same of the starts."""
        return self._about(self.start_square, self.start, self.start)

    @cached_property
    def cross_covariance(self) -> Array:
        """Covariance of x with the starts, (d, d)."""
        return self._about(self.cross, self.total, self.start)

    def _about(self, square: Array, one: Array, other: Array) -> Array:
        return np.asarray((square - np.outer(one, other) / self.count) / self.freedom)


@dataclass(frozen=True)
class InModes:
    """The same in the modes of the data.

    Attributes
    ----------
    count : int
    means : ndarray, (d,)
        Means less those of the data.
    covariance : ndarray, (d, d)
    unexplained : ndarray, (d,)
        Variance of each mode that its own start does not explain.
    """

    count: int
    means: Array
    covariance: Array
    unexplained: Array

    @classmethod
    def of(cls, data: GaussianData, moments: Moments) -> InModes:
        """Return the moments turned into the modes."""
        modes = data.modes
        covariance = modes.T @ moments.covariance @ modes
        cross, start = (mode_variances(data, c) for c in (moments.cross_covariance, moments.start_covariance))
        return cls(moments.count, modes.T @ moments.mean_error, covariance, np.diag(covariance) - cross**2 / start)

    @property
    def variances(self) -> Array:
        """Variance of each mode, (d,)."""
        return np.diag(self.covariance)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of a variance."""
        return self.count - 1


@dataclass(frozen=True, eq=False, repr=False)
class DiffusionSamples(ByValue, Tabular):
    """Samples of a diffusion model, and the white noise that each began as; made by `simulate`.

    Attributes
    ----------
    data : GaussianData
        What was sampled.
    sampler : DDIM
        Steps, noise, grid and solver.
    samples, start : ndarray, (R, d)
        At the end, and at the beginning.
    identity : dict
        Entropy and number: what fixes the samples.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> digits = diffusion.GaussianData.of(fl.load("digits").inputs, scale=(-1, 1))
    >>> found = fl.simulate(digits, diffusion.DDIM(steps=20), samples=2000, rng=1)
    >>> print(f"{found.variance_kept:.3f} +- {found.variance_kept_error:.3f}")
    0.809 +- 0.007
    """

    data: GaussianData
    sampler: DDIM
    samples: Array
    start: Array
    identity: Header

    @cached_property
    def moments(self) -> Moments:
        """Sums over the samples."""
        return Moments.of(self.samples, self.start, self.data.mean)

    @property
    def covariance(self) -> Array:
        """Covariance of the samples, (d, d)."""
        return self.moments.covariance

    @property
    def mean_error(self) -> Array:
        """Mean of the samples less that of the data, (d,)."""
        return self.moments.mean_error

    @cached_property
    def mode_variances(self) -> Array:
        """Variance in each mode of the data, (d,)."""
        return mode_variances(self.data, self.moments.covariance)

    @property
    def mode_variance_errors(self) -> Array:
        """Standard errors of `mode_variances`, (d,): samples are independent and Gaussian."""
        return np.asarray(self.mode_variances * np.sqrt(2 / self.moments.freedom))

    @property
    def variance_kept(self) -> float:
        """Total variance over that of the data."""
        return float(np.trace(self.covariance) / self.data.total_variance)

    @property
    def variance_kept_error(self) -> float:
        """Standard error of `variance_kept`."""
        return float(np.linalg.norm(self.mode_variance_errors) / self.data.total_variance)

    def _tables(self) -> Tables:
        return {"modes": self._modes}

    def _modes(self) -> Columns:
        return {
            "mode": range(1, self.data.features + 1),
            "variance": self.data.variances,
            "sampled": self.mode_variances,
            "error": self.mode_variance_errors,
        }

    @property
    def _attributes(self) -> Mapping[str, Any]:
        return {"variance_kept": self.variance_kept, "variance_kept_error": self.variance_kept_error}

    def __repr__(self) -> str:
        kept = f"variance_kept={self.variance_kept:.4f} +- {self.variance_kept_error:.2g}"
        return clipped(f"DiffusionSamples({len(self.samples):,} of {self.sampler.words}: {kept})")


def mode_variances(data: GaussianData, covariance: Array) -> Array:
    """Return the variances of a covariance along the modes of the data, (d,)."""
    return np.asarray(np.einsum("ip,ip->p", data.modes, covariance @ data.modes))
