"""The learning rate with the least loss at the end, for one budget, one start and one objective."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike

from ..errors import NotConverged
from ..problem.least_squares import LeastSquares
from ..problem.start import Start
from ..recipe.schedules import SHAPES
from ..recipe.sgd import SGD
from ..theory.answers import Prediction
from ..theory.held_out_form import HeldOut
from ..theory.stability import independent_batches, max_stable_lr
from ..theory.stable_limit import StableLimit
from .candidates import Candidate
from .rates import Stages, edge, minimised, rounded
from .reduced import SAMPLES, SHARE, EpochEstimate, Thinned, final

__all__ = ["TOLERANCE", "Search"]

_LARGE = 2**20  # samples times modes, from which a search is thinned
_SEARCH_RTOL, _RTOL = 3e-2, 1e-2  # of the worst mode's variance; the loss is some 30 times as accurate
TOLERANCE = 0.15  # of log lr: about the optimum the loss is flat
_EPOCHS = 1000  # that are followed one by one where their steps are all alike, at most
_EPOCHS_RTOL = 1e-2  # of what noise feels of a state in shuffled epochs, left out in a search
_AT_EDGE = 1e-6  # of log lr: what rounding makes of the largest rate that is tried
_WIDEST = 5.0  # log range in which the rate is sought
_SCANNED, _FINE, _SWING = 10, 100, 1e-2  # places looked at first with momentum; many where a swing above this remains
_TINY = np.finfo(float).tiny  # of a loss that has decayed beyond the range of floats


def _mixed_limit(problem: LeastSquares, recipe: SGD) -> StableLimit:
    """The limit of independent batches that are as noisy as those of an epoch are on average."""
    sizes = recipe.batch_sizes(problem.population)
    mean = replace(recipe, batch_size=max(1, round(len(sizes) / float(np.sum(1 / sizes)))))
    return StableLimit(float(max_stable_lr(problem, independent_batches(mean))), "independent batches")


class Search:
    """One budget, one start, one objective."""

    def __init__(
        self,
        whole: LeastSquares,
        weight_decay: float,
        steps: int,
        start: Start | None,
        held_out: tuple[ArrayLike, ArrayLike] | None,
    ) -> None:
        self.whole, self.steps, self.start, self.stages = whole, steps, start, Stages(1, None)
        self.weight_decay = weight_decay
        self.thin = Thinned(whole, weight_decay, SAMPLES, SHARE) if whole.samples * whole.rank > _LARGE else None
        minimum = whole.minimum(weight_decay)
        self.held = None if held_out is None else HeldOut(whole, minimum, *held_out)
        self.optimum_loss = minimum.loss if self.held is None else self.held.optimum
        self.limits: dict[float, StableLimit] = {}
        self.ends: dict[SGD, Prediction] = {}  # by the law
        self.near: list[float] = []  # logs of the best learning rates without momentum

    def loss(self, sgd: SGD, settled: bool = True, rough: bool = False) -> float:
        """Return the expected loss at the end; an estimate, on large data and in shuffled epochs, unless `settled`.

        If `rough`, shuffled epochs are expanded even where that is off by more than a few per cent.
        """
        self.stages.evaluated()
        prediction = self._by_the_law(sgd, rough) if settled else self._estimated(sgd)
        if self.held is None:
            return prediction.optimum_loss + prediction.excess_loss
        return self.held.optimum + self.held.excess(prediction)

    def _by_the_law(self, sgd: SGD, rough: bool) -> Prediction:
        self.ends[sgd] = final(self.whole, sgd, self.steps, self.start, _RTOL, rough)
        return self.ends[sgd]

    def end(self, sgd: SGD, settled: bool) -> Prediction:
        """Return the prediction at the end, as it was found by the law or anew as an estimate."""
        return self.ends[sgd] if settled else self._estimated(sgd)

    def _estimated(self, sgd: SGD) -> Prediction:
        if self.thin is not None:
            return self.thin.final(sgd, self.steps, self.start, _SEARCH_RTOL)
        if sgd.epochs and not (sgd.schedule is None and self._long(sgd)):
            return self._in_epochs.final(sgd, self.steps, self.start, _SEARCH_RTOL)
        return final(self.whole, sgd, self.steps, self.start, _SEARCH_RTOL, rough=True)

    def _long(self, sgd: SGD) -> bool:
        """Whether epochs are so many that the law, which follows few of those that are alike, is the cheaper one."""
        return self.steps > _EPOCHS * len(sgd.batch_sizes(self.whole.population))

    @cached_property
    def _in_epochs(self) -> EpochEstimate:
        return EpochEstimate(self.whole, self.weight_decay, _EPOCHS_RTOL)

    def limit(self, recipe: SGD) -> StableLimit:
        """Return the largest stable learning rate, or an estimate of it."""
        problem = self.whole if self.thin is None else self.thin.problem
        return _mixed_limit(problem, recipe) if recipe.epochs else max_stable_lr(problem, recipe)

    def top(self, recipe: SGD) -> float:
        """Return the log of the largest rate that is tried."""
        if recipe.momentum not in self.limits:
            self.limits[recipe.momentum] = self.limit(recipe)
        return float(np.log(edge(recipe) * self.limits[recipe.momentum]))

    def best(self, recipe: SGD, shape: str) -> Candidate:
        """Minimise over the learning rate: where other schedules suggest, or where a scan does."""
        scheduled = replace(recipe, schedule=SHAPES[shape](self.steps))
        top = self.top(recipe)
        place, loss = (self._scanned if recipe.step.slots > 1 else self._led)(scheduled, top)
        self.stages.ended()
        return Candidate(self.at(scheduled, place), shape, loss, exact=False, at_edge=place > top - _AT_EDGE)

    def at(self, sgd: SGD, place: float) -> SGD:
        """Return the recipe with the rate at a log rate, of few digits and not beyond the largest that is tried."""
        lr = rounded(float(np.exp(place)), float(np.exp(self.top(sgd))), 3 if self._remembers(sgd) else 2)
        return replace(sgd, lr=lr)

    def _scanned(self, sgd: SGD, top: float) -> tuple[float, float]:
        """The best place and its loss with momentum: the minimum nearest to the best of a scan."""
        places = np.linspace(top - _WIDEST, top, _FINE if self._remembers(sgd) else _SCANNED)
        losses = [self._log_loss(sgd, place) for place in places]
        best = int(np.argmin(losses))
        scanned = float(places[best]), float(np.exp(losses[best]))
        around = float(places[max(best - 1, 0)]), float(places[min(best + 1, len(places) - 1)])
        found = self._minimise(sgd, *around, tolerance=TOLERANCE * _SCANNED / len(places))
        return min(scanned, found, key=lambda one: one[1])

    def _remembers(self, sgd: SGD) -> bool:
        """Whether a short run ends in the swing of its beginning: then its loss has many minima over the rate."""
        return bool(sgd.step.memory ** (self.steps / 2) > _SWING)

    def _led(self, sgd: SGD, top: float) -> tuple[float, float]:
        """The best place and its loss without momentum: where other schedules lead, and everywhere if that fails."""
        low, high = self._range(top)
        place, loss = self._minimise(sgd, low, high)
        if place - low < TOLERANCE or TOLERANCE > high - place < top - place:
            place, loss = self._minimise(sgd, top - _WIDEST, top)
        self.near.append(place)
        return place, loss

    def _log_loss(self, sgd: SGD, place: float) -> float:
        try:
            loss = self.loss(replace(sgd, lr=float(np.exp(place))), settled=False)
        except NotConverged:  # the law of shuffled epochs, at rates too near the limit for it
            return np.inf
        return float(np.nan_to_num(np.log(max(loss, _TINY)), nan=np.inf))

    def _range(self, top: float) -> tuple[float, float]:
        """Where to look without momentum: a heuristic, checked at its ends."""
        if not self.near:
            return top - _WIDEST, top
        low, high = min(self.near) - 1, max(self.near) + 2.5  # what decays may begin higher
        return max(low, top - _WIDEST), min(high, top)

    def _minimise(self, sgd: SGD, low: float, high: float, tolerance: float = TOLERANCE) -> tuple[float, float]:
        """Bounded Brent in log lr, for the log of the loss: the best place and the loss there."""
        log_loss = partial(self._log_loss, sgd)
        place, least = minimised(log_loss, low, high, tolerance)
        if high - place < 2 * tolerance and (end := log_loss(high)) < least:  # Brent stays inside
            place, least = high, end
        return place, float(np.exp(least))

    def settled(self, one: Candidate) -> Candidate:
        """Return the candidate with its loss, at the rounded rate, on all samples."""
        loss = self.loss(one.sgd)
        self.stages.ended()
        return replace(one, loss=loss, exact=True)

    def settled_limit(self, recipe: SGD) -> StableLimit:
        """Return the limit that is told: of all samples."""
        limit = self.limits[recipe.momentum]
        if self.thin is not None:
            limit = _mixed_limit(self.whole, recipe) if recipe.epochs else max_stable_lr(self.whole, recipe)
        self.stages.ended()
        return limit
