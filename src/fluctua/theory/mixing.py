"""The fixed point of a linear map from a few applications of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._arrays import Array

__all__ = ["nearest"]

_ROUNDED = 1e-8


def nearest(history: Sequence[tuple[Array, Array]], weights: Array) -> Array:
    """Return the mixture of images that is nearest to being its own image (Anderson's).

    `history` are pairs of arguments and images, (k, n), the last the best; rows count alike, `weights`, (n,), in them.
    """
    _, image = history[-1]
    scale = (
        np.sqrt(weights) / np.maximum(np.linalg.norm(image * np.sqrt(weights), axis=1), np.finfo(float).tiny)[:, None]
    )
    rests = [((after - before) * scale).ravel() for before, after in history]
    if len(rests) == 1:
        return image
    steps = np.array([rests[-1] - rest for rest in rests[:-1]]).T
    shares = np.linalg.lstsq(steps, rests[-1], rcond=_ROUNDED)[0]
    for share, (_, former) in zip(shares, history[:-1], strict=True):
        image = image - share * (history[-1][1] - former)
    return np.asarray(image)
