"""Samples and every average over them: the curvature and its modes, the feedback, and the one pass that all need."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from .._arrays import AnyArray, Array, even
from .._half import Rows
from .._validate.values import positive_int, shaped
from .modes import Spectrum
from .moments import blocks, is_symmetric
from .products import Products

__all__ = ["Samples"]


class Samples:
    """Rows of inputs, and what averages over them say; knows no loss.

    Attributes
    ----------
    inputs : ndarray or HalfArray, (N, d)
        Slices of it are in `inputs.dtype`, float32 where the numbers have 16 bits.
    importance : ndarray, (N,), or None
        rho_i, how often a sample counts in the averages of gradients' squares; None is once.
    """

    inputs: Rows
    importance: Array | None = None
    products: Products = Products()
    """What makes the passes over the samples that cost most."""

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

    @cached_property
    def spectrum(self) -> Spectrum:
        """Curvatures and modes, and what was left out as zero to within rounding; made at first use."""
        return self.products.spectrum(self)

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
        """Inputs in the modes, z_i = U^T x_i, (N, r), in the precision of `inputs`; float32 of those of 16 bits."""
        return self.products.projections(self)

    @property
    def precision(self) -> float:
        """Relative accuracy of the products over samples: 1e-12 for float64 inputs, 1e-6 for float32 and less."""
        return 1e-12 if self.inputs.dtype == np.float64 else 1e-6

    def feedback(self, covariance: Array) -> Array:
        """Return K[S] = <x (x^T S x) x^T> - A S A in the modes: how the fluctuation feeds the noise (F4).

        Parameters
        ----------
        covariance : ndarray, (r, r)
            S in the modes, in units of the squared weights.

        Returns
        -------
        ndarray, (r, r)
            Of one sample's gradient, in units of its square.

        Raises
        ------
        InvalidInput
            For a matrix of another shape.

        Notes
        -----
        Cost: one pass over the samples, 4 N r^2 flops.
        """
        curvatures, covariance = self.curvatures, shaped("covariance", covariance, (self.rank, self.rank))
        found = self.scatter(quadratic=covariance)
        for rows in blocks(self.rank, self.rank):
            found[rows] -= curvatures[rows, None] * covariance[rows] * curvatures
        return found

    def scatter(self, weights: Array | None = None, quadratic: Array | None = None) -> Array:
        """Return <q_i z_i z_i^T> with q_i = weights_i + z_i^T quadratic z_i; the one pass over the samples.

        Parameters
        ----------
        weights : ndarray, (N,), optional
            By default 0.
        quadratic : ndarray, (r, r), optional
            By default 0.

        Returns
        -------
        ndarray, (r, r)
            The mean over the samples, each counted rho_i times, its `importance`; in float64.

        Raises
        ------
        InvalidInput
            For arrays of other shapes.

        Notes
        -----
        Cost: at most 4 N r^2 flops with `quadratic`, if BLAS did not leave out what symmetry gives: some 2.3 N r^2.
        """
        weights = None if weights is None else shaped("weights", weights, (self.samples,))
        quadratic = None if quadratic is None else shaped("quadratic", quadratic, (self.rank, self.rank))
        form = quadratic if quadratic is None or is_symmetric(quadratic) else even(quadratic)
        found = self.products.scattered(self, weights, form)
        found /= self.samples
        return found

    def largest_square(self, basis: Array | None = None) -> float:
        """Return the largest rho |x|^2 over the samples, or of the part that a basis has of x.

        Parameters
        ----------
        basis : ndarray, (r, k), optional
            Columns in the modes; by default all of x counts.

        Returns
        -------
        float
            In units of the squared inputs.

        Raises
        ------
        InvalidInput
            For a basis without columns.
        """
        largest, rows = 0.0, self.inputs if basis is None else self.projections
        for block in self.blocks(rows.shape[1]):
            x = rows[block] if basis is None else rows[block] @ basis
            squares = np.einsum("ij,ij->i", x, x, dtype=np.float64)
            counted = squares if self.importance is None else squares * self.importance[block]
            largest = max(largest, float(counted.max()))
        return largest

    def largest_sums(self, weights: Array) -> Array:
        """Return the largest rho sum_p w_p x_p^2 over the samples, x_p being those of the modes.

        Parameters
        ----------
        weights : ndarray, (k, r)
            Of the modes, 0 or more.

        Returns
        -------
        ndarray, (k,)
            For each row of weights.

        Raises
        ------
        InvalidInput
            For weights of another number of modes.

        Notes
        -----
        Cost: 2 k N r flops.
        """
        weights = shaped("weights", weights, (len(weights), self.rank))
        largest = np.zeros(len(weights))
        for block in self.blocks(self.rank):
            sums = np.square(self.projections[block], dtype=np.float64) @ weights.T
            counted = sums if self.importance is None else sums * self.importance[block, None]
            largest = np.maximum(largest, counted.max(axis=0))
        return largest

    def blocks(self, width: int) -> Iterator[slice]:
        """Yield slices of samples whose rows fit a block.

        Parameters
        ----------
        width : int
            Elements in a row.

        Returns
        -------
        iterator of slice
            Of consecutive samples; together they are all.

        Raises
        ------
        InvalidInput
            For a width that is not a whole number from 1 up.
        """
        return blocks(self.samples, positive_int("width", width))
