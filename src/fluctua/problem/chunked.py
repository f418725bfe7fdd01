"""Samples that come in chunks, pass after pass: a problem that is never in memory as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np

from .._arrays import AnyArray, Array, DType
from .._validate.targets import VALUES, Coding, Label
from .._validate.values import function, positive_int
from ..errors import InvalidInput
from .chunks import Survey, surveyed
from .least_squares import LeastSquares
from .minimum import Minimum
from .modes import Spectrum, spectrum
from .products import Products
from .projected import ProjectedRows
from .rows import refuse_magnitude, refuse_scales, refuse_single
from .subsample import chosen_rows, fit_of

__all__ = ["chunked_problem", "in_chunks"]

P = TypeVar("P", bound=LeastSquares)

_FEWEST = 64  # samples that K is averaged over, for groups of 8 to tell its error
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
        feedback_samples = positive_int("feedback_samples", feedback_samples, minimum=_FEWEST)
    whole = in_chunks(_Chunked, batches, classes, progress)
    if feedback_samples is None or feedback_samples >= whole.samples:
        return whole
    return _Subsampled(whole, feedback_samples)


def in_chunks(
    kind: type[P], batches: Any, classes: Sequence[Label] | None, progress: Callable[[str, float], None] | None
) -> P:
    """Return a problem of a kind whose samples come in chunks: what the first pass found stands in it."""
    function("progress", progress, ("stage", "fraction"))
    found, problem = surveyed(batches, classes, progress, squares=kind.SQUARES), kind.__new__(kind)
    moments = found.moments
    problem.inputs, problem.targets = cast(Any, found.rows), found.targets
    labels = tuple(classes if classes is not None else getattr(batches, "classes", ()))
    problem.coding = Coding(labels) if labels else VALUES
    _refuse(found)
    problem._refuse_size()
    problem.longest, problem.slope = moments.longest, moments.crossed / moments.samples
    problem.gram = moments.gram / moments.samples if kind.SQUARES else None
    problem._minima, problem._drawn = {}, {}
    if isinstance(own := getattr(batches, "products", None), Products):
        problem.products = own
    return problem


class _Chunked(LeastSquares):
    """Least squares on chunks of samples: what the first pass found stands in the place of passes."""

    longest: float

    @cached_property
    def spectrum(self) -> Spectrum:
        """Curvatures and modes of what was summed, which they take the place of."""
        gram, self.gram = self.gram, None
        return spectrum(self.inputs, gram)

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

    def __init__(self, whole: _Chunked, samples: int) -> None:
        self.whole, self.population, self.coding = whole, whole.samples, whole.coding
        self._rows, self.spectrum = chosen_rows(whole, samples), whole.spectrum
        self.inputs = cast(Any, UnreadRows(samples, whole.features, whole.inputs.dtype))
        self.targets, self.projections = whole.targets[self._rows], whole.projections[self._rows]
        self._minima, self._drawn, self.feedback_samples = {}, {}, samples

    def minimum(self, weight_decay: float = 0.0) -> Minimum:
        """That of all samples, with the residuals of some."""
        found = self.whole.minimum(weight_decay)
        if found.weight_decay not in self._minima:
            self._minima[found.weight_decay] = Minimum(self, found.weight_decay, fit_of(found, self._rows))
        return self._minima[found.weight_decay]

    @property
    def undecayed(self) -> Minimum:
        """The same without weight decay."""
        return self.minimum()

    def largest_square(self, basis: Array | None = None) -> float:
        """The largest |x|^2 of all samples; of a part of x, that of those kept."""
        return self.whole.longest if basis is None else super().largest_square(basis)

    def drawn(self, by: Any, importance: Array, factors: Array | None) -> LeastSquares:
        """Refuse: weights are of all samples, and some of them are here."""
        del by, importance, factors
        raise InvalidInput(
            f"feedback_samples = {self.samples:,} draws samples evenly, and WeightedSampling has a weight for each of "
            f"all {self.population:,}. Leave feedback_samples out."
        )


class UnreadRows:
    """Inputs that were projected and not kept: whoever asks for them needs all samples."""

    ndim = 2

    def __init__(self, samples: int, features: int, dtype: DType) -> None:
        self.shape, self.dtype = (samples, features), dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> AnyArray:
        raise self._refusal

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        raise self._refusal

    @property
    def _refusal(self) -> InvalidInput:
        return InvalidInput(
            f"this needs the inputs of all samples, and with feedback_samples = {self.shape[0]:,} a problem has K from "
            f"some of them alone. Leave feedback_samples out of from_batches."
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
