"""Data that the laws cannot be computed of: what is refused before any work starts, and why."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validate.sizes import refuse_bytes
from ..errors import InvalidInput

__all__ = ["magnitude", "refuse_degenerate", "refuse_large", "refuse_scale", "refuse_scales"]

_LARGEST = {8: 1e70, 4: 1e8}  # magnitude by bytes: fourth powers, and sums of many, stay finite and normal


def refuse_scale(name: str, values: NDArray[Any]) -> None:
    """Fourth powers of the inputs enter K, products of both the noise: they must stay inside the range of floats."""
    largest, most = magnitude(values), _LARGEST[values.dtype.itemsize]
    if largest > most or 0 < largest < 1 / most:
        raise InvalidInput(
            f"{name} have a largest magnitude of {largest:.3g}, outside {1 / most:.0e} to {most:.0e}: products of four "
            f"such {values.dtype} numbers leave the range of floats. Rescale them, to about 1."
        )


def refuse_scales(inputs: NDArray[Any], targets: NDArray[Any]) -> None:
    """The noise is as inputs times targets, the weights as targets over inputs; fourth powers of both are measured."""
    (x, y), most = (magnitude(inputs), magnitude(targets)), _LARGEST[8]
    if x and y and not (1 / most <= x * y <= most and 1 / most <= y / x <= most):
        raise InvalidInput(
            f"inputs of magnitude {x:.3g} and targets of {y:.3g} have a product {x * y:.3g} and a ratio {y / x:.3g}, "
            f"and both must be from {1 / most:.0e} to {most:.0e}: fourth powers of gradients and weights leave the "
            f"range of floats. Rescale both, to about 1."
        )


def magnitude(values: NDArray[Any]) -> float:
    """Return the largest absolute value, without a copy of the array."""
    return max(float(values.max()), -float(values.min()))


def refuse_large(features: int, outputs: int) -> None:
    """Refuse what could not be solved: the curvature and its modes are d x d, in float64, whatever N is."""
    needed = 8.0 * features * (4.0 * features + outputs)
    refuse_bytes(f"the curvature of {features:,} inputs", needed, "Use fewer inputs, such as their leading components.")


def refuse_degenerate(inputs: NDArray[Any], targets: NDArray[Any]) -> None:
    """Refuse data that no loss can be made of, or none that fluctuates."""
    if len(inputs) != len(targets):
        raise InvalidInput(
            f"inputs hold {len(inputs)} samples and targets {len(targets)}: every sample needs its target. "
            f"Check that both were filtered alike."
        )
    if len(inputs) < 2:
        raise InvalidInput(
            "a single sample has no gradient noise: every batch is the same and nothing fluctuates. "
            "Give at least two samples."
        )
    if np.array_equal(inputs[0], inputs[-1]) and bool((inputs == inputs[0]).all()):
        raise InvalidInput(
            f"the inputs are constant: all {len(inputs)} samples are equal, so nothing can be learned from them. "
            f"Check how the features were made."
        )
