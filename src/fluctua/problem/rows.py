"""Rows of data: their size, what is refused of them, and rows times the square roots of weights."""

from __future__ import annotations

import numpy as np

from .._arrays import AnyArray, Array, DType
from .._half import Rows
from .._validate.sizes import refuse_bytes
from ..errors import InvalidInput
from .moments import blocks

__all__ = [
    "magnitude",
    "refuse_degenerate",
    "refuse_large",
    "refuse_magnitude",
    "refuse_nothing",
    "refuse_scale",
    "refuse_scales",
    "refuse_single",
    "rows_times",
]

_LARGEST = {8: 1e70, 4: 1e8}  # magnitude by bytes: fourth powers, and sums of many, stay finite and normal


def rows_times(factors: Array, rows: Rows) -> Rows:
    """Return rows whose squares are multiplied by `factors`, in their own precision; those of 16 bits where read."""
    if not isinstance(rows, np.ndarray):
        return rows.scaled(np.sqrt(factors))
    return np.asarray(rows * np.sqrt(factors)[:, None], rows.dtype)


def refuse_nothing(inputs: Rows) -> None:
    """Refuse rows that are 0 wherever a sample counts."""
    if not magnitude(inputs):
        raise InvalidInput(
            "every sample with a weight above 0 has inputs of 0 alone: nothing can be learned from them."
        )


def refuse_scale(name: str, values: Rows) -> None:
    """Fourth powers of the inputs enter K, products of both the noise: they must stay inside the range of floats."""
    refuse_magnitude(name, magnitude(values), values.dtype)


def refuse_magnitude(name: str, largest: float, dtype: DType) -> None:
    """The same of values whose largest magnitude is known."""
    most = _LARGEST[dtype.itemsize]
    if largest > most or 0 < largest < 1 / most:
        raise InvalidInput(
            f"{name} have a largest magnitude of {largest:.3g}, outside {1 / most:.0e} to {most:.0e}: products of four "
            f"such {dtype} numbers leave the range of floats. Rescale them, to about 1."
        )


def refuse_scales(x: float, y: float) -> None:
    """The noise is as inputs times targets, the weights as targets over inputs; fourth powers of both are measured.

    `x` and `y` are their largest magnitudes.
    """
    most = _LARGEST[8]
    if x and y and not (1 / most <= x * y <= most and 1 / most <= y / x <= most):
        raise InvalidInput(
            f"inputs of magnitude {x:.3g} and targets of {y:.3g} have a product {x * y:.3g} and a ratio {y / x:.3g}, "
            f"and both must be from {1 / most:.0e} to {most:.0e}: fourth powers of gradients and weights leave the "
            f"range of floats. Rescale both, to about 1."
        )


def magnitude(values: Rows) -> float:
    """Return the largest absolute value, without a copy of the array."""
    if not isinstance(values, np.ndarray):
        return max(magnitude(values[rows]) for rows in blocks(*values.shape))
    return max(float(values.max()), -float(values.min()))


def refuse_large(features: int, outputs: int) -> None:
    """Refuse what could not be solved: the curvature and its modes are d x d, in float64, whatever N is."""
    needed = 8.0 * features * (4.0 * features + outputs)
    refuse_bytes(f"the curvature of {features:,} inputs", needed, "Use fewer inputs, such as their leading components.")


def refuse_single(samples: int) -> None:
    """Refuse batches that could only hold one sample again and again."""
    if samples < 2:
        raise InvalidInput(
            "a single sample has no gradient noise: every batch is the same and nothing fluctuates. "
            "Give at least two samples, and, where they have weights to be drawn by, two of them a weight above 0."
        )


def refuse_degenerate(inputs: Rows, targets: AnyArray) -> None:
    """Refuse rows of unequal number, a single one, and equal ones."""
    if len(inputs) != len(targets):
        raise InvalidInput(
            f"inputs hold {len(inputs)} samples and targets {len(targets)}: every sample needs its target. "
            f"Check that both were filtered alike."
        )
    refuse_single(len(inputs))
    if np.array_equal(inputs[0], inputs[-1]) and _all_alike(inputs):
        raise InvalidInput(
            f"the inputs are constant: all {len(inputs)} samples are equal, so nothing can be learned from them. "
            f"Check how the features were made."
        )


def _all_alike(inputs: Rows) -> bool:
    first = inputs[0]
    return all(bool((inputs[rows] == first).all()) for rows in blocks(*inputs.shape))
