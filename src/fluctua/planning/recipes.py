"""Which learning rate, momentum and schedule: the exact learning curve, optimised before any training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from .._validate.arguments import door
from .._validate.plain import Json, JsonObject
from .._validate.values import choice, listed, positive_int, shown
from ..errors import InvalidInput
from ..problem.least_squares import LeastSquares, Minimum
from ..problem.start import Start
from ..recipe.sampling import Sampling, WeightedSampling
from ..recipe.schedules import PLANNED, SHAPES
from ..recipe.sgd import SGD
from ..theory.law import Law
from .rates import Stages
from .search import Candidate, Search

__all__ = ["Candidate", "Plan", "plan"]

_AT_OPTIMUM = 1e-12  # distance of a start from the optimum, in the size of the targets, that is rounding
_FINALISTS, _WITH_MOMENTUM = 2, 2  # settled on all samples; schedules tried with every momentum


@dataclass(frozen=True)
class Plan:
    """What to train with; made by `plan`.

    Attributes
    ----------
    steps : int
        Budget.
    objective : "training" or "held-out"
        The data whose expected loss is minimised.
    optimum_loss : float
        That loss at W*.
    limits : dict of (float, float)
        Largest stable learning rate by momentum. In shuffled epochs of data that are searched thinned it is that of
        independent batches of the sizes that come in an epoch, the lower of two.
    candidates : tuple of Candidate
        Best first.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", limit=200)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> found = fl.plan(problem, 100, batch_size=8, momenta=[0.0], schedules=["constant"])
    >>> print(f"lr {found.best.sgd.lr:.2g} ends at {found.best.loss:.3f}, and W* is at {found.optimum_loss:.3f}")
    lr 0.095 ends at 0.145, and W* is at 0.079
    """

    steps: int
    objective: Literal["training", "held-out"]
    optimum_loss: float
    limits: dict[float, float]
    candidates: tuple[Candidate, ...]

    @property
    def best(self) -> Candidate:
        """The recipe to train with."""
        return self.candidates[0]

    @property
    def table(self) -> str:
        """The candidates in text, best first."""
        width = max(9, *(len(one.shape) for one in self.candidates))
        head = f"{'momentum':>8} {'lr':>9} {'of limit':>8} {self.objective + ' loss':>16} {'excess':>9}"
        lines = [f"{'schedule':<{width}} {head}"]
        for one in self.candidates:
            share, excess = one.sgd.lr / self.limits[one.sgd.momentum], one.loss - self.optimum_loss
            about = "" if one.exact else "about "
            lines.append(
                f"{one.shape:<{width}} {one.sgd.momentum:>8g} {one.sgd.lr:>9.3g} {share:>8.0%} "
                f"{about + format(one.loss, '.6g'):>16} {excess:>9.3g}"
            )
        return "\n".join(lines)

    def to_dict(self) -> JsonObject:
        """Return everything as plain JSON types (part of the schema `fluctua schema plans`)."""
        listed: list[Json] = [
            {"recipe": one.sgd.to_dict(), "shape": one.shape, "loss": one.loss, "exact": one.exact}
            for one in self.candidates
        ]
        limits = [{"momentum": momentum, "max_stable_lr": limit} for momentum, limit in self.limits.items()]
        return {
            "steps": self.steps,
            "objective": self.objective,
            "optimum_loss": self.optimum_loss,
            "limits": limits,
            "candidates": listed,
        }


def plan(
    problem: LeastSquares,
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
    r"""Find the recipe with the least expected loss after `steps` steps, without training.

    For every schedule with the first momentum, and for the two best schedules with the others, the end of the exact
    learning curve, E L(W_T) (F9), is minimised over the learning rate; peak rates stay below
    `max_stable_lr`.

    Parameters
    ----------
    problem : LeastSquares
        The data.
    steps : int
        Budget, in steps of `batch_size` samples.
    batch_size : int
        Samples per batch.
    momenta : sequence of float
        The values to try, the first with every schedule.
    schedules : sequence of str, optional
        Of `fluctua.schedules.SHAPES`; by default constant, linear, cosine, step and inverse, as far as the law covers
        them. The others, exponential, onecycle and warmup-cosine, are tried where they are asked for.
    weight_decay : float
        That of every recipe, as in `SGD`.
    sampling : "with_replacement", "without_replacement", "shuffle" or WeightedSampling
        In shuffled epochs schedules are tried where they are named: each epoch of each run is followed.
    start : "zero" or array_like, (c, d)
        W(0), the same for every recipe.
    held_out : (inputs, targets), optional
        Minimise the expected loss on these data instead of the training loss.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    Plan
        The recipes at their best learning rates, best first.

    Raises
    ------
    InvalidInput
        For arguments out of range, for what no law covers, and for a start at the optimum, as weights of zero are where
        all targets are.
    NotConverged
        If a stability limit or a best learning rate was not found to the accuracy stated.

    Notes
    -----
    Cost: about seven curves per line of the table. On data of more than a million projections, samples times modes, the
    search estimates K from 2,048 samples and in the modes that hold 99 % of mean |x|^2; the best two recipes are then
    settled on all samples and modes. Learning rates are found to about 15 %, within which the loss is flat.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> found = fl.plan(problem, 300, batch_size=8, momenta=[0.0], schedules=["constant", "linear"])
    >>> found.best.shape, round(found.best.sgd.lr, 2)
    ('linear', 0.18)
    """
    door(problem, progress=progress)
    held = _held(held_out)
    budget = positive_int("steps", steps)
    base = SGD(1.0, batch_size, weight_decay=weight_decay, sampling=sampling)
    problem = base.seen(problem)
    given = ["constant"] if base.epochs else list(PLANNED)
    asked = _some("schedules", given if schedules is None else schedules, "names")
    shapes = [choice("schedule", shape, SHAPES) for shape in asked]
    for shape in shapes:
        Law(problem, replace(base, schedule=SHAPES[shape](budget)), "exact")  # refuses what no law covers
    base.sampling_factor(problem.samples)  # refuses a batch larger than the data
    recipes = [replace(base, momentum=momentum) for momentum in _some("momenta", momenta, "numbers")]
    begin = _begun(problem.minimum(weight_decay), start)
    search = Search(problem, weight_decay, budget, begin, held)
    total = len(shapes) + (len(recipes) - 1) * min(_WITH_MOMENTUM, len(shapes))
    search.stages = Stages(total + (min(_FINALISTS, total) if search.thin else total) + len(recipes), progress)
    found = [search.best(recipes[0], shape) for shape in shapes]
    better = [one.shape for one in sorted(found, key=_loss)[:_WITH_MOMENTUM]]
    found += [search.best(recipe, shape) for recipe, shape in product(recipes[1:], better)]
    found.sort(key=_loss)
    last = _FINALISTS if search.thin else len(found)
    finalists = sorted(map(search.settled, found[:last]), key=_loss)
    limits = {recipe.momentum: search.settled_limit(recipe) for recipe in recipes}
    return Plan(
        budget, "training" if held_out is None else "held-out", search.optimum_loss, limits, (*finalists, *found[last:])
    )


def _begun(minimum: Minimum, start: ArrayLike | str) -> Start:
    """The start, if it is not the optimum: there every rate is as good as none."""
    begin = Start.at(minimum, start)
    size = float(np.mean(np.square(minimum.problem.targets, dtype=np.float64).sum(axis=1)))
    if begin is None:
        above = 0.0
    else:
        above = float(minimum.curvatures @ np.square(begin.modes).sum(axis=0))
        above += minimum.weight_decay * float(np.square(begin.null).sum())
    if begin is None or above <= _AT_OPTIMUM**2 * size:
        what = (
            "Plan from start='zero' or from weights." if size else "All targets are zero, which zero weights predict."
        )
        raise InvalidInput(
            f"the start is the optimum, and from there every step makes the loss worse or leaves it: no "
            f"learning rate is better than 0. {what}"
        )
    return begin


def _loss(one: Candidate) -> float:
    return one.loss


def _some(name: str, values: object, what: str) -> list[Any]:
    """Return each of `values` once, in their order; what cannot be compared is left for the next door to refuse."""
    found: list[Any] = []
    for value in listed(name, values, what):
        if not any(value is one or (np.ndim(value) == 0 and bool(value == one)) for one in found):
            found.append(value)
    return found


def _held(held_out: object) -> tuple[ArrayLike, ArrayLike] | None:
    if held_out is None:
        return None
    if not isinstance(held_out, tuple | list) or len(held_out) != 2:
        raise InvalidInput(f"held_out must be a pair of arrays, (inputs, targets), or None; got {shown(held_out)}.")
    return held_out[0], held_out[1]
