"""What is predicted of the cells of a sweep over recipes on a softmax or logistic head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from .._arrays import Array
from .._validate.starts import start_weights
from ..errors import InvalidInput, NotConverged
from ..problem.softmax.base import Head
from ..problem.softmax.optimum import HeadMinimum
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from ..theory.fixed_points import NoStationaryState
from ..theory.local.approach import balance_of, descent, noise_along
from ..theory.local.balance import Balance
from ..theory.local.own_error import stated_error
from ..theory.local.prediction import bowl_of
from ..theory.reshuffling.covered import refuse_beyond_shuffling
from ..theory.stable_limit import StableLimit
from .forecast import MOST, Forecast, forecast_of
from .passages import first_passage
from .rehearsal import FEWEST
from .sweep_cells import Predicted

__all__ = ["HeadForecast", "expected_end"]

_MIXED = 0.8  # of the geometric mean of path and noise: what the estimate may be off by on the way
_ERROR = 0.02
_PIECE = 256


@dataclass(frozen=True)
class _End:
    """Expected excess loss after some steps, and how far it may be off."""

    excess_loss: float
    uncertainty: float


def expected_end(balance: Balance, steps: int, start: Array | None) -> _End:
    """Return the expected excess loss after `steps` steps, and what the estimate may be off by.

    Raises
    ------
    NoStationaryState
        Where noise has none.
    NotConverged
        Where it was not found.
    """
    noise = float(noise_along(balance, steps)[-1])
    path = 0.0 if start is None else next(islice(descent(balance.minimum, balance.sgd, start), steps, None))
    own = stated_error(balance, "anharmonic") * noise + _MIXED * float(np.sqrt(path * noise))
    return _End(path + noise, own)


@dataclass
class HeadForecast(Forecast):
    """Predictions for one head, by the local theory; noise that leaves the bowl has no floor."""

    problem: Head  # type: ignore[assignment]

    def hold(self, sgd: Recipe) -> None:
        """Refuse what the local theory does not cover."""
        if self.average is not None:
            raise InvalidInput(f"average = {self.average!r}: averages of the weights are not covered for heads.")
        if sgd.schedule is not None:
            raise InvalidInput("the local theory of heads is of a constant rate: leave the schedule out.")
        if sgd.epochs:
            refuse_beyond_shuffling(sgd, "discrete")
        start_weights(self.start, self._minimum(sgd).weights.shape)

    def losses(self, sgd: Recipe) -> tuple[float, float]:
        """Return the loss at W* and that at the start."""
        minimum = self._minimum(sgd)
        start = start_weights(self.start, minimum.weights.shape)
        return minimum.loss, minimum.loss + (0.0 if start is None else next(descent(minimum, sgd, start)))

    def of(self, sgd: Recipe, steps: int | None) -> Predicted:
        """Return what is predicted of a cell with a budget of `steps`."""
        limit, optimum = self.limit(sgd), self._minimum(sgd).loss
        share, balance = sgd.lr / limit, balance_of(self.problem, sgd)
        if share >= 1:
            beyond = float("inf")
            end_of, reached = (None if each is None else beyond for each in (steps, self.target))
            return Predicted(optimum, limit, share, beyond, end_of, reached, None)
        try:
            if bowl_of(balance.anharmonicity) == "outside":
                raise NoStationaryState
            return self._inside(balance, limit, steps)
        except (NoStationaryState, NotConverged):
            return Predicted(optimum, limit, share, None, None, None, None)

    def _inside(self, balance: Balance, limit: StableLimit, steps: int | None) -> Predicted:
        sgd, minimum = balance.sgd, balance.minimum
        floor = balance.state("anharmonic").excess_loss
        start = start_weights(self.start, minimum.weights.shape)
        end = None if steps is None else expected_end(balance, steps, start)
        passed = None if self.target is None else self._passed(balance, start, self.target)
        excess, own = (None, 0.0) if end is None else (end.excess_loss, end.uncertainty)
        runs = None if end is None else _runs(balance, floor)
        return Predicted(minimum.loss, limit, sgd.lr / limit, floor, excess, passed, runs, own)

    def _passed(self, balance: Balance, start: Array | None, target: float) -> float:
        """Steps until the expected loss is at the target."""
        noise = noise_along(balance, self.longest)

        def pieces() -> Iterator[Array]:
            path = iter([]) if start is None else descent(balance.minimum, balance.sgd, start)
            for first in range(0, len(noise), _PIECE):
                some = noise[first : first + _PIECE]
                yield balance.minimum.loss + some + (0.0 if start is None else np.array(list(islice(path, len(some)))))

        return first_passage(pieces(), target)[0]

    def _minimum(self, sgd: Recipe) -> HeadMinimum:
        return sgd.seen(self.problem).minimum(sgd.weight_decay)


def _runs(balance: Balance, floor: float) -> int:
    """Runs whose mean excess loss is known to about 2 %, of 16 to 256: of Gaussian weights 1/2 tr(H S H S)."""
    h, s = balance.picture.curvatures, balance.state("anharmonic").covariance
    felt = h[:, None] * s
    variance = 0.5 * float(np.vdot(felt, felt.T))
    return int(np.clip(np.ceil(variance / (_ERROR * floor) ** 2), FEWEST, MOST)) if floor > 0 else FEWEST


@forecast_of.register(Head)
def _of_head(problem: Head, start: Array | str, average: Average | None, longest: int) -> HeadForecast:
    return HeadForecast(problem, start, average, None, longest)
