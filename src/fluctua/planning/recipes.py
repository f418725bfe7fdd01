"""Which learning rate, momentum and schedule: the exact learning curve, optimised before any training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from .._validate.arguments import door
from .._validate.nouns import by_noun
from .._validate.values import choice, listed, positive_int, shown
from ..errors import InvalidInput, NotConverged
from ..problem.least_squares import LeastSquares, Minimum
from ..problem.start import Start
from ..recipe.sampling import Sampling, WeightedSampling
from ..recipe.schedules import PLANNED, SHAPES
from ..recipe.sgd import SGD
from ..theory.law import Law
from .candidates import Candidate, Plan, Skipped
from .loops import with_loops
from .rates import Stages
from .search import Search
from .settling import FINALISTS, loss, settled

__all__ = ["Candidate", "Plan", "plan", "some_of"]

_AT_OPTIMUM = 1e-12  # distance of a start from the optimum, in the size of the targets, that is rounding
_WITH_MOMENTUM = 2  # schedules tried with every momentum, where none are named


@by_noun
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

    The end of the exact learning curve, E L(W_T) (F9), is minimised over the learning rate, for every schedule and
    every momentum that are named; peak rates stay below `max_stable_lr`. Where no schedules are named, the two best
    with the first momentum are tried with the others, and the rest is in `Plan.skipped`.

    Parameters
    ----------
    problem : LeastSquares
        The data.
    steps : int
        Budget, in steps of `batch_size` samples.
    batch_size : int
        Samples per batch.
    momenta : sequence of float
        The values to try.
    schedules : sequence of str, optional
        Of `fluctua.schedules.SHAPES`; by default constant, linear, cosine, step and inverse. The others, exponential,
        onecycle and warmup-cosine, are tried where they are asked for.
    weight_decay : float
        That of every recipe, as in `SGD`.
    sampling : "with_replacement", "without_replacement", "shuffle" or WeightedSampling
        Shuffled epochs are searched by an estimate, see the notes.
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

    In shuffled epochs the search estimates the loss, from noise that is taken back and curvature that is not met again
    (`docs/shuffle.md` says how far off that is): 0.02 to 0.3 s a run of digits where the law takes 1 to 30 s. The best
    two recipes, and up to four where the estimates of others are lower, are settled by the law at two to six rates
    each, by which the estimate is corrected. Where one law takes more than about half a minute they are settled at the
    estimated rate alone, and where it takes more than about three minutes the estimate stands; `exact` says so.

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
    shapes = [
        choice("schedule", shape, SHAPES)
        for shape in some_of("schedules", PLANNED if schedules is None else schedules, "names")
    ]
    Law(problem, base, "exact")  # refuses what no law covers
    base.sampling_factor(problem.samples)  # refuses a batch larger than the data
    recipes = [replace(base, momentum=momentum) for momentum in some_of("momenta", momenta, "numbers")]
    begin = _begun(problem.minimum(weight_decay), start)
    search = Search(problem, weight_decay, budget, begin, held)
    most = len(shapes) if schedules is not None else min(_WITH_MOMENTUM, len(shapes))
    total = len(shapes) + (len(recipes) - 1) * most
    few = search.thin is not None or base.epochs
    search.stages = Stages(total + (min(FINALISTS, total) if few else total) + len(recipes), progress)
    found, skipped = _tried(search, recipes, shapes, most)
    candidates = settled(search, [one for one in found if np.isfinite(one.loss)])
    skipped += [_failed(one) for one in (*found, *candidates) if not np.isfinite(one.loss)]
    candidates = tuple(one for one in candidates if np.isfinite(one.loss))
    if not candidates:
        raise NotConverged("a loss at any learning rate", len(skipped), np.inf, 1.0)
    candidates = with_loops(search, candidates, begins=not isinstance(start, str))
    limits = {recipe.momentum: search.settled_limit(recipe) for recipe in recipes}
    objective: Literal["training", "held-out"] = "training" if held_out is None else "held-out"
    return Plan(budget, objective, search.optimum_loss, limits, candidates, tuple(skipped))


def _tried(search: Search, recipes: list[SGD], shapes: list[str], most: int) -> tuple[list[Candidate], list[Skipped]]:
    """Candidates: every schedule with the first momentum, and the best of them with the others; and what is skipped."""
    found = [search.best(recipes[0], shape) for shape in shapes]
    better = {one.shape for one in sorted(found, key=loss)[:most]}
    reason = (
        f"only the best {most} schedules of momentum {recipes[0].momentum:g} are tried with it; name the schedule to"
    )
    skipped = []
    for recipe, shape in product(recipes[1:], shapes):
        if shape in better:
            found.append(search.best(recipe, shape))
        else:
            skipped.append(Skipped(shape, recipe.momentum, f"{reason} try it"))
    return found, skipped


def _failed(one: Candidate) -> Skipped:
    return Skipped(one.shape, one.sgd.momentum, "no finite loss was found at the rates that were tried")


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


def some_of(name: str, values: object, what: str) -> list[Any]:
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
