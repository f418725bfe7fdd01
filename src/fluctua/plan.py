"""Which learning rate, momentum and schedule: the exact learning curve, optimised before any training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._door import door
from ._validate import choice, listed, positive_int, shown
from .errors import InvalidInput, NotConverged
from .held_out import HeldOut
from .law import Law, independent_limit
from .problem import LeastSquares, Minimum
from .schedules import SHAPES
from .search import Stages, edge, minimised, rounded
from .sgd import SGD, Sampling
from .stability import max_stable_lr
from .start import Start
from .thinned import SAMPLES, SHARE, Thinned, final

__all__ = ["Candidate", "Plan", "plan"]

Array = NDArray[np.float64]
_LARGE = 2**20  # samples times modes, from which a search is thinned
_SEARCH_RTOL, _RTOL = 3e-2, 1e-2  # of the worst mode's variance; the loss is some 30 times as accurate
_LR_TOLERANCE = 0.15  # of log lr: about the optimum the loss is flat
_WIDEST = 5.0  # log range in which the rate is sought
_SCANNED, _FINE, _SWING = 10, 100, 1e-2  # places looked at first with momentum; many where a swing above this remains
_TINY = np.finfo(float).tiny  # of a loss that has decayed beyond the range of floats
_AT_OPTIMUM = 1e-12  # distance of a start from the optimum, in the size of the targets, that is rounding
_FINALISTS, _WITH_MOMENTUM = 2, 2  # settled on all samples; schedules tried with every momentum


@dataclass(frozen=True)
class Candidate:
    """A recipe at its best learning rate, and the loss it is predicted to end with.

    Attributes
    ----------
    sgd : SGD
    shape : str
        Name of its schedule.
    loss : float
        Expected loss after the budget, of the training data with weight decay or of the held-out data.
    exact : bool
        Whether the loss is exact; otherwise K was estimated, see `plan`.
    """

    sgd: SGD
    shape: str
    loss: float
    exact: bool


@dataclass(frozen=True)
class Plan:
    """What to train with; made by `plan`.

    Attributes
    ----------
    steps : int
        Budget.
    objective : "training" or "held-out"
    optimum_loss : float
        That loss at W*.
    limits : dict of (float, float)
        Largest stable learning rate by momentum. In shuffled epochs of data that are searched thinned it is that of
        independent batches of the sizes that come in an epoch, the lower of two.
    candidates : tuple of Candidate
        Best first.
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
        lines = [
            f"{'schedule':<9} {'momentum':>8} {'lr':>9} {'of limit':>8} {self.objective + ' loss':>16} {'excess':>9}"
        ]
        for one in self.candidates:
            share, excess = one.sgd.lr / self.limits[one.sgd.momentum], one.loss - self.optimum_loss
            about = "" if one.exact else "about "
            lines.append(f"{one.shape:<9} {one.sgd.momentum:>8g} {one.sgd.lr:>9.3g} {share:>8.0%} "
                         f"{about + format(one.loss, '.6g'):>16} {excess:>9.3g}")  # fmt: skip
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types (part of the schema `fluctua schema plans`)."""
        listed = [
            {"recipe": one.sgd.to_dict(), "shape": one.shape, "loss": one.loss, "exact": one.exact}
            for one in self.candidates
        ]
        limits = [{"momentum": momentum, "max_stable_lr": limit} for momentum, limit in self.limits.items()]
        return {
            "steps": self.steps, "objective": self.objective, "optimum_loss": self.optimum_loss,
            "limits": limits, "candidates": listed,
        }  # fmt: skip


def plan(
    problem: LeastSquares,
    steps: int,
    *,
    batch_size: int = 32,
    momenta: Sequence[float] = (0.0, 0.9),
    schedules: Sequence[str] | None = None,
    weight_decay: float = 0.0,
    sampling: Sampling = "with_replacement",
    start: ArrayLike | str = "zero",
    held_out: tuple[ArrayLike, ArrayLike] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Plan:
    r"""Find the recipe with the least expected loss after `steps` steps, without training.

    For every schedule with the first momentum, and for the two best schedules with the others, the end of the exact
    learning curve, E L(W_T) (theory.md section 3), is minimised over the learning rate; peak rates stay below
    `max_stable_lr`.

    Parameters
    ----------
    problem : LeastSquares
    steps : int
        Budget, in steps of `batch_size` samples.
    batch_size : int
    momenta : sequence of float
    schedules : sequence of str, optional
        Of `fluctua.schedules.SHAPES`: constant, linear, cosine, step, inverse; by default all that the law covers.
    weight_decay : float
    sampling : "with_replacement", "without_replacement" or "shuffle"
        In shuffled epochs schedules are not covered: there the rate is constant.
    start : "zero" or array_like, (c, d)
    held_out : (inputs, targets), optional
        Minimise the expected loss on these data instead of the training loss.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    Plan

    Raises
    ------
    InvalidInput
        For a start at the optimum, as weights of zero are where all targets are.

    Notes
    -----
    About seven curves per line of the table. On data of more than a million projections, samples times modes, the
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
    given = ["constant"] if base.epochs else list(SHAPES)
    asked = _some("schedules", given if schedules is None else schedules, "names")
    shapes = [choice("schedule", shape, SHAPES) for shape in asked]
    for shape in shapes:
        Law(problem, replace(base, schedule=SHAPES[shape](budget)), "exact")  # refuses what no law covers
    base.sampling_factor(problem.samples)  # refuses a batch larger than the data
    recipes = [replace(base, momentum=momentum) for momentum in _some("momenta", momenta, "numbers")]
    begin = _begun(problem.minimum(weight_decay), start)
    search = _Search(problem, weight_decay, budget, begin, held)
    total = len(shapes) + (len(recipes) - 1) * min(_WITH_MOMENTUM, len(shapes))
    search.stages = Stages(total + (min(_FINALISTS, total) if search.thin else total) + len(recipes), progress)
    found = [search.best(recipes[0], shape) for shape in shapes]
    better = [one.shape for one in sorted(found, key=_loss)[:_WITH_MOMENTUM]]
    found += [search.best(recipe, shape) for recipe, shape in product(recipes[1:], better)]
    found.sort(key=_loss)
    last = _FINALISTS if search.thin else len(found)
    finalists = sorted(map(search.settled, found[:last]), key=_loss)
    limits = {recipe.momentum: search.settled_limit(recipe) for recipe in recipes}
    return Plan(budget, "training" if held_out is None else "held-out", search.optimum_loss, limits,
                (*finalists, *found[last:]))  # fmt: skip


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
        raise InvalidInput(f"the start is the optimum, and from there every step makes the loss worse or leaves it: no "
                           f"learning rate is better than 0. {what}")  # fmt: skip
    return begin


