"""What a probe asks of its problem: with what it was planned, where noise settles, how often it is right, in words.

A kind of problem that a probe can have registers what it answers; the command and the result ask alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

from .._validate.plain import Keywords
from ..data import Dataset
from ..errors import NotConverged, UnstableSGD
from ..problem.least_squares import LeastSquares
from ..recipe.mse_loss import mse_words
from ..recipe.sgd import SGD
from ..theory.answers import predict
from ..theory.probe import ExpectedAccuracy, expected_accuracy
from ..theory.stability import independent_batches
from ..theory.stable_limit import StableLimit
from .candidates import Plan
from .conditioned import Conditioning, conditioning
from .wanted import Wanted

__all__ = ["Found", "asked_of_plan", "found_of", "limit_words", "outputs_words", "recipe_words"]


@dataclass(frozen=True)
class Found:
    """What is found of a problem once it is planned.

    Attributes
    ----------
    plan : Plan
        With the loops of its candidates.
    floor : float
    advice : Conditioning or None
    accuracy, held_out : ExpectedAccuracy or None
    """

    plan: Plan
    floor: float
    advice: Conditioning | None
    accuracy: ExpectedAccuracy | None
    held_out: ExpectedAccuracy | None


def asked_of_plan(problem: Any, wanted: Wanted) -> Keywords:
    """Return the options of `plan`."""
    names = ("batch_size", "momenta", "schedules", "weight_decay")
    return {**{name: getattr(wanted, name) for name in names}, "sampling": _planned_with(problem, wanted)}


@singledispatch
def _planned_with(problem: Any, wanted: Wanted) -> Any:
    """The sampling that a plan is for."""
    del problem
    return wanted.sampling


@singledispatch
def found_of(problem: Any, plan: Plan, wanted: Wanted, data: Dataset, held_out: Dataset | None) -> Found:
    """Return what is found of a problem and its plan, on the prepared data and on held-out ones."""
    raise NotImplementedError(type(problem).__name__)


@found_of.register
def _(problem: LeastSquares, plan: Plan, wanted: Wanted, data: Dataset, held_out: Dataset | None) -> Found:
    del wanted
    best = plan.best
    floor, advice = _floor(problem, best.sgd, exact=best.exact), conditioning(problem, replace(best.sgd, schedule=None))
    if data.labels is None or problem.outputs < 2 or best.end is None:
        return Found(plan, floor, advice, None, None)
    other = None if held_out is None else expected_accuracy(best.end, held_out.inputs, held_out.targets)
    return Found(plan, floor, advice, expected_accuracy(best.end), other)


def _floor(problem: LeastSquares, sgd: SGD, *, exact: bool) -> float:
    """The noise floor at the rate, held; of independent batches where the law of epochs costs too much or fails."""
    held = replace(sgd, schedule=None)
    for recipe in [held, independent_batches(held)] if exact or not held.epochs else [independent_batches(held)]:
        try:
            return float(predict(problem, recipe).excess_loss)
        except (NotConverged, UnstableSGD):
            continue
    return float("nan")


@singledispatch
def limit_words(problem: Any, limit: StableLimit) -> str:
    """Return what the limit is."""
    del problem
    more = ", whose noise epochs have on average; theirs is max_stable_lr(found.problem, found.sgd)"
    about = more if limit.method == "independent batches" else ""
    return f"lr {float(limit):.4g} is the largest stable one ({limit.method}{about})"


@singledispatch
def outputs_words(problem: Any, data: Dataset) -> str:
    """Return what the outputs are."""
    del problem
    return data.targets_words


@singledispatch
def recipe_words(problem: Any, sgd: SGD) -> str:
    """Return what the recipe is in torch."""
    return mse_words(sgd, problem.outputs)
