"""What is predicted of the cells of a sweep: what several of them share is found once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any, TypeVar

import numpy as np

from .._arrays import Array
from .._validate.arguments import door
from ..errors import NotConverged, UnstableSGD
from ..problem.least_squares import LeastSquares
from ..problem.start import Start
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from ..theory.answers import Prediction, predict
from ..theory.law import Law
from ..theory.stability import max_stable_lr
from ..theory.stable_limit import StableLimit
from .passages import first_passage, losses_of
from .reduced import final
from .rehearsal import FEWEST
from .sweep_cells import Predicted

__all__ = ["MOST", "Forecast", "forecast_of", "replicas_for"]

_RTOL = 1e-3  # of the worst mode's variance; the loss is then good to 1e-5
_ERROR = 0.02  # of the excess loss: the standard error that the default number of replicas is to give
MOST = 256
"""Replicas of a cell at most, where their number is not given."""
Found = TypeVar("Found")


@dataclass
class Forecast:
    """Predictions for one problem, start, average and target.

    Attributes
    ----------
    problem : LeastSquares
    start : str or ndarray, (c, d)
    average : Average or None
    target : float or None
        Expected loss.
    longest : int
        Steps after which a target counts as never reached.
    """

    problem: LeastSquares
    start: Array | str
    average: Average | None
    target: float | None
    longest: int
    _limits: dict[str, StableLimit] = field(default_factory=dict)

    def hold(self, sgd: Recipe) -> None:
        """Refuse what no law covers."""
        Law(self.problem, sgd, "exact", self.average)
        self.begin(sgd)

    def losses(self, sgd: Recipe) -> tuple[float, float]:
        """Return the loss at W* and that at the start."""
        minimum, begin = sgd.seen(self.problem).minimum(sgd.weight_decay), self.begin(sgd)
        if begin is None:
            return minimum.loss, minimum.loss
        return minimum.loss, minimum.loss + 0.5 * float(minimum.curvatures @ np.square(begin.modes).sum(axis=0))

    def of(self, sgd: Recipe, steps: int | None) -> Predicted:
        """Return what is predicted of a cell with a budget of `steps`."""
        limit, scheduled = self.limit(sgd), sgd.schedule is not None
        peak = sgd.lr if sgd.schedule is None else float(sgd.rates(np.arange(steps or 1)).max())
        optimum = sgd.seen(self.problem).minimum(sgd.weight_decay).loss
        share, stable = peak / limit, peak < limit
        if not (stable or scheduled):
            beyond = float("inf")
            end_of, reached = (None if each is None else beyond for each in (steps, self.target))
            return Predicted(optimum, limit, share, beyond, end_of, reached, None)
        rest = None if scheduled else _or_none(lambda: predict(self.problem, sgd, average=self.average))
        floor = None if rest is None else _or_none(lambda: _held(rest.excess_loss))
        end = None if steps is None else _or_none(lambda: self._end(sgd, steps))
        passed = None if self.target is None else _or_none(lambda: self._passage(sgd, steps))
        excess = None if end is None else _held(end.excess_loss)
        runs = replicas_for(end, steps) if stable and end is not None and steps is not None else None
        return Predicted(optimum, limit, share, floor, excess, passed, runs, inflation=_inflation(rest))

    def limit(self, sgd: Recipe) -> StableLimit:
        """Return the largest stable learning rate, found once for all cells that differ in their rate alone."""
        if (rest := _but_for_its_rate(sgd)) not in self._limits:
            self._limits[rest] = max_stable_lr(self.problem, sgd)
        return self._limits[rest]

    def know(self, sgd: Recipe, limit: StableLimit) -> None:
        """Take in a limit that was found elsewhere."""
        self._limits[_but_for_its_rate(sgd)] = limit

    def unknown_limits(self, recipes: Sequence[Recipe]) -> list[Recipe]:
        """Return of these recipes one for each limit that is not known yet."""
        found = {_but_for_its_rate(sgd): sgd for sgd in reversed(recipes)}
        return [sgd for rest, sgd in reversed(found.items()) if rest not in self._limits]

    def begin(self, sgd: Recipe) -> Start | None:
        """Return the start, seen from the recipe's optimum."""
        return Start.at(sgd.seen(self.problem).minimum(sgd.weight_decay), self.start)

    def _end(self, sgd: Recipe, steps: int) -> Prediction:
        return final(self.problem, sgd, steps, self.begin(sgd), _RTOL, average=self.average)

    def _passage(self, sgd: Recipe, steps: int | None) -> float:
        assert self.target is not None
        last = self.longest if sgd.schedule is None or steps is None else steps
        curve = losses_of(Law(self.problem, sgd, "exact", self.average), self.begin(sgd), last)
        return first_passage(curve, self.target)[0]


@singledispatch
def forecast_of(problem: Any, start: Array | str, average: Average | None, longest: int) -> Forecast:
    """Return the predictions for a problem, without a target yet; each kind of problem may register its own."""
    door(problem)
    return Forecast(problem, start, average, None, longest)


def replicas_for(found: Prediction, steps: int) -> int:
    """Return how many runs give the mean excess loss after `steps` to about 2 %, of 16 to 256.

    Of Gaussian weights, S_oo' being the covariance of two outputs' and m_o their mean, the loss has the variance
    sum_oo' tr(H S_oo' H S_o'o)/2 + sum_o m_o H S_oo H m_o; outputs are taken to fluctuate as the residuals do.
    """
    h, law, mean = found.curvatures, found.law, _mean(found, steps)
    fluctuation = found.mode_covariance - mean.T @ mean
    residuals = np.asarray(law.minimum.residuals, np.float64)
    shared = residuals.T @ residuals
    norm = float(np.vdot(shared, shared))
    outputs = float(np.trace(shared)) ** 2 / norm if norm else 1.0
    felt = h[:, None] * fluctuation
    variance = float(np.vdot(felt, felt.T)) / (2 * outputs)
    variance += float(np.vdot((mean * h) @ fluctuation, mean * h)) / law.problem.outputs
    if not (found.excess_loss > 0 and np.isfinite(variance)):
        return FEWEST
    return int(np.clip(np.ceil(variance / (_ERROR * found.excess_loss) ** 2), FEWEST, MOST))


def _mean(found: Prediction, steps: int) -> Array:
    """E V of what is looked at, in the modes, (c, r)."""
    law, moments = found.law, found.moments
    if moments is not None and moments.mean is not None:
        return moments.mean
    if found.start is None:
        return np.zeros((law.problem.outputs, law.problem.rank))
    return np.asarray(found.start.modes * law.motion(steps).drift(steps, observed=True))


def _inflation(rest: Prediction | None) -> float | None:
    """Of a sampler at rest the variance over the target's in the mode where it is farthest from 1."""
    if rest is None or not rest.law.sgd.step.temperature:
        return None
    return float(max(rest.inflation, key=lambda each: abs(np.log(each))))


def _but_for_its_rate(sgd: Recipe) -> str:
    return json.dumps({**sgd.to_dict(), "lr": None, "schedule": None}, sort_keys=True)


def _held(excess: float) -> float | None:
    """An excess loss that is a number; beyond the range of floats it is infinite."""
    return None if np.isnan(excess) else float(excess)


def _or_none(find: Callable[[], Found]) -> Found | None:
    """What is found; nothing where it is not, as near the limit of shuffled epochs."""
    try:
        return find()
    except (NotConverged, UnstableSGD):
        return None
