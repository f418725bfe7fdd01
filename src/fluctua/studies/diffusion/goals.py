"""What a plan is asked for, and the search for the fewest steps that reach it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..._validate.values import positive_int, real_number
from ...errors import InvalidInput, NotConverged
from .gaussian import GaussianData
from .prediction import DiffusionPrediction, predict_gaussian
from .sampler import DDIM

__all__ = ["Goal", "best_of", "finer"]

_FINER = 16  # etas tried between the neighbours of the best


@dataclass(frozen=True)
class Goal:
    """An accuracy, a distance, or a budget of steps.

    Attributes
    ----------
    words : str
    steps : int or None
        The budget.
    measure : callable
        What has to be small.
    most : float
        As small as this.
    """

    words: str
    steps: int | None
    measure: Callable[[DiffusionPrediction], float]
    most: float

    @classmethod
    def of(cls, accuracy: float | None, w2: float | None, budget: int | None) -> Goal:
        """Return the one that is given.

        Raises
        ------
        InvalidInput
            Unless it is exactly one, in its range.
        """
        asked = {"accuracy": accuracy, "w2": w2, "budget": budget}
        given = [name for name, value in asked.items() if value is not None]
        if len(given) != 1:
            raise InvalidInput(
                f"a plan needs one of accuracy, w2 and budget, got {' and '.join(given) or 'none'}. accuracy=0.01 asks "
                f"for 99 % of the variance, w2=0.1 for a distance, budget=20 for the best sampler of 20 steps."
            )
        if accuracy is not None:
            most = real_number("accuracy", accuracy, above=0.0, below=1.0)
            share = f"{round(1 - most, 15):.15g} of the variance"
            return cls(share, None, lambda found: found.misplaced, most)
        if w2 is not None:
            most = real_number("w2", w2, above=0.0)
            return cls(f"W2 <= {most:g}", None, lambda found: found.w2, most)
        return cls(f"{budget} steps", positive_int("budget", budget), lambda found: found.w2, np.inf)

    def rank(self, found: DiffusionPrediction) -> tuple[float, float]:
        """Return what the best has least of."""
        return (0.0 if self.steps else found.sampler.steps, found.w2)


def best_of(data: GaussianData, base: DDIM, etas: Sequence[float], goal: Goal) -> DiffusionPrediction | None:
    """Return the best that a solver and a grid do with some etas; None where they do not reach the goal."""
    best: DiffusionPrediction | None = None
    for eta in etas:
        one = _with(data, replace(base, eta=eta), goal, best)
        if one is not None and (best is None or goal.rank(one) < goal.rank(best)):
            best = one
    return best


def finer(best: DiffusionPrediction, etas: Sequence[float], goal: Goal) -> DiffusionPrediction:
    """Return the best of etas between the neighbours of the one that was found, for a budget."""
    if not goal.steps or best.sampler.solver == "2m" or len(etas) < 2:
        return best
    near = sorted(etas, key=lambda eta: abs(eta - best.sampler.eta))[:3]
    tried = (replace(best.sampler, eta=float(eta)) for eta in np.linspace(min(near), max(near), _FINER + 1))
    found = (_tried(best.data, each) for each in tried)
    return min([best, *filter(None, found)], key=goal.rank)


def _with(data: GaussianData, base: DDIM, goal: Goal, best: DiffusionPrediction | None) -> DiffusionPrediction | None:
    """The fewest steps that reach the goal, or the budget's; None where that is no better than the best so far."""
    if goal.steps:
        return _tried(data, replace(base, steps=goal.steps))
    counts = [n for n in range(1, base.train_steps + 1) if base.spacing != "leading" or base.train_steps % n == 0]
    if best is not None:
        counts = [n for n in counts if n <= best.sampler.steps]
    return _Search(data, base, goal, counts).fewest()


@dataclass(frozen=True)
class _Search:
    """Bisection for the first number of steps that is enough, guided by a power law through the last two."""

    data: GaussianData
    base: DDIM
    goal: Goal
    counts: Sequence[int]

    def fewest(self) -> DiffusionPrediction | None:
        high, low, short = len(self.counts) - 1, -1, np.inf
        found = self._at(high)
        if found is None or not self._enough(found):
            return None
        while high - low > 1:
            middle = self._between(low, high, short, found)
            one = self._at(middle)
            if one is not None and self._enough(one):
                high, found = middle, one
            else:
                low, short = middle, np.inf if one is None else self.goal.measure(one)
        return found

    def _between(self, low: int, high: int, short: float, found: DiffusionPrediction) -> int:
        """Where the error, as a power of the number of steps, would be what is asked."""
        n, good = self.counts[high], self.goal.measure(found)
        power = 1.0
        if np.isfinite(short) and good < short:
            power = np.log(short / good) / np.log(n / self.counts[low])
        guess = n * (good / self.goal.most) ** (1 / max(power, 0.5))
        place = int(np.searchsorted(self.counts, guess))
        margin = (high - low) // 8  # else one end might never move
        return int(np.clip(place, low + 1 + margin, high - 1 - margin))

    def _at(self, place: int) -> DiffusionPrediction | None:
        return _tried(self.data, replace(self.base, steps=self.counts[place]))

    def _enough(self, found: DiffusionPrediction) -> bool:
        return self.goal.measure(found) <= self.goal.most


def _tried(data: GaussianData, sampler: DDIM) -> DiffusionPrediction | None:
    """A prediction; None where there is no such sampler."""
    try:
        return predict_gaussian(data, sampler)
    except (InvalidInput, NotConverged):
        return None
