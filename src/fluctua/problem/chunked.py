"""Samples that come in chunks, pass after pass: a problem that is never in memory as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np

from .._arrays import AnyArray, Array
from .._validate.targets import VALUES, Coding, Label
from .._validate.values import function, positive_int
from ..errors import InvalidInput
from .chunks import Survey, surveyed
from .least_squares import LeastSquares
from .minimum import Minimum
from .modes import Spectrum, spectrum
from .projected import ProjectedRows
from .rows import refuse_large, refuse_magnitude, refuse_scales, refuse_single
from .subsample import part

__all__ = ["chunked_problem"]

_HELD = 2**28  # bytes of projections up to which they are made once and kept


def chunked_problem(
    batches: Any,
    classes: Sequence[Label] | None,
    feedback_samples: int | None,
    progress: Callable[[str, float], None] | None,
) -> LeastSquares:
    """Return the problem of chunks; `LeastSquares.from_batches` documents it."""
    function("progress", progress, ("stage", "fraction"))
    if feedback_samples is not None:
        feedback_samples = positive_int("feedback_samples", feedback_samples)
    whole = _Chunked(surveyed(batches, classes, progress), classes)
    if feedback_samples is None or feedback_samples >= whole.samples:
        return whole
    return _Subsampled(whole, feedback_samples)


class _Chunked(LeastSquares):
    """Least squares on chunks of samples: what the first pass found stands in the place of passes."""

    def __init__(self, found: Survey, classes: Sequence[Label] | None) -> None:
        self.inputs, self.targets, moments = cast(Any, found.rows), found.targets, found.moments
        self.coding = VALUES if classes is None else Coding(tuple(classes))
        _refuse(found)
        self._gram, self.slope = moments.gram / moments.samples, moments.crossed / moments.samples
        self._minima, self._drawn = {}, {}

    @cached_property
    def spectrum(self) -> Spectrum:
        """Curvatures and modes of what was summed."""
        return spectrum(self.inputs, self._gram)

    @cached_property
    def projections(self) -> AnyArray:
        """Inputs in the modes, made once where they are few and in each pass where they are many."""
        lazy = ProjectedRows(self.inputs, self.modes)
        return np.asarray(lazy) if lazy.nbytes <= _HELD else cast(Any, lazy)

    @property
    def second_pass_square(self) -> Array | None:
        """Zeros for <|r|^2 x x^T>."""
        return np.zeros((self.features, self.features))


class _Subsampled(LeastSquares):
    """Some samples of a problem, which K is averaged over; W*, curvatures, modes and C are those of all."""

    population = 0

    def __init__(self, whole: LeastSquares, samples: int) -> None:
        self.whole, self.population, self.coding = whole, whole.samples, whole.coding
        small, _ = part(whole, whole.undecayed, samples)
        self.inputs, self.targets = small.inputs, small.targets
        self.spectrum, self.projections = small.spectrum, small.projections
        self._minima, self._drawn, self._count = {}, {}, samples

    def minimum(self, weight_decay: float = 0.0) -> Minimum:
        """That of all samples, with the residuals of some."""
        found = self.whole.minimum(weight_decay)
        if weight_decay not in self._minima:
            _, small = part(self.whole, found, self._count)
            self._minima[weight_decay] = Minimum(self, weight_decay, small.fit)
        return self._minima[weight_decay]

    @property
    def undecayed(self) -> Minimum:
        """The same without weight decay."""
        return self.minimum()

    def drawn(self, by: Any, importance: Array, factors: Array | None) -> LeastSquares:
        """Refuse: weights are of all samples, and some of them are here."""
        del by, importance, factors
        raise InvalidInput(
            f"feedback_samples = {self._count:,} draws samples evenly, and WeightedSampling has a weight for each of "
            f"all {self.population:,}. Leave feedback_samples out."
        )


def _refuse(found: Survey) -> None:
    """What `LeastSquares` refuses of arrays, of what was summed."""
    moments, rows = found.moments, found.rows
    refuse_single(moments.samples)
    if found.alike:
        raise InvalidInput(
            f"the inputs are constant: all {moments.samples} samples are equal, so nothing can be learned from them. "
            f"Check how the features were made."
        )
    refuse_magnitude("inputs", moments.largest_input, rows.dtype)
    refuse_magnitude("targets", moments.largest_target, found.targets.dtype)
    refuse_scales(moments.largest_input, moments.largest_target)
    refuse_large(moments.features, moments.outputs)
