"""Weights of samples: at least 0, finite, not all of them 0, and only their ratios count."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from ..errors import InvalidInput
from .values import real_array

__all__ = ["hold_length", "sample_weights"]

_LEAST = 1e-12  # of the mean: what is less and not 0 would never be felt, and its inverse leaves the range of floats


def sample_weights(name: str, values: ArrayLike) -> Array:
    """Return weights as an array over their mean, (n,), so that equal ones are 1."""
    given = real_array(name, values, ndim=1, shape="(samples,)").astype(np.float64)
    if given.min() < 0:
        bad = int(np.argmin(given))
        raise InvalidInput(f"{name} must be at least 0, got {given[bad]:g} at index {bad}.")
    if not given.any():
        raise InvalidInput(f"{name} are all 0, and no sample would count. Give at least one that is not.")
    scaled = given / given.max()  # a sum of large ones may leave the range of floats
    scaled /= scaled.mean()
    tiny = (scaled > 0) & (scaled < _LEAST)
    if tiny.any() or (given > 0).sum() > (scaled > 0).sum():
        bad = int(np.argmin(np.where(given > 0, given, np.inf)))
        raise InvalidInput(
            f"{name} holds {given[bad]:g} at index {bad}, less than {_LEAST:g} of the mean weight: such a sample "
            f"hardly counts, and squares of what it is multiplied by leave the range of floats. Use 0, or a larger one."
        )
    return np.asarray(scaled)


def hold_length(name: str, weights: Array, samples: int) -> None:
    """Raise `InvalidInput` unless there is a weight for each sample."""
    if len(weights) != samples:
        raise InvalidInput(f"{name} holds {len(weights)} weights for {samples} samples: every sample needs its own.")
