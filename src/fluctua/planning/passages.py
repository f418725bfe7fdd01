"""When an expected loss first passes a target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from .._arrays import Array
from ..problem.start import Start
from ..theory.law import Law
from ..theory.readings import outside
from ..theory.transient import Relaxation

__all__ = ["first_passage", "losses_of"]

_FIRST = 2**10  # steps of a curve in shuffled epochs, followed for longer and longer
_RTOL = 1e-2  # of the worst mode's variance


def first_passage(pieces: Iterable[Array], target: float) -> tuple[float, float]:
    """Return the step at which a curve, piece by piece from t = 0, is first at or below `target`, and its least loss.

    Linear in the loss between two steps; infinite where it does not pass.
    """
    now, before, least = 0, np.inf, np.inf
    for losses in pieces:
        below = np.flatnonzero(losses <= target)
        if below.size:
            first = int(below[0])
            if now + first == 0:
                return 0.0, float(losses[0])
            above = losses[first - 1] if first else before
            return now + first - float((target - losses[first]) / (above - losses[first])), float(losses[first])
        now, before, least = now + len(losses), losses[-1], min(least, float(losses.min()))
    return float("inf"), least


def losses_of(law: Law, start: Start | None, last: int) -> Iterator[Array]:
    """Yield E L(W_t) from t = 0 to `last`, some steps at a time; those that are not asked for cost little."""
    weights, now = 0.5 * law.minimum.curvatures, 0
    for piece in _curve(law, start, last, weights):
        steps = np.arange(now, now + len(piece))
        yield law.minimum.loss + piece + outside(law, start, steps)
        now += len(piece)


def _curve(law: Law, start: Start | None, last: int, weights: Array) -> Iterator[Array]:
    """The part of the loss in the modes, less that at the optimum."""
    mean, now = None if start is None else start.modes, 0
    if not law.sgd.epochs:
        relaxation = law.relaxation(mean, last, _RTOL)
        assert isinstance(relaxation, Relaxation)
        yield from relaxation.curve(last, weights)
        return
    reach = min(_FIRST, last)
    while True:
        curve = law.relaxation(mean, reach, _RTOL).average([reach], weights)[1]
        yield curve[now:]
        if reach == last:
            return
        now, reach = reach + 1, min(4 * reach, last)
