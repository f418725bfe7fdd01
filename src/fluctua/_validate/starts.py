"""Where a run starts: the word for a place, or weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from ..errors import InvalidInput
from .values import choice, real_array

__all__ = ["start_weights"]


def start_weights(start: ArrayLike | str, shape: tuple[int, int]) -> Array | None:
    """Return W(0), (c, d), of "zero" or of weights of that shape; None of "optimum".

    Raises
    ------
    InvalidInput
        For another word, and for weights of another shape.
    """
    if isinstance(start, str):
        return None if choice("start", start, ("optimum", "zero")) == "optimum" else np.zeros(shape)
    weights = real_array("start", start, ndim=2, shape="(outputs, features)").astype(np.float64, copy=False)
    if weights.shape != shape:
        raise InvalidInput(f"start must have the weights' shape {shape}, got {weights.shape}.")
    return weights
