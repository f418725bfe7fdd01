"""What softmax and logistic heads share: data, labels, and the coordinates that data can move."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import AnyArray, Array
from ..._half import HalfArray, Rows, stored_as
from ..._results import Brief, ByValue, clipped
from ..._validate.arguments import is_another
from ..._validate.plain import Keywords
from ..._validate.targets import Label
from ..._validate.values import real_number, sample_rows, shown
from ...errors import InvalidInput
from ..rows import refuse_degenerate, refuse_large, refuse_scale, refuse_single
from ..samples import Samples
from .labels import Read, read_classes
from .logits import contrasts
from .optimum import HeadMinimum

__all__ = ["Head"]


class _Inputs(Samples):
    """Rows of inputs, and what averages over them say."""

    def __init__(self, inputs: Rows, importance: Array | None = None) -> None:
        self.inputs, self.importance = inputs, importance


class Head(Brief, ByValue):
    """What softmax and logistic heads share; made as one of the two."""

    sample_weight: Array | None = None
    importance: Array | None = None
    drawn_by: Any = None
    """The sampling that these samples are as seen by, where it draws some more often than others."""
    _PAIR: ClassVar[bool] = False
    _minima: dict[float, HeadMinimum]
    _drawn: dict[Any, Head]

    def __init__(
        self,
        inputs: ArrayLike,
        labels: ArrayLike,
        *,
        class_weight: ArrayLike | Mapping[Label, float] | str | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int | str | None = None,
        reduction: str = "mean",
    ) -> None:
        _refuse_reduction(reduction)
        given = sample_rows("inputs", inputs)
        read = read_classes(labels, class_weight, label_smoothing, ignore_index, pair=self._PAIR)
        _refuse_unequal(given, read)
        self._take(_kept(given, read), read.targets, read.factors, read.classes)
        self.ignored = read.ignored
        refuse_degenerate(self.inputs, self.targets)
        refuse_scale("inputs", self.inputs)
        refuse_large(self.features, self.outputs)

    def _take(self, inputs: Rows, targets: Array, factors: Array | None, classes: tuple[Label, ...]) -> None:
        self.inputs, self.targets, self.factors, self.classes = inputs, targets, factors, classes
        self.rows = _Inputs(inputs)
        self._minima, self._drawn = {}, {}

    @property
    def samples(self) -> int:
        """Number of samples that count, N."""
        return len(self.targets)

    @property
    def population(self) -> int:
        """Number of samples that batches are drawn from, N."""
        return self.samples

    @property
    def features(self) -> int:
        """Number of inputs of a sample, d."""
        return int(self.inputs.shape[1])

    @property
    def outputs(self) -> int:
        """Rows of the weights: c, or 1 of a logistic head."""
        return int(self.lift.shape[0])

    @property
    def frame(self) -> Array:
        """Logits of all classes by the free ones, (c, k)."""
        return contrasts(len(self.classes))

    @property
    def lift(self) -> Array:
        """Rows of the weights by the free ones, orthonormal, (c, k)."""
        return self.frame

    @property
    def rank(self) -> int:
        """Number of directions that the data can move: free logits times modes of the inputs."""
        return int(self.frame.shape[1]) * self.rows.rank

    @property
    def precision(self) -> float:
        """Relative accuracy of the products over samples: 1e-12 for float64 inputs, 1e-6 for float32 and less."""
        return self.rows.precision

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
        return self.rows.blocks(width)

    def reduced(self, weights: Array) -> Array:
        """Return weights in the coordinates that data can move: free logits by modes of the inputs.

        Parameters
        ----------
        weights : ndarray, (c, d)
            The rest of them, which weight decay alone moves, is left out.

        Returns
        -------
        ndarray, (k, r)
            In units of the weights.
        """
        return np.asarray(self.lift.T @ weights @ self.rows.modes)

    def expanded(self, theta: Array) -> Array:
        """Return weights from the coordinates that data can move.

        Parameters
        ----------
        theta : ndarray, (k, r)
            Free logits by modes of the inputs.

        Returns
        -------
        ndarray, (c, d)
            In the same units.
        """
        return np.asarray(self.lift @ theta @ self.rows.modes.T)

    def minimum(self, weight_decay: float = 0.0) -> HeadMinimum:
        """Return the minimiser of L(W) + gamma/2 |W|^2 and the local picture there; computed once per gamma.

        Parameters
        ----------
        weight_decay : float
            The gamma of the recipe, at least 0.

        Returns
        -------
        HeadMinimum
            W*, the loss and the probabilities there, and the operators H, C, K and X.

        Raises
        ------
        InvalidInput
            For a negative weight decay, and without one for data that can be separated: they have no minimum.
        NotConverged
            If the minimum was not found to the accuracy stated.

        Warns
        -----
        MissingBias
            Where a constant input, which is not there, would lower the loss visibly.

        Notes
        -----
        Newton's steps from W = 0 with a line search, by conjugate gradients above 1,000 weights: 4 N c d flops for each
        of their rounds. They end where a step moves no logit by more than 1e-9 (1e-4 for float32 inputs), after which
        the error is that squared, or rounding.
        """
        gamma = real_number("weight_decay", weight_decay, minimum=0.0)
        if gamma not in self._minima:
            self._minima[gamma] = HeadMinimum(self, gamma)
        self._minima[gamma].warn_missing_bias()
        return self._minima[gamma]

    def drawn(self, by: Any, importance: Array, factors: Array | None) -> Head:
        """Return the problem as the sampling `by` sees it; the last one is kept, with what has been found of it.

        Parameters
        ----------
        by : fluctua.WeightedSampling
            The sampling, which the problem then knows as `drawn_by`.
        importance : ndarray, (N,)
            The rho_i, how often a sample counts in the averages of gradients' squares.
        factors : ndarray, (N,), or None
            What the loss of each sample is multiplied by; None leaves the loss as it is.

        Returns
        -------
        Softmax or Logistic
            Of the loss that the batches descend.

        Raises
        ------
        InvalidInput
            Where a single sample is ever drawn.
        """
        if by not in self._drawn:
            refuse_single(int(np.count_nonzero(importance)))
            seen = object.__new__(type(self))
            own = self.factors if factors is None else factors * (1.0 if self.factors is None else self.factors)
            seen._take(self.inputs, self.targets, own, self.classes)
            seen.rows, seen.importance, seen.drawn_by, seen.ignored = self.rows, importance, by, self.ignored
            self._drawn = {by: seen}
        return self._drawn[by]

    @cached_property
    def answers(self) -> AnyArray:
        """The class of each sample that has the largest target, as a column's number, (N,)."""
        return np.asarray(self.targets.argmax(axis=1))

    def __repr__(self) -> str:
        sizes = f"{self.samples:,} samples, {self.features:,} inputs, {len(self.classes):,} classes"
        left = f", {self.ignored:,} ignored" if self.ignored else ""
        return clipped(f"{type(self).__name__}({sizes}, {stored_as(self.inputs)}{left})")

    def _shown(self) -> Keywords:
        sizes = {name: getattr(self, name) for name in ("samples", "features")}
        return {**sizes, "classes": self.classes, "dtype": stored_as(self.inputs), "ignored": self.ignored}

    def _compared(self) -> Keywords:
        return {name: getattr(self, name) for name in ("inputs", "targets", "factors", "classes", "drawn_by")}

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.inputs.shape, self.targets.shape))


def _refuse_reduction(reduction: object) -> None:
    if not isinstance(reduction, str) or reduction != "mean":
        raise InvalidInput(
            f"reduction must be 'mean', got {shown(reduction)}: the loss of a batch is the mean over its samples. A "
            f"run with reduction='sum' is the one at lr times the batch size, and weight decay over it, with the mean."
        )


def _refuse_unequal(inputs: Rows, read: Read) -> None:
    """Refuse inputs and labels of different number."""
    if len(inputs) != len(read.kept):
        raise InvalidInput(
            f"inputs hold {len(inputs)} samples and labels {len(read.kept)}: every sample needs its label. Check that "
            f"both were filtered alike."
        )


def _kept(inputs: Rows, read: Read) -> Rows:
    if not read.ignored:
        return inputs
    return inputs.taken(read.kept) if isinstance(inputs, HalfArray) else inputs[read.kept]


is_another("problem", Head)
