r"""The spectrum of one layer's gradient noise against its curvature, exact at finite N (F111).

For Gaussian inputs of any covariance and y = teacher + Gaussian noise, the whitened noise Ct = A^-1/2 C A^-1/2 / (2 L*)
depends on N and d alone: the residual is uniform on a sphere, and the whitened inputs are a Haar frame orthogonal to
it.
Were C = 2 L* H, all its eigenvalues were 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..._arrays import Array
from ..._results import ByValue, Tables, Tabular, clipped
from ..._validate.arguments import door
from ..._validate.values import positive_int
from ...errors import InvalidInput
from ...problem.least_squares import LeastSquares

__all__ = ["NoiseSpectrum", "noise_spectrum", "spectrum_moments"]


def spectrum_moments(samples: int, features: int) -> tuple[float, float]:
    r"""Return E tr Ct / d and E tr Ct^2 / d of one output of Gaussian data (F111).

    Parameters
    ----------
    samples, features : int
        N and d; d < N.

    Returns
    -------
    tuple of float
        N/(N + 2), and the second moment; less the square of the first it is the variance of the eigenvalues, about
        2 d/N where N is large, so that C follows H for N >> d alone.

    Raises
    ------
    InvalidInput
        For d >= N, where the data are fitted exactly.

    Notes
    -----
    Cost: none.

    Examples
    --------
    >>> from fluctua.studies import layers
    >>> print("{:.6f} {:.6f}".format(*layers.spectrum_moments(40, 10)))
    0.952381 1.339558
    """
    count, d = positive_int("samples", samples, minimum=2), positive_int("features", features)
    if d >= count:
        raise InvalidInput(f"features = {d} of {count} samples fit the data exactly: there is no noise. Use fewer.")
    n = count - 1
    first, second = _haar(n, d)
    q4, q6 = 3 / (count + 2), 15 / ((count + 2) * (count + 4))
    q44 = (9 * count + 96) / ((count + 2) * (count + 4) * (count + 6))
    squares, traces = count**2 * (q4 - 2 * q6 + q44), count**2 * (1 - 2 * q4 + q44)
    return count / (count + 2), ((first + second) * squares + second * traces) / d


def _haar(n: int, d: int) -> tuple[float, float]:
    """(a, b) of E P_ij P_kl = a delta_ij delta_kl + b (...) for a projector of rank d on n dimensions."""
    b = d * (n - d) / (n * (n - 1) * (n + 2)) if n > 1 else 0.0
    return (d * d - 2 * b * n) / n**2, b


@dataclass(frozen=True, eq=False, repr=False)
class NoiseSpectrum(ByValue, Tabular):
    """The whitened noise of each output of a problem, beside what Gaussian data of that size would have.

    Parameters
    ----------
    samples, features : int
        N, and the modes of the inputs, d.
    eigenvalues : ndarray, (c, d)
        Of Ct, largest first.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import layers
    >>> data = fl.load("digits")
    >>> layers.noise_spectrum(fl.LeastSquares(data.inputs, data.targets))
    NoiseSpectrum(1,797 x 61: tr Ct/d=0.9713 (0.9989), tr Ct^2/d=1.5399 (1.0664))
    """

    samples: int
    features: int
    eigenvalues: Array

    @property
    def mean(self) -> Array:
        """Tr Ct / d of each output, (c,)."""
        return np.asarray(self.eigenvalues.mean(axis=1))

    @property
    def second_moment(self) -> Array:
        """Tr Ct^2 / d of each output, (c,)."""
        return np.asarray((self.eigenvalues**2).mean(axis=1))

    @cached_property
    def expected(self) -> tuple[float, float]:
        """Both for Gaussian data."""
        return spectrum_moments(self.samples, self.features)

    def _tables(self) -> Tables:
        outputs = range(1, len(self.eigenvalues) + 1)
        one, two = self.expected
        return {
            "outputs": lambda: {
                "output": outputs,
                "mean": self.mean,
                "second_moment": self.second_moment,
                "gaussian_mean": np.full(len(outputs), one),
                "gaussian_second_moment": np.full(len(outputs), two),
            }
        }

    @property
    def _attributes(self) -> Mapping[str, Any]:
        return {"samples": self.samples, "features": self.features}

    def __repr__(self) -> str:
        one, two = self.expected
        found = f"tr Ct/d={self.mean.mean():.4f} ({one:.4f}), tr Ct^2/d={self.second_moment.mean():.4f} ({two:.4f})"
        return clipped(f"NoiseSpectrum({self.samples:,} x {self.features}: {found})")


def noise_spectrum(problem: LeastSquares) -> NoiseSpectrum:
    r"""Return the spectrum of the gradient noise of one layer against its curvature, output by output (F111).

    Parameters
    ----------
    problem : LeastSquares
        The data.

    Returns
    -------
    NoiseSpectrum
        Eigenvalues of A^-1/2 C_kk A^-1/2 / (2 L_k), all 1 where the noise of output k follows the curvature.

    Raises
    ------
    InvalidInput
        For data that are fitted exactly.

    Notes
    -----
    Cost: 2 N d^2 flops and an eigendecomposition for each output.

    Examples
    --------
    >>> import numpy as np
    >>> import fluctua as fl
    >>> from fluctua.studies import layers
    >>> rng = np.random.default_rng(0)
    >>> inputs = rng.normal(size=(200, 100))
    >>> layers.noise_spectrum(fl.LeastSquares(inputs, inputs.sum(axis=1, keepdims=True) + rng.normal(size=(200, 1))))
    NoiseSpectrum(200 x 100: tr Ct/d=1.0066 (0.9901), tr Ct^2/d=1.9642 (1.9415))
    """
    door(problem)
    minimum = problem.minimum()
    minimum.refuse_interpolation()
    root = np.sqrt(problem.curvatures)
    losses = np.mean(np.square(minimum.residuals, dtype=np.float64), axis=0)
    noise = [minimum.output_noise(k, k) / losses[k] if losses[k] else np.diag(root**2) for k in range(problem.outputs)]
    found = [np.linalg.eigvalsh(each / np.outer(root, root))[::-1] for each in noise]
    return NoiseSpectrum(problem.samples, problem.rank, np.array(found))
