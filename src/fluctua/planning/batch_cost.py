"""What a batch size costs: steps and samples until the expected loss reaches a target, at the best constant rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from .._results import Brief, Tables, Tabular, clipped
from .._validate.arguments import door
from .._validate.sizes import refuse_bytes
from .._validate.values import listed, positive_int, real_number
from ..errors import InvalidInput
from ..problem.least_squares import LeastSquares, Minimum
from ..problem.start import Start
from ..recipe.sgd import SGD
from ..theory.stability import max_stable_lr
from .passages import first_passage
from .rates import EDGE, minimised, rounded
from .reduced import SAMPLES, SHARE, Thinned

__all__ = ["BatchCost", "BatchCosts", "batch_costs"]

_RTOL = 3e-2
_WIDEST, _TOLERANCE = 4.0, 0.15  # log range in which the rate is sought, and to how much of it


@dataclass(frozen=True, repr=False)
class BatchCost(Brief):
    """The least number of steps in which batches of this size reach the target; made by `batch_costs`.

    Attributes
    ----------
    batch_size : int
        Samples per batch.
    lr : float
        The constant learning rate that does.
    steps : float
        Least number of steps, linear in the loss between two; inf where the target was not reached within the longest
        run considered.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.BatchCost(batch_size=16, lr=0.13, steps=27.5).samples
    440.0
    """

    batch_size: int
    lr: float
    steps: float

    @property
    def samples(self) -> float:
        """Samples drawn, steps times batch size."""
        return self.steps * self.batch_size


class BatchCosts(tuple[BatchCost, ...], Tabular):
    """What each batch size costs, in the order asked for: a tuple that is also a table; made by `batch_costs`.

    Examples
    --------
    >>> import fluctua as fl
    >>> costs = fl.BatchCosts([fl.BatchCost(batch_size=16, lr=0.13, steps=27.5)])
    >>> print(costs.to_csv().strip())
    batch_size,lr,steps,samples
    16,0.13,27.5,440.0
    >>> costs[0].samples
    440.0
    """

    __slots__ = ()

    def _tables(self) -> Tables:
        names = ("batch_size", "lr", "steps", "samples")
        return {"batch_sizes": lambda: {name: [getattr(one, name) for one in self] for name in names}}

    def __repr__(self) -> str:
        said = ", ".join(f"{one.batch_size}: {one.steps:,.0f} steps" for one in self)
        return clipped(f"BatchCosts({said})")


def batch_costs(
    problem: LeastSquares,
    batch_sizes: Sequence[int],
    target: float,
    *,
    weight_decay: float = 0.0,
    start: ArrayLike | str = "zero",
    longest: int = 100_000,
    progress: Callable[[float], None] | None = None,
) -> BatchCosts:
    """Return, for each batch size, the least number of steps of plain SGD to an expected training loss of `target`.

    The first passage of the exact learning curve (F9) is minimised over a constant learning rate; it
    is a whole step at the earliest, and linear in the loss between two steps.
    Large batches approach the fewest steps, small ones the fewest samples; where both are twice their least is the
    critical batch size (McCandlish et al., arXiv 1812.06162).

    Parameters
    ----------
    problem : LeastSquares
        The data.
    batch_sizes : sequence of int
        Drawn with replacement.
    target : float
        Expected training loss, above L(W*).
    weight_decay : float
        That of every recipe, as in `SGD`.
    start : "zero" or array_like, (c, d)
        W(0), the same for every batch size.
    longest : int
        Steps of the longest run considered.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    BatchCosts
        A tuple of `BatchCost`, in the order of `batch_sizes`.

    Raises
    ------
    InvalidInput
        For arguments out of range, for a target at or below L(W*) or met before the first step, and for a start at the
        optimum or, with weight decay, with a part that no sample sees.
    NotConverged
        If a stability limit or a best learning rate was not found to the accuracy stated.

    Notes
    -----
    K is estimated from 2,048 samples, in the modes that hold 99 % of mean |x|^2: steps are good to about 1 %, and the
    learning rate is found to 15 %, where they are flat. Cost: about ten curves a batch size, each followed until it
    passes the target, or for `longest` steps.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", limit=200)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> for cost in fl.batch_costs(problem, [1, 16], target=0.2):
    ...     print(f"b = {cost.batch_size}: {cost.steps:.0f} steps, {cost.samples:.0f} samples")
    b = 1: 145 steps, 145 samples
    b = 16: 27 steps, 433 samples
    """
    door(problem, progress=progress)
    refuse_bytes(
        f"longest = {positive_int('longest', longest)} steps of a learning curve",
        48.0 * longest,
        "Use a shorter longest run.",
    )
    wanted = [positive_int("batch_sizes", size) for size in listed("batch_sizes", batch_sizes, "sizes")]
    sizes = sorted(set(wanted), reverse=True)  # the steps of a larger batch bound those of a smaller one
    target = real_number("target", target)
    begin = _short_of(target, problem.minimum(weight_decay), start)
    thin = Thinned(problem, weight_decay, SAMPLES, SHARE)
    costs: list[BatchCost] = []
    for size in sizes:
        sgd = SGD(1.0, size, weight_decay=weight_decay)
        horizon = _horizon(costs, size, longest)
        costs.append(_FirstPassage(thin, begin, target, horizon).least(sgd))
        if progress:
            progress(len(costs) / len(sizes))
    found = {cost.batch_size: cost for cost in costs}
    return BatchCosts(found[size] for size in wanted)


def _short_of(target: float, minimum: Minimum, start: ArrayLike | str) -> Start:
    """Return the start, from which the target can be reached and is not yet."""
    if target <= minimum.loss:
        raise InvalidInput(
            f"target = {target:.7g} is not above the loss at the optimum, {minimum.loss:.7g}: no run gets there."
        )
    begin = Start.at(minimum, start)
    if begin is None:
        raise InvalidInput("a run from the optimum has nothing to reach; give start='zero' or weights.")
    if minimum.weight_decay and begin.null.any():
        raise InvalidInput("the start has a part that no sample sees, which weight decay moves; leave it out of start.")
    first = minimum.loss + 0.5 * float(minimum.curvatures @ np.square(begin.modes).sum(axis=0))
    if target >= first:
        raise InvalidInput(f"target = {target:.7g} is met before the first step: the loss at the start is {first:.7g}.")
    return begin


def _horizon(costs: Sequence[BatchCost], size: int, longest: int) -> int:
    """Long enough for the next smaller batch: halving it at most doubles the steps."""
    if not costs or not np.isfinite(costs[-1].steps):
        return longest
    return int(min(longest, max(100.0, 1.5 * costs[-1].samples / size)))


@dataclass(frozen=True)
class _FirstPassage:
    """First passages of one target, from one start."""

    thin: Thinned
    start: Start
    target: float
    horizon: int

    def least(self, sgd: SGD) -> BatchCost:
        """Minimise the steps over the learning rate."""
        top = float(np.log(EDGE * max_stable_lr(self.thin.problem, sgd)))

        def log_steps(place: float) -> float:
            return float(np.log(self.steps(replace(sgd, lr=float(np.exp(place))))))

        place, _ = minimised(log_steps, top - _WIDEST, top, _TOLERANCE)
        lr = rounded(float(np.exp(place)), float(np.exp(top)))
        steps = self.steps(replace(sgd, lr=lr))
        return BatchCost(sgd.batch_size, lr, steps if steps <= self.horizon else float("inf"))

    def steps(self, sgd: SGD) -> float:
        """Step at which the curve passes the target; beyond the horizon the longer the further away it ends."""
        step, least = first_passage(self.thin.curve(sgd, self.horizon, self.start, _RTOL), self.target)
        return max(1.0, step) if np.isfinite(step) else float(self.horizon * min(least / self.target, 1e6) + 1)