def _loss(one: Candidate) -> float:
    return one.loss


def _cheap_limit(problem: LeastSquares, recipe: SGD) -> float:
    return independent_limit(problem, recipe) if recipe.epochs else max_stable_lr(problem, recipe)


def _some(name: str, values: Any, what: str) -> list[Any]:
    """Return each of `values` once, in their order; what cannot be compared is left for the next door to refuse."""
    found: list[Any] = []
    for value in listed(name, values, what):
        if not any(value is one or (np.ndim(value) == 0 and bool(value == one)) for one in found):
            found.append(value)
    return found


def _held(held_out: Any) -> tuple[ArrayLike, ArrayLike] | None:
    if held_out is None:
        return None
    if not isinstance(held_out, tuple | list) or len(held_out) != 2:
        raise InvalidInput(f"held_out must be a pair of arrays, (inputs, targets), or None; got {shown(held_out)}.")
    return held_out[0], held_out[1]


class _Search:
    """One budget, one start, one objective."""

    def __init__(
        self, whole: LeastSquares, weight_decay: float, steps: int, start: Start | None,
        held_out: tuple[ArrayLike, ArrayLike] | None,
    ) -> None:  # fmt: skip
        self.whole, self.steps, self.start, self.stages = whole, steps, start, Stages(1, None)
        self.thin = Thinned(whole, weight_decay, SAMPLES, SHARE) if whole.samples * whole.rank > _LARGE else None
        minimum = whole.minimum(weight_decay)
        self.held = None if held_out is None else HeldOut(whole, minimum, *held_out)
        self.optimum_loss = minimum.loss if self.held is None else self.held.optimum
        self.limits: dict[float, float] = {}
        self.near: list[float] = []  # logs of the best learning rates without momentum

    def loss(self, sgd: SGD, settled: bool = True) -> float:
        """Return the expected loss at the end; an estimate, on large data, unless `settled`."""
        self.stages.evaluated()
        if self.thin is None or settled:
            prediction = final(self.whole, sgd, self.steps, self.start, _RTOL if settled else _SEARCH_RTOL, not settled)
        else:
            prediction = self.thin.final(sgd, self.steps, self.start, _SEARCH_RTOL)
        if self.held is None:
            return prediction.optimum_loss + prediction.excess_loss
        return self.held.loss(prediction).expected

    def limit(self, recipe: SGD) -> float:
        """Return the largest stable learning rate, or an estimate of it."""
        if self.thin is None:
            return max_stable_lr(self.whole, recipe)
        return _cheap_limit(self.thin.problem, recipe)

    def best(self, recipe: SGD, shape: str) -> Candidate:
        """Minimise over the learning rate: where other schedules suggest, or where a scan does."""
        scheduled = replace(recipe, schedule=SHAPES[shape](self.steps))
        if recipe.momentum not in self.limits:
            self.limits[recipe.momentum] = self.limit(recipe)
        top = float(np.log(edge(recipe) * self.limits[recipe.momentum]))
        place, loss = (self._scanned if recipe.momentum else self._led)(scheduled, top)
        lr = rounded(float(np.exp(place)), float(np.exp(top)), 3 if self._remembers(recipe) else 2)
        self.stages.ended()
        return Candidate(replace(scheduled, lr=lr), shape, loss, exact=False)

    def _scanned(self, sgd: SGD, top: float) -> tuple[float, float]:
        """The best place and its loss with momentum: the minimum nearest to the best of a scan."""
        places = np.linspace(top - _WIDEST, top, _FINE if self._remembers(sgd) else _SCANNED)
        losses = [self._log_loss(sgd, place) for place in places]
        best = int(np.argmin(losses))
        scanned = float(places[best]), float(np.exp(losses[best]))
        around = float(places[max(best - 1, 0)]), float(places[min(best + 1, len(places) - 1)])
        found = self._minimise(sgd, *around, tolerance=_LR_TOLERANCE * _SCANNED / len(places))
        return min(scanned, found, key=lambda one: one[1])

    def _remembers(self, sgd: SGD) -> bool:
        """Whether a short run ends in the swing of its beginning: then its loss has many minima over the rate."""
        return bool(sgd.momentum ** (self.steps / 2) > _SWING)

    def _led(self, sgd: SGD, top: float) -> tuple[float, float]:
        """The best place and its loss without momentum: where other schedules lead, and everywhere if that fails."""
        low, high = self._range(top)
        place, loss = self._minimise(sgd, low, high)
        if place - low < _LR_TOLERANCE or _LR_TOLERANCE > high - place < top - place:
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

    def _minimise(self, sgd: SGD, low: float, high: float, tolerance: float = _LR_TOLERANCE) -> tuple[float, float]:
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

    def settled_limit(self, recipe: SGD) -> float:
        """Return the limit that is told: of all samples."""
        limit = self.limits[recipe.momentum] if self.thin is None else _cheap_limit(self.whole, recipe)
        self.stages.ended()
        return limit
