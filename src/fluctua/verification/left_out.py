"""Estimates that are not linear in what groups of replicas found: their error and bias, each group left out in turn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._arrays import Array

__all__ = ["pseudo_values"]


def pseudo_values(groups: tuple[Array, ...], estimate: Callable[..., Array | float]) -> Array:
    """Return a value for each group, (g, ...), whose mean is the estimate without its first bias (Tukey's jackknife).

    The standard error of their mean is the estimate's. `estimate` takes the mean of each of `groups`, (g, ...), over
    the groups, or over all but one of them.
    """
    count = len(groups[0])
    sums = [each.sum(axis=0) for each in groups]
    whole = np.asarray(estimate(*(total / count for total in sums)))
    left = [
        np.asarray(estimate(*((total - each[k]) / (count - 1) for total, each in zip(sums, groups, strict=True))))
        for k in range(count)
    ]
    return np.asarray(count * whole - (count - 1) * np.array(left))
