"""The problem: least squares on one data set, and every moment of it that the theory needs.

All matrices of size d x d live in the *modes*, the eigenvectors of A = <x x^T> with non-zero curvature, because
every law is elementwise there (F2). Directions outside the range of A are never moved by data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from .._half import stored_as
from .._results import Brief, ByValue, clipped
from .._validate.arguments import stands_for
from .._validate.frames import mind_index
from .._validate.plain import Keywords
from .._validate.targets import VALUES, Coding, TargetsAre, read_targets
from .._validate.values import real_number, sample_rows
from .._validate.weights import hold_length, sample_weights
from .minimum import Minimum
from .rows import magnitude, refuse_degenerate, refuse_large, refuse_nothing, refuse_scale, refuse_scales, rows_times
from .samples import Samples

__all__ = ["LeastSquares", "Minimum", "magnitude"]

Progress = Callable[[str, float], None]


class LeastSquares(Brief, ByValue, Samples):
    r"""L(W) = 1/(2N) sum_i |W x_i - y_i|^2: sum over outputs, mean over samples.

    Parameters
    ----------
    inputs : array_like, (N, d)
        Any real type. float32 data keep the products over samples in float32 (relative error about 1e-6, half
        the memory); everything of size d x d is float64 always, and so are the curvatures. float16 and bfloat16 stay as
        they are and are widened to float32 block by block: the numbers are those of the same array in float32.
    targets : array_like, (N, c) or (N,)
        Whole numbers or strings of shape (N,) or (N, 1) are labels, one output each; floats, and several columns, are
        values. `fluctua.load` reads files by the same rule.
    targets_are : {"labels", "values"}, optional
        What they are, where the rule would have it otherwise. It is asked for where whole numbers are more different
        ones than a fifth of the samples; below 20 samples those are labels where one comes twice, values otherwise.
    sample_weight : array_like, (N,), optional
        Weights w_i >= 0, as scikit-learn has them: the loss is the sum of w_i loss_i over the sum of w_i. A sample's
        gradient is w_i times its own, the weights divided by their mean, in a batch too: the mean over a batch of
        w_i loss_i.
        A weight of 2 gives the H and W* of a sample that is there twice, and more noise than that: the two copies are
        drawn apart.

    Attributes
    ----------
    inputs, targets : ndarray, (N, d) and (N, c)
        With sample weights, the rows times sqrt(w_i): everything else follows from these. Inputs of 16 bits are an
        array whose slices are float32.
    sample_weight : ndarray, (N,), or None
        Over their mean.
    coding : Coding
        How the targets were read: `.kind` is "labels" or "values", `.classes` are the labels of the outputs.

    Raises
    ------
    InvalidInput
        For NaN, wrong shapes, unequal lengths, fewer than two samples or constant inputs, for a curvature that does not
        fit into memory, and where labels and values cannot be told apart; for weights below 0, not finite or all 0.

    Warns
    -----
    AmbiguousTargets
        For labels of which some are negative, and floats that look like labels.
    IndexColumn
        For a frame of inputs with a column that is called as an index is.

    Notes
    -----
    Cost: the curvatures take N d^2 flops and one eigendecomposition; `feedback` and `Minimum.source` take 4 N r^2
    each, r the rank. Memory: inputs of 16, 32 or 64 bits are not copied; their projection on the modes (N, r), float32
    for those of 16 bits and else in the same precision, is made at first use and kept.

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

    sample_weight: Array | None = None
    drawn_by: Any = None
    """The sampling that these rows are as seen by, where it draws some more often than others."""
    feedback_samples: int | None = None
    """Samples that K is averaged over, where those are stated to be some of all."""
    slope: Array | None = None
    """<r x^T> at weights of zero, (c, d), where it is known."""
    gram: Array | None = None
    """<x x^T>, (d, d), where it is known."""
    longest: float | None = None
    """The largest |x|^2, where it is known."""
    SQUARES: ClassVar[bool] = True
    """Whether <x x^T> is summed of samples that come in chunks."""

    def __init__(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        *,
        targets_are: TargetsAre = None,
        sample_weight: ArrayLike | None = None,
    ) -> None:
        mind_index("inputs", inputs, 2)
        self.inputs = sample_rows("inputs", inputs)
        self.targets, self.coding = read_targets("targets", targets, self.inputs.dtype, targets_are)
        refuse_degenerate(self.inputs, self.targets)
        if sample_weight is not None:
            self._weigh(sample_weight)
        refuse_scale("inputs", self.inputs)
        refuse_scale("targets", self.targets)
        refuse_scales(magnitude(self.inputs), magnitude(self.targets))
        self._refuse_size()
        self._minima: dict[float, Minimum] = {}
        self._drawn: dict[Any, LeastSquares] = {}

    def _refuse_size(self) -> None:
        refuse_large(self.features, self.outputs)

    def _weigh(self, sample_weight: ArrayLike) -> None:
        """Multiply the rows by the square roots of weights of mean 1."""
        weights = sample_weights("sample_weight", sample_weight)
        hold_length("sample_weight", weights, len(self.inputs))
        self.sample_weight = weights
        self.inputs, self.targets = rows_times(weights, self.inputs), np.asarray(rows_times(weights, self.targets))
        refuse_nothing(self.inputs)

    def __repr__(self) -> str:
        sizes = f"{self.samples:,} samples, {self.features:,} inputs, {self.outputs:,} output{'s' * (self.outputs > 1)}"
        weighted = "" if self.sample_weight is None else ", weighted"
        return clipped(f"LeastSquares({sizes} from {self.coding.kind}, {stored_as(self.inputs)}{weighted})")

    def _shown(self) -> Keywords:
        sizes = {name: getattr(self, name) for name in ("samples", "features", "outputs")}
        weighted = {} if self.sample_weight is None else {"sample_weight": self.sample_weight}
        return {**sizes, "targets": self.coding.kind, "dtype": stored_as(self.inputs), **weighted}

    def _compared(self) -> Keywords:
        return {name: getattr(self, name) for name in ("inputs", "targets", "coding", "sample_weight", "drawn_by")}

    def __hash__(self) -> int:
        return hash((self.inputs.shape, self.targets.shape))

    @classmethod
    def from_batches(
        cls,
        batches: Any,
        *,
        classes: Sequence[int | str] | None = None,
        feedback_samples: int | None = None,
        progress: Progress | None = None,
    ) -> LeastSquares:
        """Return the problem of samples that come in chunks, as they lie on a disk or are made, and never all at once.

        Parameters
        ----------
        batches : callable or iterable
            Gives pairs (inputs, targets) of arrays, (n, d) and (n, c) or (n,), the same ones in each pass: a function
            that returns them anew, a list, `fluctua.data.batches(...)`, `fluctua.distributed.batches(...)` of Dask
            arrays, or any object that can be iterated again.
        classes : sequence of int or str, optional
            The labels, where targets are labels: an output each, in this order. They are asked for, since a chunk need
            not have all of them.
        feedback_samples : int, optional
            Average K over so many samples, drawn once and kept, instead of passing over all of them for each
            application; everything else is over all. Floors and limits then have a standard error.
        progress : callable, optional
            Is called with what is done, a text, and its share, which is 0 while the number of samples is not known.

        Returns
        -------
        LeastSquares
            Of the same numbers, to rounding, as of all samples in memory; to the last bit for the same chunks.

        Raises
        ------
        InvalidInput
            For what can be read only once, for NaN and other shapes, by chunk and row, for labels without `classes`,
            and, in a later pass, for chunks that are not those of the first.

        Notes
        -----
        Cost: two passes over the samples for W*, the modes and the noise, N d^2 flops each, and one for each
        application of K, 2 N d r more than in memory where the projections, (N, r), take more than 256 MiB and are
        made anew. Memory: some d x d matrices, targets and residuals, (N, c), and one block of samples.

        Examples
        --------
        >>> import fluctua as fl
        >>> data = fl.load("digits")
        >>> def chunks():
        ...     for k in range(0, 1797, 500):
        ...         yield data.inputs[k : k + 500], data.targets[k : k + 500]
        >>> problem = fl.LeastSquares.from_batches(chunks)
        >>> print(f"{fl.predict(problem, fl.SGD(lr=0.05, batch_size=8)).excess_loss:.7f}")
        0.0093549
        """
        from .chunked import chunked_problem  # noqa: PLC0415  (which is made of this)

        return chunked_problem(batches, classes, feedback_samples, progress)

    @property
    def outputs(self) -> int:
        """Number of outputs, c."""
        return int(self.targets.shape[1])

    @property
    def second_pass_square(self) -> Array | None:
        """Zeros for <|r|^2 x x^T>, (d, d), where it is summed while residuals are found; None where it is not."""
        return None

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

    def drawn(self, by: Any, importance: Array, factors: Array | None) -> LeastSquares:
        """Return the problem as the sampling `by` sees it; the last one is kept, with what has been found of it.

        Parameters
        ----------
        by : fluctua.WeightedSampling
            The sampling, which the problem then knows as `drawn_by`.
        importance : ndarray, (N,)
            The rho_i, how often a sample counts in the averages of gradients' squares.
        factors : ndarray, (N,), or None
            What the loss of each sample is multiplied by; None leaves the loss, and so the curvatures, as they are.

        Returns
        -------
        LeastSquares
            Of the loss that the batches descend.

        Raises
        ------
        InvalidInput
            Where the rows times the square roots of `factors` are too large, too small, or all zero, and where a single
            sample is ever drawn.
        """
        if by not in self._drawn:
            from .drawn import Drawn  # noqa: PLC0415  (which is made of this)

            self._drawn = {by: Drawn(self, by, importance, factors)}
        return self._drawn[by]


stands_for("problem", LeastSquares, "a problem, fluctua.LeastSquares(inputs, targets)")
