"""The samples of a problem: how many there are, how large they are, and the curvatures and modes of their inputs."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .._arrays import AnyArray, Array
from .modes import Spectrum, spectrum
from .moments import blocks

__all__ = ["Sample"]


class Sample:
    """Inputs and targets, and what follows from the inputs alone; the base of `LeastSquares`."""

    inputs: AnyArray
    targets: AnyArray

    @property
    def samples(self) -> int:
        """Number of samples, N."""
        return int(self.inputs.shape[0])

    @property
    def population(self) -> int:
        """Number of samples that batches are drawn from; N, also where sums are over some of them only."""
        return self.samples

    @property
    def features(self) -> int:
        """Number of inputs of a sample, d."""
        return int(self.inputs.shape[1])

    @property
    def outputs(self) -> int:
        """Number of outputs, c."""
        return int(self.targets.shape[1])

    @cached_property
    def spectrum(self) -> Spectrum:
        """Curvatures and modes, and what was left out as zero to within rounding; made at first use."""
        return spectrum(self.inputs)

    @property
    def curvatures(self) -> Array:
        """Non-zero eigenvalues of A = <x x^T>, largest first, (r,); weight decay adds gamma to each."""
        return self.spectrum.curvatures

    @property
    def modes(self) -> Array:
        """Eigenvectors of A for `curvatures`, the columns of U, (d, r)."""
        return self.spectrum.modes

    @property
    def rank(self) -> int:
        """Number of directions that the data can move, r."""
        return len(self.curvatures)

    @cached_property
    def projections(self) -> AnyArray:
        """Inputs in the modes, z_i = U^T x_i, (N, r), in the precision of `inputs`."""
        out = np.empty((self.samples, self.rank), self.inputs.dtype)
        for rows in blocks(self.samples, self.features):
            out[rows] = self.inputs[rows].astype(np.float64) @ self.modes
        return out

    @property
    def precision(self) -> float:
        """Relative accuracy of the products over samples: 1e-12 for float64 inputs, 1e-6 for float32."""
        return 1e-12 if self.inputs.dtype == np.float64 else 1e-6
