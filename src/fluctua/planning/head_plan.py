"""The constant learning rate with the least expected loss after a budget, for a softmax or logistic head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from .._validate.arguments import door
from .._validate.starts import start_weights
from .._validate.values import choice, positive_int
from ..errors import InvalidInput, NotConverged
from ..problem.softmax.base import Head
from ..recipe.sampling import Sampling, WeightedSampling
from ..recipe.schedules import SHAPES
from ..recipe.sgd import SGD
from ..theory.fixed_points import NoStationaryState
from ..theory.local.approach import balance_of, descent, discrete_along
from ..theory.local.prediction import bowl_of
from ..theory.reshuffling.covered import refuse_beyond_shuffling
from ..theory.stability import max_stable_lr
from ..theory.stable_limit import StableLimit
from .candidates import Candidate, Plan, Skipped
from .head_forecast import expected_end
from .rates import Stages, minimised, rounded
from .recipes import plan, some_of
from .search import TOLERANCE

__all__ = ["plan_head"]

_WIDEST = 5.0  # log range in which the rate is sought
_HIGHEST = 0.7  # of the limit: beyond it a floor is not given
_KNOWN, _UNKNOWN = 0.2, 0.5  # of the limit, where feedback is looked at; what it adds there if it is not found
_STEP, _LOWER = 1.3, 8  # from one rate to the next where the best has no floor
_MOST = 1e100  # of a loss on a path that diverges


@plan.register(Head)
def plan_head(
    problem: Head,
    steps: int,
    *,
    batch_size: int = 32,
    momenta: Sequence[float] = (0.0, 0.9),
    schedules: Sequence[str] | None = None,
    weight_decay: float = 0.0,
    sampling: Sampling | WeightedSampling = "with_replacement",
    start: ArrayLike | str = "zero",
    held_out: tuple[ArrayLike, ArrayLike] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Plan:
    r"""Find the constant rate with the least expected loss after `steps` steps on a head, without training.

    The loss is an estimate: that of full batches along their path, and the noise about W* beside it. Rates stay
    where the local theory gives a floor, an anharmonicity of at most 30 %.

    Parameters
    ----------
    problem : Softmax or Logistic
        The data.
    steps, batch_size, momenta, weight_decay, progress
        As for least squares.
    schedules : ["constant"], optional
        Schedules have no stationary state, and the theory of heads is of one.
    sampling : "with_replacement", "without_replacement", "shuffle" or WeightedSampling
        Of shuffled epochs of large heads, what batches remember beyond F44 is left out, a few per cent of the noise.
    start : "zero" or array_like, (c, d)
        W(0), the same for every recipe.
    held_out : None
        Not covered.

    Returns
    -------
    Plan
        The recipes at their best learning rates, best first; none of them is `exact`.

    Raises
    ------
    InvalidInput
        For arguments out of range, and what the local theory does not cover.
    NotConverged
        Where no rate has a floor.
    """
    door(progress=progress)
    _refuse_uncovered(schedules, held_out)
    budget = positive_int("steps", steps)
    base = SGD(1.0, batch_size, weight_decay=weight_decay, sampling=sampling)
    if base.epochs:
        refuse_beyond_shuffling(base, "discrete")
    base.sampling_factor(problem.samples)
    recipes = [replace(base, momentum=momentum) for momentum in some_of("momenta", momenta, "numbers")]
    minimum = base.seen(problem).minimum(weight_decay)
    begin = start_weights(start, minimum.weights.shape)
    if begin is None:
        raise InvalidInput("the start is the optimum, and no learning rate is better there than 0. Plan from 'zero'.")
    stages = Stages(len(recipes), progress)
    limits = {recipe.momentum: max_stable_lr(problem, recipe) for recipe in recipes}
    searches = [_Search(problem, each, limits[each.momentum], budget, begin, stages) for each in recipes]
    found = [search.best() for search in searches]
    candidates = sorted((one for one in found if np.isfinite(one.loss)), key=lambda one: one.loss)
    if not candidates:
        raise NotConverged("a loss at any learning rate", len(found), np.inf, 1.0)
    reason = "no rate that was tried has a floor"
    skipped = [Skipped(one.shape, one.sgd.momentum, reason) for one in found if not np.isfinite(one.loss)]
    return Plan(budget, "training", minimum.loss, limits, tuple(candidates), tuple(skipped))


@dataclass(frozen=True)
class _Search:
    """The rate of one recipe: sought by what is cheap, told by the whole.

    In the search noise is that of "discrete" times what feedback and third derivatives add to it, which is known at
    one rate and taken to grow as x/(1 - x), x the share of the limit.
    """

    problem: Head
    recipe: SGD
    limit: StableLimit
    steps: int
    start: Array
    stages: Stages

    def best(self) -> Candidate:
        """Minimise over the learning rate; where the best has no floor, come down to one that has."""
        top = float(np.log(_HIGHEST * self.limit))
        place, _ = minimised(self._log_loss, top - _WIDEST, top, TOLERANCE)
        rate = float(np.exp(place))
        loss = np.inf
        for _ in range(_LOWER):
            sgd = replace(self.recipe, lr=rounded(rate, _HIGHEST * self.limit))
            loss, rate = self._loss(sgd), rate / _STEP
            if np.isfinite(loss):
                break
        self.stages.ended()
        return Candidate(sgd, "constant", loss, exact=False, at_edge=place > top - TOLERANCE)

    def _loss(self, sgd: SGD) -> float:
        """The expected loss at the end; infinite where noise has no floor."""
        balance = balance_of(self.problem, sgd)
        try:
            if bowl_of(balance.anharmonicity) == "outside":
                return np.inf
            return balance.minimum.loss + expected_end(balance, self.steps, self.start).excess_loss
        except (NoStationaryState, NotConverged):
            return np.inf

    def _log_loss(self, place: float) -> float:
        """Log of the loss, estimated."""
        self.stages.evaluated()
        sgd = replace(self.recipe, lr=float(np.exp(place)))
        balance, share = balance_of(self.problem, sgd), sgd.lr / self.limit
        path = next(islice(descent(balance.minimum, sgd, self.start), self.steps, None))
        noise = discrete_along(balance, self.steps)
        added = self._added * share / (1 - share) * (1 - _KNOWN) / _KNOWN
        return float(np.log(balance.minimum.loss + min(path, _MOST) + noise * (1 + added)))

    @cached_property
    def _added(self) -> float:
        """What the anharmonic floor has beyond the discrete one at the rate where it is known, relative."""
        balance = balance_of(self.problem, replace(self.recipe, lr=float(_KNOWN * self.limit)))
        try:
            floors = [balance.state(rung).excess_loss for rung in ("anharmonic", "discrete")]
        except (NoStationaryState, NotConverged):
            return _UNKNOWN
        return floors[0] / floors[1] - 1 if floors[1] else 0.0


def _refuse_uncovered(schedules: Sequence[str] | None, held_out: object) -> None:
    if held_out is not None:
        raise InvalidInput("held_out is not covered for heads: the plan is for the training loss. Leave it out.")
    for shape in some_of("schedules", ["constant"] if schedules is None else schedules, "names"):
        if choice("schedule", shape, SHAPES) != "constant":
            raise InvalidInput(
                f"schedules holds {shape!r}: the local theory of heads is of a constant rate. Use ['constant']."
            )
