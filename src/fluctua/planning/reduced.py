"""A problem made smaller for a search: fewer samples in K and only the modes that feed the noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np

from .._arrays import Array
from ..kernels.time_varying import course
from ..problem.least_squares import LeastSquares
from ..problem.reduced_basis import Sources
from ..problem.start import Start
from ..problem.subsample import part
from ..recipe.averages import Average
from ..recipe.sgd import SGD, Recipe
from ..theory.answers import Prediction
from ..theory.law import Law
from ..theory.moments import Moments
from ..theory.overflow import overflowing
from ..theory.reshuffling.anticorrelated import AnticorrelatedRun
from ..theory.transient import Relaxation

__all__ = ["SAMPLES", "SHARE", "EpochEstimate", "Thinned", "final"]

_AT_ONCE = 2**10  # steps of a curve
_ROUGH = 1e-2  # of what the noise feels of a state in shuffled epochs, left out
SAMPLES, SHARE = 2048, 0.99
"""Of a search: what K is averaged over at most, and the part of mean |x|^2 in the modes that fluctuate."""


def final(
    problem: LeastSquares,
    sgd: Recipe,
    steps: int,
    start: Start | None,
    rtol: float,
    rough: bool = False,
    average: Average | None = None,
) -> Prediction:
    """Return the prediction at `steps` alone: `predict(...).after(steps)` without the stationary solution.

    If `rough`, for a search, shuffled epochs are expanded even where that is off by more than a few per cent.
    """
    law = Law(problem, sgd, "exact", average, rough=rough)
    relaxation = law.relaxation(None if start is None else start.modes, steps, rtol)
    mean = None if isinstance(relaxation, Relaxation) else relaxation.means([steps])
    return Prediction(law, Moments(relaxation.average([steps])[0], mean), (steps,), start, rtol)


class EpochEstimate:
    """Ends of runs in shuffled epochs as `AnticorrelatedRun` estimates them, for a search: sources are asked for once.

    Parameters
    ----------
    problem : LeastSquares
    weight_decay : float
        That of every recipe.
    rtol : float
        Of what the noise feels of a state.
    """

    def __init__(self, problem: LeastSquares, weight_decay: float, rtol: float) -> None:
        self.problem, self.sources = problem, Sources(problem.minimum(weight_decay), rtol)

    def final(self, sgd: SGD, steps: int, start: Start | None, rtol: float) -> Prediction:
        """Return an estimate of the prediction at `steps`."""
        law, minimum = Law(self.problem, sgd, "exact"), self.sources.minimum
        mean = np.zeros((self.problem.outputs, self.problem.rank)) if start is None else start.modes
        ways, sizes = course(minimum.curvatures, sgd, None, steps), sgd.batch_sizes(self.problem.population)
        with overflowing():  # beyond the limit
            covariance, moved = AnticorrelatedRun(ways, sizes, self.sources, mean).after(steps)
        return Prediction(law, Moments(covariance, moved), (steps,), start, rtol)


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
        h = whole.curvatures
        self.kept = min(len(h), 1 + int(np.searchsorted(np.cumsum(h), share * h.sum())))
        self.whole, self.weight_decay = whole, weight_decay
        self.problem, _ = part(whole, whole.minimum(weight_decay), samples, slice(self.kept))

    @cached_property
    def _epochs(self) -> EpochEstimate:
        return EpochEstimate(self.problem, self.weight_decay, _ROUGH)

    def final(self, sgd: SGD, steps: int, start: Start | None, rtol: float) -> Prediction:
        """Return an estimate of the prediction at `steps`."""
        begin = None if start is None else replace(start, modes=start.modes[:, : self.kept])
        if sgd.epochs:
            inside = self._epochs.final(sgd, steps, begin, rtol).mode_covariance
        else:
            inside = final(self.problem, sgd, steps, begin, rtol).mode_covariance
        law, r = Law(self.whole, sgd, "exact"), self.whole.rank
        mean = np.zeros((1, r)) if start is None else start.modes * law.motion(steps).drift(steps)
        covariance = mean.T @ mean
        covariance[: self.kept, : self.kept] = inside
        return Prediction(law, Moments(covariance), (steps,), start, rtol)

    def curve(self, sgd: SGD, last: int, start: Start, rtol: float) -> Iterator[Array]:
        """Yield estimates of E L(W_t) from t = 0 to `last`, some steps at a time; plain SGD, a start in the modes."""
        law, h = Law(self.problem, sgd, "exact"), self.whole.minimum(sgd.weight_decay).curvatures
        relaxation = law.relaxation(start.modes[:, : self.kept], last, rtol)
        assert isinstance(relaxation, Relaxation)
        motion, now = Law(self.whole, sgd, "exact").motion(last), 0
        left = 0.5 * h[self.kept :] * np.square(start.modes[:, self.kept :]).sum(axis=0)
        for piece in relaxation.curve(last, 0.5 * h[: self.kept]):
            for cut in range(0, len(piece), _AT_ONCE):
                inside = piece[cut : cut + _AT_ONCE]
                rest = motion.drift(np.arange(now, now + len(inside)))[:, self.kept :] ** 2
                yield law.minimum.loss + inside + rest @ left
                now += len(inside)
