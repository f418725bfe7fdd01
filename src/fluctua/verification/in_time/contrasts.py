"""Contrasts between groups of replicas: a family of them tested together, and how far elements deviate one by one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..._arrays import Array, even, odd, standard_error
from ..significance import ROUNDING, unit_scores

__all__ = ["ELEMENT", "Family", "even", "odd", "standard_error", "z_rms"]

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


def z_rms(deviations: Array, floor: Array | float = 0.0) -> float:
    """Return the root mean square of the normal scores of elements, (g, ...); NaN without any.

    `floor` is the standard error of rounding of each.
    """
    scores = unit_scores(deviations.reshape(len(deviations), -1), np.ravel(floor) if np.ndim(floor) else floor)
    if not len(scores):
        return float("nan")  # one mode has no pairs
    return float(np.sqrt(np.mean(scores**2)))
