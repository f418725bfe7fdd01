"""How a learning rate is sought: how near the limit, by which minimiser, to how many digits, how far the search is."""

from __future__ import annotations

from collections.abc import Callable
from math import floor, log10

from ..errors import NotConverged
from ..recipe.sgd import Recipe

__all__ = ["EDGE", "Stages", "edge", "minimised", "rounded"]

EDGE, _EPOCHS_EDGE = 0.97, 0.9
_USUAL = 6.0  # evaluations after which half of a stage counts as done


def edge(sgd: Recipe) -> float:
    """Return the share of the largest stable learning rate up to which a rate is sought.

    Closer to it the law of shuffled epochs is not to be trusted (docs/shuffle.md).
    """
    return _EPOCHS_EDGE if sgd.epochs else EDGE


def minimised(function: Callable[[float], float], low: float, high: float, tolerance: float) -> tuple[float, float]:
    """Return where `function` is least between `low` and `high`, to `tolerance`, and its value: bounded Brent.

    Raises
    ------
    NotConverged
        If the minimiser gives up.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(function, bounds=(low, high), method="bounded", options={"xatol": tolerance})
    if not found.success:
        raise NotConverged("the best learning rate", int(found.nfev), high - low, tolerance)
    return float(found.x), float(found.fun)


def rounded(lr: float, most: float, digits: int = 2) -> float:
    """Return `lr` to so many digits, rounded down where rounding up would pass `most`."""
    value = float(f"{lr:.{digits}g}")
    if value <= most:
        return value
    unit = 10.0 ** (floor(log10(most)) + 1 - digits)
    return float(f"{floor(most / unit) * unit:.{digits}g}")


class Stages:
    """Progress of a search of `count` stages, which moves at each evaluation: how many a stage has is not known."""

    def __init__(self, count: int, progress: Callable[[float], None] | None) -> None:
        self.count, self.progress = count, progress
        self.done = self.evaluations = 0

    def evaluated(self) -> None:
        """Count an evaluation."""
        self.evaluations += 1
        self._report()

    def ended(self) -> None:
        """Count a stage."""
        self.done, self.evaluations = self.done + 1, 0
        self._report()

    def _report(self) -> None:
        if self.progress:
            self.progress(min(1.0, (self.done + self.evaluations / (self.evaluations + _USUAL)) / self.count))
