"""A problem made smaller for a search: fewer samples in K and only the modes that feed the noise."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .law import Law
from .problem import LeastSquares
from .sgd import SGD
from .start import Start
from .theory import Prediction

__all__ = ["SAMPLES", "SHARE", "Thinned", "final"]

Array = NDArray[np.float64]
SAMPLES, SHARE = 2048, 0.99
"""Of a search: what K is averaged over at most, and the part of mean |x|^2 in the modes that fluctuate."""


def final(problem: LeastSquares, sgd: SGD, steps: int, start: Start | None, rtol: float) -> Prediction:
    """Return the exact prediction at `steps` alone: `predict(...).after(steps)` without the stationary solution."""
    law = Law(problem, sgd, "exact")
    covariance, _ = law.relaxation(None if start is None else start.modes, steps, rtol).average([steps])
    return Prediction(law, covariance, (steps,), start, rtol)


class _Part(LeastSquares):
    """Some samples, of a larger set that batches are drawn from."""

    population = 0


class Thinned:
    """`whole`, with K averaged over some of the samples and felt in the steep modes only.

    W*, the curvatures, C and the drift of E V in every mode are those of `whole`; K is off by about 1/sqrt(samples),
    and the flat modes, with the last `1 - share` of mean |x|^2, do not fluctuate. For searches: good to about 1 %.

    Parameters
    ----------
    whole : LeastSquares
    weight_decay : float
    samples : int
        Chosen at random, always the same ones.
    share : float
        Of the trace of A that the kept modes have.
    """

    def __init__(self, whole: LeastSquares, weight_decay: float, samples: int, share: float) -> None:
        rows = np.sort(np.random.default_rng(0).permutation(whole.samples)[:samples])
        h, basis = whole.curvatures, whole.modes
        self.kept = min(len(h), 1 + int(np.searchsorted(np.cumsum(h), share * h.sum())))
        found, kept = whole.minimum(weight_decay), slice(self.kept)
        minimum = copy(found)
        minimum.noise = found.noise[kept, kept]
        minimum.mode_weights = found.mode_weights[:, kept]
        minimum.residuals, minimum.squared_residuals = found.residuals[rows], found.squared_residuals[rows]
        small = minimum.problem = _Part.__new__(_Part)
        small.population = whole.population
        small.inputs, small.targets = whole.inputs[rows], whole.targets[rows]
        small.projections = np.ascontiguousarray(whole.projections[rows, kept])
        small.__dict__.update(_spectrum=(h[kept], basis[:, kept]), _minima={weight_decay: minimum})
        self.whole, self.problem = whole, small

    def final(self, sgd: SGD, steps: int, start: Start | None, rtol: float) -> Prediction:
        """Return an estimate of the prediction at `steps`."""
        begin = None if start is None else replace(start, modes=start.modes[:, : self.kept])
        inside = final(self.problem, sgd, steps, begin, rtol).mode_covariance
        law, r = Law(self.whole, sgd, "exact"), self.whole.rank
        mean = np.zeros((1, r)) if start is None else start.modes * law.motion(steps).drift(steps)
        covariance = mean.T @ mean
        covariance[: self.kept, : self.kept] = inside
        return Prediction(law, covariance, (steps,), start, rtol)

    def curve(self, sgd: SGD, steps: NDArray[np.int64], start: Start, rtol: float) -> Array:
        """Return an estimate of E L(W_t) at the given steps; plain SGD from a start inside the modes."""
        law, h = Law(self.problem, sgd, "exact"), self.whole.minimum(sgd.weight_decay).curvatures
        relaxation = law.relaxation(start.modes[:, : self.kept], int(steps[-1]), rtol)
        inside = relaxation.average([int(steps[-1])], 0.5 * h[: self.kept])[1][steps]
        rest = Law(self.whole, sgd, "exact").motion(int(steps[-1])).drift(steps)[:, self.kept :] ** 2
        outside = 0.5 * rest @ (h[self.kept :] * np.square(start.modes[:, self.kept :]).sum(axis=0))
        return np.asarray(law.minimum.loss + inside + outside)
