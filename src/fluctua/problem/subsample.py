"""Problems made of another whose moments they know: some samples and some modes of it, or a sum of its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .._arrays import AnyArray, Array, Ints
from .._half import Rows
from .._validate.values import shaped
from .known_fit import Fit
from .least_squares import LeastSquares
from .minimum import Minimum
from .modes import Spectrum

__all__ = ["chosen_rows", "combined", "fit_of", "groups", "part", "part_of_all"]

_ALL = slice(None)


class _Derived(LeastSquares):
    """Samples whose curvatures, modes and fits are given, in the place of averages over these samples.

    The whole that they are made of has been through the door of `LeastSquares`, so that nothing is checked again.
    """

    population = 0

    def __init__(
        self,
        whole: LeastSquares,
        samples: tuple[Rows, AnyArray],
        rows: slice | Ints,
        spectrum: Spectrum,
        projections: AnyArray,
        fits: Mapping[float, Fit],
    ) -> None:
        self.inputs, self.targets = samples
        self.coding, self.population, self.drawn_by = whole.coding, whole.population, whole.drawn_by
        weights = whole.sample_weight, whole.importance
        self.sample_weight, self.importance = (None if each is None else each[rows] for each in weights)
        self._drawn = {}
        self.spectrum, self.projections = spectrum, projections
        self._minima = {gamma: Minimum(self, gamma, fit) for gamma, fit in fits.items()}


def part(
    problem: LeastSquares, minimum: Minimum, samples: int, modes: slice = _ALL, *, own_noise: bool = False
) -> tuple[LeastSquares, Minimum]:
    """Return a problem whose averages over samples are over `samples` of them, and its minimum.

    W* and the curvatures are those of the whole, and so is C, unless it is to be the part's `own_noise`, which costs no
    pass over all samples; K is off by about 1/sqrt(samples). The samples are chosen at random, always the same ones;
    all of them where there are no more.
    """
    if samples >= problem.samples and modes == _ALL:
        return problem, minimum
    small = _of_rows(problem, [minimum], chosen_rows(problem, samples), modes, own_noise)
    return small, small.minimum(minimum.weight_decay)


def part_of_all(problem: LeastSquares, minima: Sequence[Minimum], samples: int, modes: slice) -> LeastSquares:
    """Return such a part with its own noise and the minima at several weight decays, which share its samples."""
    return _of_rows(problem, minima, chosen_rows(problem, samples), modes, True)


def chosen_rows(problem: LeastSquares, samples: int) -> Ints:
    """Return which samples stand for all: so many, chosen at random, always the same ones."""
    return np.sort(np.random.default_rng(0).permutation(problem.samples)[:samples])


def groups(problem: LeastSquares, weight_decay: float, count: int) -> list[LeastSquares]:
    """Return `count` problems that share out the samples which K is averaged over, and have all else of `problem`."""
    minimum = problem.minimum(weight_decay)
    chosen = [np.arange(k, problem.samples, count) for k in range(count)]
    return [_of_rows(problem, [minimum], rows, _ALL, False) for rows in chosen]


def fit_of(minimum: Minimum, rows: Ints, modes: slice = _ALL, *, own_noise: bool = False) -> Fit:
    """Return what a minimum is made of, for some of its samples and modes."""
    return minimum.fit._replace(
        mode_weights=minimum.mode_weights[:, modes],
        residuals=minimum.residuals[rows],
        squared_residuals=minimum.squared_residuals[rows],
        noise=None if own_noise else minimum.noise[modes, modes],
    )


def _of_rows(
    problem: LeastSquares, minima: Sequence[Minimum], rows: Ints, modes: slice, own_noise: bool
) -> LeastSquares:
    fits = {minimum.weight_decay: fit_of(minimum, rows, modes, own_noise=own_noise) for minimum in minima}
    spectrum = problem.spectrum._replace(curvatures=problem.curvatures[modes], modes=problem.modes[:, modes])
    projections = np.ascontiguousarray(problem.projections[rows, modes])
    inputs = projections if problem.feedback_samples else problem.inputs[rows]
    return _Derived(problem, (inputs, problem.targets[rows]), rows, spectrum, projections, fits)


def combined(problem: LeastSquares, minimum: Minimum, coefficients: Array) -> LeastSquares:
    """Return the problem of one output, the sum of all with `coefficients`, (c,); what the inputs say is shared.

    Its W*, residuals and fluctuation are the same sums of those of `problem` and of its `minimum`.
    """
    coefficients = shaped("coefficients", coefficients, (problem.outputs,))
    targets = (problem.targets @ coefficients.astype(problem.targets.dtype))[:, None]
    fits = {minimum.weight_decay: _summed(minimum, coefficients)}
    return _Derived(problem, (problem.inputs, targets), _ALL, problem.spectrum, problem.projections, fits)


def _summed(minimum: Minimum, coefficients: Array) -> Fit:
    """The fit of one output that is the sum of all with `coefficients`, (c,)."""
    found, modes = coefficients[None] @ minimum.weights, coefficients[None] @ minimum.mode_weights
    residuals, dtype = minimum.residuals.astype(np.float64) @ coefficients, minimum.residuals.dtype
    loss = 0.5 * (float((residuals**2).mean()) + minimum.weight_decay * float(np.sum(found**2)))
    return Fit(found, modes, residuals[:, None].astype(dtype), residuals**2, loss, minimum.interpolates)
