"""The steps of a head and of its quadratic twin: the compiled ones, given the errors of a cross-entropy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .._arrays import AnyArray, Array, DType, Ints
from .._half import HalfArray, Rows
from ..problem.softmax.optimum import HeadMinimum
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from .batches import Draws
from .runs import Asked
from .sparse import SparseRows, without_zeros
from .steppers import Stepper, minibatches

__all__ = ["Shared", "head_steppers"]


@dataclass
class _Setting:
    """Data and constants of the steps, in the precision of the simulation."""

    sgd: Recipe
    average: Average | None
    drawn: tuple[Rows | SparseRows, tuple[AnyArray, AnyArray, AnyArray, bool]]
    constant: AnyArray
    look_up: Callable[[], None]


class Shared(Draws):
    """The next steps' batches, drawn once and given to every stepper that asks."""

    def __init__(self, draws: Draws, steps: int) -> None:
        self.rngs, self._drawn = draws.rngs, list(draws.batches(steps))

    def batches(self, steps: int) -> Iterator[Ints]:
        """Yield them."""
        del steps
        yield from self._drawn


def head_steppers(
    minimum: HeadMinimum, sgd: Recipe, dtype: DType, asked: Asked, look_up: Callable[[], None]
) -> list[Stepper]:
    """Return the stepper of the replicas and, with a control, that of their twins."""
    problem = minimum.problem
    average = None if asked.average is None else asked.average.in_steps(sgd, problem.population)
    whole = problem.inputs if isinstance(problem.inputs, HalfArray) else np.ascontiguousarray(problem.inputs, dtype)
    rows = without_zeros(whole, problem.outputs)
    constant = (sgd.weight_decay * minimum.weights).astype(dtype)
    answers = [_curved(minimum), *([] if asked.control is None else [_quadratic(minimum)])]
    typed = [(*(np.ascontiguousarray(each, dtype) for each in arrays), curved) for arrays, curved in answers]
    return [minibatches(_Setting(sgd, average, (rows, each), constant, look_up)) for each in typed]  # type: ignore[arg-type]


def _curved(minimum: HeadMinimum) -> tuple[tuple[Array, ...], bool]:
    """Logits at W*, targets and factors: the error is (p - y) times the factor."""
    first = minimum.problem.frame.shape[0] - minimum.problem.outputs  # of a logistic head one class has no row
    return (minimum.place.logits[:, first:], minimum.problem.targets[:, first:], _factors(minimum)), True


def _quadratic(minimum: HeadMinimum) -> tuple[tuple[Array, ...], bool]:
    """Probabilities and residuals at W*: the error is A V x + r times the factor."""
    first = minimum.problem.frame.shape[0] - minimum.problem.outputs
    p = minimum.probabilities
    return (p[:, first:], (p - minimum.problem.targets)[:, first:], _factors(minimum)), False


def _factors(minimum: HeadMinimum) -> Array:
    """What the error of a sample is multiplied by when it is drawn."""
    found = np.ones(minimum.problem.samples)
    for each in (minimum.problem.factors, minimum.problem.importance):
        found = found if each is None else found * each
    return found
