"""The products over all samples, which cost what a problem costs: NumPy's. `device_products` has those of a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._arrays import AnyArray, Array
from .modes import Spectrum, spectrum
from .moments import add_weighted_square, symmetric_form

if TYPE_CHECKING:
    from .samples import Samples

__all__ = ["Products", "add_scattered"]


class Products:
    """Made by NumPy, block by block, in the precision of the inputs."""

    def spectrum(self, samples: Samples) -> Spectrum:
        """Curvatures and modes, N d^2 flops and an eigendecomposition."""
        return spectrum(samples.inputs)

    def projections(self, samples: Samples) -> AnyArray:
        """Inputs in the modes, (N, r), 2 N d r flops."""
        out = np.empty((samples.samples, samples.rank), samples.inputs.dtype)
        for rows in samples.blocks(samples.features):
            out[rows] = samples.inputs[rows].astype(np.float64) @ samples.modes
        return out

    def scattered(self, samples: Samples, weights: Array | None, form: Array | None) -> Array:
        """Sum of rho_i q_i z_i z_i^T, q_i = weights_i + z_i^T form z_i of a symmetric form; at most 4 N r^2 flops."""
        out = np.zeros((samples.rank, samples.rank))
        for rows in samples.blocks(samples.rank):
            weight, counted = (None if each is None else each[rows] for each in (weights, samples.importance))
            add_scattered(out, samples.projections[rows], weight, form, counted)
        return out


def add_scattered(out: Array, z: AnyArray, weights: Array | None, form: Array | None, importance: Array | None) -> None:
    """Add what some rows are of `Products.scattered`."""
    q = np.zeros(len(z)) if weights is None else weights
    q = q if form is None else q + symmetric_form(z, form)
    add_weighted_square(out, z, q if importance is None else q * importance)
