"""Samples with labels, and how outputs decide on one: the largest output, or one output against a threshold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .._arrays import AnyArray, Array, Ints
from .._half import Rows
from .._validate.targets import columns_of
from .._validate.values import real_array, sample_rows
from ..errors import InvalidInput
from ..problem.least_squares import LeastSquares
from ..problem.moments import blocks

__all__ = ["Labelled"]

_ROUNDING = 1e-4  # of a target that was multiplied by the root of a weight and is divided by it


@dataclass(frozen=True)
class Labelled:
    """Inputs, the column of each one's label, and how much each counts.

    One output decides against `threshold`, half-way between its two values: it stands for two, of which the first is 0.

    Attributes
    ----------
    inputs : ndarray, (n, d)
        Times the `roots`.
    labels : ndarray of int, (n,)
    roots : ndarray, (n,)
        Square roots of the weights, which the training inputs are multiplied by.
    threshold : float or None
        None where the largest of several outputs decides.
    """

    inputs: Rows
    labels: Ints
    roots: Array
    threshold: float | None

    @classmethod
    def training(cls, problem: LeastSquares) -> Labelled:
        """Return the training data, each sample counted as in the loss that is descended."""
        roots, targets = np.sqrt(_weights(problem)), problem.targets.astype(np.float64)
        targets = np.divide(targets, roots[:, None], out=np.zeros_like(targets), where=roots[:, None] > 0)
        values = _values(targets[roots > 0])
        return cls(problem.inputs, _columns("the training targets", targets, values, roots > 0), roots, _middle(values))

    @classmethod
    def held_out(cls, problem: LeastSquares, inputs: object, labels: object) -> Labelled:
        """Return other data, whose labels are those of the training data."""
        values = cls.training(problem).values(problem)
        given = columns_of("labels", labels, problem.coding.classes, problem.inputs.dtype, "the training data")
        x = sample_rows("inputs", inputs)
        targets = real_array("labels", given, ndim=2, shape="(samples, outputs)")
        _refuse_misfit(problem, x, targets)
        every = np.ones(len(x), bool)
        return cls(x, _columns("labels", targets.astype(np.float64), values, every), every * 1.0, _middle(values))

    def values(self, problem: LeastSquares) -> Array | None:
        """Return the two values of one output; None for several outputs."""
        if self.threshold is None:
            return None
        counted = self.roots > 0
        return _values(problem.targets[counted].astype(np.float64) / self.roots[counted, None])

    def average(self, right: Array) -> float:
        """Return the accuracy, given the chance that each label is found, (n,)."""
        return float(np.average(right, weights=self.roots**2))

    def blocks(self, width: int) -> Iterator[tuple[slice, Array]]:
        """Yield slices and their inputs, float64 and without the roots; 0 where a sample does not count."""
        for rows in blocks(len(self.inputs), width):
            x, roots = self.inputs[rows].astype(np.float64), self.roots[rows, None]
            yield rows, np.divide(x, roots, out=np.zeros_like(x), where=roots > 0)

    def deciding(self, outputs: Array) -> Array:
        """Return the outputs of which the largest decides, (n, c): one output beside 0."""
        if self.threshold is None:
            return outputs
        return np.concatenate([np.zeros_like(outputs), outputs - self.threshold], axis=1)

    def deciding_noise(self, covariances: Array) -> Array:
        """Return their covariances, (n, c, c)."""
        return covariances if self.threshold is None else np.pad(covariances, ((0, 0), (1, 0), (1, 0)))


def _weights(problem: LeastSquares) -> Array:
    """By how much the rows of the problem count in its loss, (N,)."""
    weights = np.ones(problem.samples) if problem.sample_weight is None else problem.sample_weight.astype(np.float64)
    if problem.drawn_by is not None and not problem.drawn_by.unbiased:
        weights = weights * problem.samples * problem.drawn_by.probabilities(problem.samples)
    return weights


def _values(targets: Array) -> Array | None:
    """The two values of one output; None for several."""
    if targets.shape[1] > 1:
        return None
    low, high = float(targets.min()), float(targets.max())
    if high - low <= _ROUNDING * max(abs(low), abs(high)):
        raise InvalidInput(
            f"an accuracy needs two labels at least, and the training targets are {low:g} alone. Train on data with "
            f"more than one label."
        )
    return np.array([low, high])


def _middle(values: Array | None) -> float | None:
    return None if values is None else float(values.mean())


def _columns(name: str, targets: Array, values: Array | None, counted: AnyArray) -> Ints:
    """The column of each label, (n,); 0 where a sample does not count."""
    hot = targets if values is None else (targets - values[0]) / (values[1] - values[0])
    column = hot.argmax(axis=1) if values is None else np.rint(np.clip(hot[:, 0], 0, 1)).astype(np.int64)
    expected = np.eye(hot.shape[1])[column] if values is None else column[:, None]
    wrong = (np.abs(hot - expected).max(axis=1) > _ROUNDING) & counted
    if wrong.any():
        raise _no_label(name, targets, int(np.argmax(wrong)), values)
    return np.where(counted, column, 0)


def _no_label(name: str, targets: Array, sample: int, values: Array | None) -> InvalidInput:
    row = ", ".join(f"{value:g}" for value in targets[sample, :4]) + (", ..." if targets.shape[1] > 4 else "")
    expected = (
        "a 1 in the column of the label and 0 elsewhere" if values is None else f"{values[0]:g} or {values[1]:g} alone"
    )
    return InvalidInput(
        f"an accuracy is of labels, and {name} hold ({row}) in sample {sample}, not {expected}. Train on labels, "
        f"fluctua.LeastSquares(inputs, labels), or on one column per label; values have a loss and no accuracy."
    )


def _refuse_misfit(problem: LeastSquares, inputs: Rows, targets: AnyArray) -> None:
    if inputs.shape[1] != problem.features:
        raise InvalidInput(
            f"inputs hold {inputs.shape[1]} features and the training data {problem.features}: prepare both alike."
        )
    if len(inputs) != len(targets):
        raise InvalidInput(
            f"inputs hold {len(inputs)} samples and labels {len(targets)}: every sample needs its label."
        )
    if targets.shape[1] != problem.outputs:
        raise InvalidInput(
            f"the training targets are {problem.outputs} columns of numbers, which name no labels, and labels have "
            f"{targets.shape[1]} column{'s' * (targets.shape[1] > 1)}. Give one column per output here too, or train "
            f"on labels: fluctua.LeastSquares(inputs, labels)."
        )
