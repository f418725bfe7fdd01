"""Recipes as loops in torch: those of a plan, with what they are expected to end with, and any other."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from .._validate.arguments import door
from .._validate.values import instance, positive_int
from ..errors import InvalidInput, NotConverged, UncertainSpread
from ..problem.least_squares import LeastSquares
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from ..recipe.torch_loop.loop import Loop
from ..theory.answers import Prediction
from ..theory.heavy_tails import share_of_heavy_tails
from ..theory.outputs_alike import rough_spread
from ..theory.spread import loss_spread
from .candidates import Candidate
from .search import Search

__all__ = ["torch_code", "with_loops"]

_ESTIMATE = 0.1  # of the excess loss: what an estimate of shuffled epochs on large data was off by (docs/shuffle.md)
_STEP = 10  # samples of a pass that take as long as a step
_A_SECOND = 2e7  # of work: pairs of outputs times samples and steps times squared modes
_RTOL = 1e-2  # of covariances of outputs
_ROUNDING = 1e-6  # of the weights' size


def torch_code(
    problem: LeastSquares,
    sgd: Recipe,
    steps: int,
    *,
    average: Average | None = None,
    prediction: Prediction | None = None,
    loss: str = "half",
    dtype: str = "float32",
) -> str:
    """Return a run of a recipe as a training loop in torch, which can be pasted and runs as it is.

    The text expects `inputs` and `targets`, the NumPy arrays that `LeastSquares` was given (and its `sample_weight`,
    and the `weights` of a `WeightedSampling`, where there are any), and leaves the trained `torch.nn.Linear` as
    `model`. It has the loss, the batches, weights of zero, the optimizer, the scheduler, the average and exactly the
    steps that the recipe stands for, and prints the loss of `model` on all samples at its end.

    Parameters
    ----------
    problem : LeastSquares
        The data.
    sgd : SGD or QHM
        The recipe.
    steps : int
        Length of the run.
    average : EMA or RunningAverage, optional
        Of the weights: `model` is then the average.
    prediction : Prediction, optional
        What the run is expected to end with, `predict(problem, sgd, ...).after(steps, start="zero")`: then the loop
        prints that beside its loss.
    loss : "half" or "mse"
        ``0.5 * ((out - y) ** 2).sum(1).mean()``, or `nn.MSELoss` with the `lr`, the `weight_decay` and the schedule
        with which it makes the same run.
    dtype : "float32" or "float64"
        Of the weights and of the data in the loop.

    Returns
    -------
    str
        Lines of Python.

    Raises
    ------
    InvalidInput
        For arguments out of range, a schedule or an average that does not fit the run, batches larger than the data,
        and a prediction of another run; `UnknownName` for another loss or dtype.

    Notes
    -----
    Cost: none beside the text. torch is not imported.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> code = fl.torch_code(problem, fl.SGD(lr=0.05, batch_size=8, momentum=0.9), steps=300)
    >>> [line for line in code.splitlines() if line.startswith("optimizer")]
    ['optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)']
    """
    door(problem, sgd, average=average)
    loop = Loop.on(sgd.seen(problem), sgd, positive_int("steps", steps), average)
    if prediction is not None:
        instance("prediction", prediction, Prediction, "a prediction, fluctua.predict(problem, sgd).after(steps)")
        _refuse_another(prediction, loop)
        loop = ended(loop, prediction)
    return loop.code(loss, dtype)


def _refuse_another(prediction: Prediction, loop: Loop) -> None:
    """Refuse a prediction of another run."""
    at, whose = prediction.steps, prediction.law
    if at != (loop.steps,) or whose.sgd != loop.sgd or whose.averaging != loop.average:
        raise InvalidInput(
            f"the prediction is of {whose.sgd.words}, {prediction.when}, and the loop of {loop.sgd.words}, after "
            f"{loop.steps:,} steps. Give fluctua.predict(problem, sgd, average=average).after({loop.steps}, "
            f"start='zero')."
        )
    weights, start = whose.minimum.weights, prediction.start
    begins = weights if start is None else weights + start.displacement(whose.minimum.problem.modes)
    if np.abs(begins).max() > _ROUNDING * np.abs(weights).max():
        raise InvalidInput(
            f"the prediction does not start from weights of zero, as the loop does. Give "
            f"fluctua.predict(problem, sgd, average=average).after({loop.steps}, start='zero')."
        )


def ended(loop: Loop, prediction: Prediction) -> Loop:
    """Return the loop with the loss that it is predicted to end with, and its spread between runs."""
    expected = prediction.optimum_loss + prediction.excess_loss
    heavy = share_of_heavy_tails(prediction) is not None
    return replace(loop, expected=expected, spread=_spread(prediction, loop.steps), tails=heavy)


def _spread(prediction: Prediction, steps: int) -> float:
    """The standard deviation of the loss between runs: that of all pairs of outputs where it takes about a second."""
    problem = prediction.law.problem
    pairs = problem.outputs * (problem.outputs + 1) / 2
    if pairs * (problem.samples + _STEP * steps) * problem.rank**2 > _A_SECOND:
        return rough_spread(prediction)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UncertainSpread)  # the loop says so itself
            return loss_spread(prediction, rtol=_RTOL).std
    except (InvalidInput, NotConverged):  # a loop is worth more than its spread
        return rough_spread(prediction)


def with_loops(search: Search, candidates: tuple[Candidate, ...], *, begins: bool) -> tuple[Candidate, ...]:
    """Return the candidates with their loops, which know how they end: the best, and those whose loss is the law's."""
    problem, steps = search.whole, search.steps
    found = [replace(one, loop=Loop.on(problem, one.sgd, steps, begins=begins)) for one in candidates]
    return (_told(search, found[0]), *(_told(search, one) if one.exact else one for one in found[1:]))


def _told(search: Search, one: Candidate) -> Candidate:
    loop, prediction = one.loop, search.end(one.sgd, one.exact)
    assert isinstance(loop, Loop)
    if one.exact:
        return replace(one, loop=ended(loop, prediction), end=prediction)
    excess = prediction.excess_loss
    spread = float(np.hypot(rough_spread(prediction), _ESTIMATE * excess))
    heavy = share_of_heavy_tails(prediction) is not None
    loop = replace(loop, expected=prediction.optimum_loss + excess, spread=spread, about=True, tails=heavy)
    return replace(one, loop=loop, end=prediction)
