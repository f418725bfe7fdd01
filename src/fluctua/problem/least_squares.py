"""The problem: least squares on one data set, and every moment of it that the theory needs.

All matrices of size d x d live in the *modes*, the eigenvectors of A = <x x^T> with non-zero curvature, because
every law is elementwise there (F2). Directions outside the range of A are never moved by data.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validate.arguments import stands_for
from .._validate.targets import VALUES, Coding, TargetsAre, read_targets
from .._validate.values import positive_int, real_array, real_number, shaped
from .minimum import Minimum
from .moments import blocks, quadratic_form, weighted_square
from .rows import magnitude, refuse_degenerate, refuse_large, refuse_scale, refuse_scales
from .sample import Sample

__all__ = ["LeastSquares", "Minimum", "magnitude"]

Array = NDArray[np.float64]


class LeastSquares(Sample):
    r"""L(W) = 1/(2N) sum_i |W x_i - y_i|^2: sum over outputs, mean over samples.

    Parameters
    ----------
    inputs : array_like, (N, d)
        Any real type. float32 data keep the products over samples in float32 (relative error about 1e-6, half
        the memory); everything of size d x d is float64 always, and so are the curvatures.
    targets : array_like, (N, c) or (N,)
        Whole numbers or strings of shape (N,) or (N, 1) are labels, one output each; floats, and several columns, are
        values. `fluctua.load` reads files by the same rule.
    targets_are : {"labels", "values"}, optional
        What they are, where the rule would have it otherwise. It is asked for where whole numbers are more different
        ones than a fifth of the samples; below 20 samples those are labels where one comes twice, values otherwise.

    Attributes
    ----------
    coding : Coding
        How the targets were read: `.kind` is "labels" or "values", `.classes` are the labels of the outputs.

    Raises
    ------
    InvalidInput
        For NaN, wrong shapes, unequal lengths, fewer than two samples or constant inputs, for a curvature that does not
        fit into memory, and where labels and values cannot be told apart.

    Warns
    -----
    AmbiguousTargets
        For labels of which some are negative, and floats that look like labels.

    Notes
    -----
    Cost: the curvatures take N d^2 flops and one eigendecomposition; `feedback` and `Minimum.source` take 4 N r^2
    each, r the rank. Memory: inputs are not copied when they are float32 or float64; their projection on the modes
    (N, r), in the same precision, is made at first use and kept.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> print(problem.samples, problem.features, problem.outputs, problem.rank)
    1797 64 10 61
    >>> print(f"{problem.curvatures[0]:.9f}")
    10.455299687
    >>> print(f"{problem.minimum().loss:.11f}")
    0.15494089737
    """

    coding: Coding = VALUES

    def __init__(self, inputs: ArrayLike, targets: ArrayLike, *, targets_are: TargetsAre = None) -> None:
        self.inputs = real_array("inputs", inputs, ndim=2, shape="(samples, features)")
        self.targets, self.coding = read_targets("targets", targets, self.inputs.dtype, targets_are)
        refuse_scale("inputs", self.inputs)
        refuse_scale("targets", self.targets)
        refuse_scales(self.inputs, self.targets)
        refuse_degenerate(self.inputs, self.targets)
        refuse_large(self.features, self.outputs)
        self._minima: dict[float, Minimum] = {}

    def __repr__(self) -> str:
        sizes = f"{self.samples:,} samples, {self.features:,} inputs, {self.outputs:,} output{'s' * (self.outputs > 1)}"
        return f"LeastSquares({sizes} from {self.coding.kind}, {self.inputs.dtype})"

    def minimum(self, weight_decay: float = 0.0) -> Minimum:
        """Return the minimiser of L(W) + gamma/2 |W|^2 and the gradient noise there; computed once per gamma.

        Parameters
        ----------
        weight_decay : float
            The gamma of the recipe, at least 0.

        Returns
        -------
        Minimum
            W*, the loss and the residuals there, and the noise C.

        Raises
        ------
        InvalidInput
            For a negative weight decay, or one that is no number.

        Warns
        -----
        BelowRounding
            Where rounding hides what the loss at the optimum shows.

        Notes
        -----
        Cost: at first use 4 N c d flops a round, as a rule in 2 rounds, and another pass with weight decay. C costs one
        more pass when it is asked for.
        """
        gamma = real_number("weight_decay", weight_decay, minimum=0.0)
        if gamma not in self._minima:
            self._minima[gamma] = Minimum(self, gamma)
        self._minima[gamma].warn_below_rounding()
        return self._minima[gamma]

    @property
    def undecayed(self) -> Minimum:
        """The minimum without weight decay, from which all others follow; without its warnings."""
        if 0.0 not in self._minima:
            self._minima[0.0] = Minimum(self, 0.0)
        return self._minima[0.0]

    def combined(self, weights: Array) -> LeastSquares:
        """Return the problem of one output, the weighted sum of all; what it knows of the inputs is shared.

        Its W*, residuals and fluctuation are the same sums of this problem's.

        Parameters
        ----------
        weights : ndarray, (c,)
            Of each output.

        Returns
        -------
        LeastSquares
            With targets of shape (N, 1).

        Raises
        ------
        InvalidInput
            For weights of another shape.
        """
        weights = shaped("weights", weights, (self.outputs,))
        self.projections  # noqa: B018  (made now, so that the copy has them)
        out = copy(self)
        out.targets = (self.targets @ weights.astype(self.targets.dtype))[:, None]
        out._minima = {gamma: found.combined(out, weights) for gamma, found in self._minima.items()}
        return out

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
        return self.scatter(quadratic=covariance) - curvatures[:, None] * covariance * curvatures

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
            The mean over the samples, in float64.

        Raises
        ------
        InvalidInput
            For arrays of other shapes.

        Notes
        -----
        Cost: 4 N r^2 flops with `quadratic`, half of it when every q_i is positive (BLAS then computes one triangle).
        """
        weights = None if weights is None else shaped("weights", weights, (self.samples,))
        quadratic = None if quadratic is None else shaped("quadratic", quadratic, (self.rank, self.rank))
        out = np.zeros((self.rank, self.rank))
        for rows in self.blocks(self.rank):
            z = self.projections[rows]
            q = np.zeros(len(z)) if weights is None else weights[rows]
            out += weighted_square(z, q if quadratic is None else q + quadratic_form(z, quadratic))
        return out / self.samples

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


stands_for("problem", LeastSquares, "a problem, fluctua.LeastSquares(inputs, targets)")
