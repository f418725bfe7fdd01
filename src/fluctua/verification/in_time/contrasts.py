"""Contrasts between groups of replicas: a family of them tested together, and how far elements deviate one by one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..significance import ROUNDING, unit_scores

__all__ = ["ELEMENT", "Family", "even", "odd", "standard_error", "z_rms"]

Array = NDArray[np.float64]
ELEMENT = 1e-12
"""Rounding of an element over its size; measured: 1e-15."""


@dataclass
class Family:
    """Contrasts of groups of replicas: measured over predicted, (g,) each, one if theory is right."""

    columns: list[Array] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)
    relative: list[bool] = field(default_factory=list)

    def add(self, columns: Iterable[Array], relative: bool = False, left: float = 1.0) -> None:
        """Take in contrasts; `left` is what is left of numbers of order one in the difference that each is a ratio of.

        `relative`: their spread goes with their mean.
        """
        for column in columns:
            self.columns.append(column)
            self.floors.append(max(ROUNDING["float64"], ELEMENT / max(abs(left), 1e-300)))
            self.relative.append(relative)


def odd(matrices: Array) -> Array:
    """Return the antisymmetric part of matrices, (..., m, m)."""
    return np.asarray(0.5 * (matrices - np.swapaxes(matrices, -1, -2)))


def even(matrices: Array) -> Array:
    """Return the symmetric part of matrices, (..., m, m)."""
    return np.asarray(0.5 * (matrices + np.swapaxes(matrices, -1, -2)))


def standard_error(groups: Array) -> Array:
    """Return the standard error of the mean over the first axis; NaN for a single group."""
    if len(groups) < 2:
        return np.full(groups.shape[1:], np.nan)
    return np.asarray(groups.std(axis=0, ddof=1) / np.sqrt(len(groups)))


def z_rms(deviations: Array, floor: Array | float = 0.0) -> float:
    """Return the root mean square of the normal scores of elements, (g, ...); NaN without any.

    `floor` is the standard error of rounding of each.
    """
    scores = unit_scores(deviations.reshape(len(deviations), -1), np.ravel(floor) if np.ndim(floor) else floor)
    if not len(scores):
        return float("nan")  # one mode has no pairs
    return float(np.sqrt(np.mean(scores**2)))
