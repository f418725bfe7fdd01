"""Some samples, and some modes, of a problem, that know the moments of the whole."""

from __future__ import annotations

from copy import copy

import numpy as np

from .least_squares import LeastSquares, Minimum

__all__ = ["part"]

_ALL = slice(None)


class _Part(LeastSquares):
    """Some samples, of a larger set that batches are drawn from."""

    population = 0


def part(problem: LeastSquares, minimum: Minimum, samples: int, modes: slice = _ALL) -> tuple[LeastSquares, Minimum]:
    """Return a problem whose averages over samples are over `samples` of them, and its minimum.

    W*, the curvatures and C are those of the whole; K is off by about 1/sqrt(samples). The samples are chosen at
    random, always the same ones; all of them where there are no more.
    """
    if samples >= problem.samples and modes == _ALL:
        return problem, minimum
    rows = np.sort(np.random.default_rng(0).permutation(problem.samples)[:samples])
    found = copy(minimum)
    found.noise = minimum.noise[modes, modes]
    found.mode_weights = minimum.mode_weights[:, modes]
    found.residuals, found.squared_residuals = minimum.residuals[rows], minimum.squared_residuals[rows]
    small = found.problem = _Part.__new__(_Part)
    small.population, small.drawn_by = problem.population, problem.drawn_by
    small.importance = None if problem.importance is None else problem.importance[rows]
    small.inputs, small.targets = problem.inputs[rows], problem.targets[rows]
    small.projections = np.ascontiguousarray(problem.projections[rows, modes])
    spectrum = problem.spectrum._replace(curvatures=problem.curvatures[modes], modes=problem.modes[:, modes])
    small.__dict__.update(spectrum=spectrum, _minima={minimum.weight_decay: found})
    return small, found
