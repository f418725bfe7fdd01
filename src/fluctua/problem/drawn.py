"""A problem as a weighted sampling sees it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from .._arrays import AnyArray, Array
from .least_squares import LeastSquares
from .modes import Spectrum
from .rows import refuse_nothing, refuse_scale, refuse_single, rows_times

__all__ = ["Drawn"]


class Drawn(LeastSquares):
    """A problem as a sampling sees it: other rows, or the same rows of which some count more often."""

    population = 0

    def __init__(self, whole: LeastSquares, by: Any, importance: Array, factors: Array | None) -> None:
        self.inputs, self.targets, self.coding = whole.inputs, whole.targets, whole.coding
        self.sample_weight, self.population = whole.sample_weight, whole.population
        self.importance, self.drawn_by = importance, by
        self._minima, self._drawn = {}, {}
        self._alike = whole if factors is None else None
        if factors is not None:
            self.inputs, self.targets = rows_times(factors, self.inputs), np.asarray(rows_times(factors, self.targets))
            refuse_scale("inputs, as drawn,", self.inputs)
            refuse_nothing(self.inputs)
        refuse_single(int(np.count_nonzero(importance)))

    @cached_property
    def spectrum(self) -> Spectrum:
        """Those of the whole, where the rows are the same."""
        return super().spectrum if self._alike is None else self._alike.spectrum

    @cached_property
    def projections(self) -> AnyArray:
        """Those of the whole, where the rows are the same."""
        return super().projections if self._alike is None else self._alike.projections
