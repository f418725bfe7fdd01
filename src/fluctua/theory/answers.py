"""Predictions: the ladder of theories, stationary and at finite time, and the learning curve."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from .._validate.arguments import door
from .._validate.nouns import by_noun
from .._validate.values import choice, positive_int, real_number
from ..problem.device_products import on_device
from ..problem.least_squares import LeastSquares
from ..problem.start import Start
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from .ladder import Rung, rungs_of
from .law import Law
from .needs import refuse_dense
from .prediction import Prediction
from .readings import outside, refuse_curve
from .stability import warn_unstable
from .stationary_state import at_rest

__all__ = ["Prediction", "learning_curve", "predict"]


@by_noun
def predict(
    problem: LeastSquares,
    sgd: Recipe,
    *,
    theory: Rung = "exact",
    average: Average | None = None,
    check_stability: bool = True,
    device: Any = None,
) -> Prediction:
    r"""Predict the stationary fluctuation of SGD around the optimum; `.after(steps)` gives it at finite time.

    Solves F1, H S + S H - eta H S H = eta kappa (C + K[S]), or a rung below it (F7):

    ===========  ============================================================================
    exact        F1: any learning rate, any batch size, any data; independent batches
    discrete     K dropped: the noise does not feel the fluctuation
    langevin     and continuous time, H S + S H = eta kappa C, the source paper's form
    hessian      and C replaced by 2 L(W*) A
    equilibrium  S = c T H^-1, one temperature chosen to match the exact excess loss
    ===========  ============================================================================

    With sampling="shuffle" the state is averaged over the positions of an epoch (docs/shuffle.md); `.at` gives one.
    There "exact" lists all epochs where at most 50,000 differ, and is an expansion in r/N, modes over samples,
    elsewhere: 0.2 % off on digits, see docs/shuffle.md. Where it may be far off, because a small last batch overshoots
    or near the stability limit, random epochs are measured too, and taken where they differ significantly. Schedules,
    averages and dampening are covered as elsewhere (F62 to F64); each epoch is then followed by itself. S, about W*,
    includes the square of a mean of O(eta), and the rungs in continuous time do not exist.

    Of a sampler, `SGLD` and the others, it solves F90, thermal noise included, or a rung of its own ladder below
    "langevin": "full_batch", the step without the noise of batches, and "target", the posterior S = c T H^-1. The
    prediction then has a `.target` and an `.inflation` (docs/samplers.md).

    A head with a cross-entropy loss, `Softmax` or `Logistic`, has rungs of its own and a `LocalPrediction`, with what
    it is worth (docs/softmax.md).

    Parameters
    ----------
    problem : LeastSquares
        The data.
    sgd : SGD
        The recipe, or a sampler.
    theory : str
        Rung of the ladder, from the table; of a sampler's.
    average : EMA or RunningAverage, optional
        Predict this average of the weights along the run instead of the weights: V is then the average less W*.
    check_stability : bool
        If False, a recipe beyond the stability limit gives infinite stationary values instead of an exception;
        `.after` stays exact. The stationary state is then solved where it is first asked for. With a schedule that
        is so too: the stationary values are those at `lr`, held.
    device : str or torch.device, optional
        "cuda", "cuda:1" or "cpu": the Gram matrix, its modes and K are made there by torch, in float64 and K in the
        precision of the inputs; it needs `pip install 'fluctua[torch]'`. None is NumPy.

    Returns
    -------
    Prediction
        The stationary state; `.after(steps)` gives finite times.

    Raises
    ------
    InvalidInput
        For arguments out of range, for batches larger than the data, for what the law of shuffled epochs does not
        cover, and for a sampler whose posterior is improper; `TooLarge` where all modes find no room.
    UnstableSGD
        If no stationary state exists (F12), or the expansion of shuffled epochs fails close to the
        limit and they are too large to measure; the text says which.
    NotConverged
        If the stationary state was not found to the accuracy stated.

    MissingPackage
        With a device, where torch is not installed.

    Warns
    -----
    UncertainFloor
        In shuffled epochs, where the floor may be off by more than 10 % and nothing affordable tells.

    Notes
    -----
    Cost: at most 4 N r^2 flops per application of K, 3 to 10 of them; the lower rungs need none but C. Memory: the
    inputs in the modes, (N, r), and some nine matrices (r, r) of float64; with momentum up to six more. Shuffled
    epochs: some 200 of them for each of 3 to 10 rounds; beyond a million numbers in the projected inputs most are over
    some samples.

    References
    ----------
    Han, Park, Lee and Han, Phys. Rev. E 104, 034126 (2021), arXiv:2106.02220: the theorem for small eta.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> prediction = fl.predict(problem, fl.SGD(lr=0.05, batch_size=8))
    >>> print(f"{prediction.excess_loss:.7f}")
    0.0093549
    >>> print(f"{prediction.after(100).excess_loss:.4f}")
    0.0088
    >>> shuffled = fl.predict(problem, fl.SGD(lr=0.05, batch_size=8, sampling="shuffle"))
    >>> print(f"{shuffled.excess_loss:.4f}; after the smaller last batch, of 5, {shuffled.at(0).excess_loss:.4f}")
    0.0083; after the smaller last batch, of 5, 0.0114
    """
    door(problem, sgd, samplers=True, average=average, check_stability=check_stability)
    choice("theory", theory, rungs_of(sgd))
    problem = on_device(sgd.seen(problem), device)
    refuse_dense(problem, sgd.step.slots)
    prediction = Prediction(Law(problem, sgd, theory, average))
    if check_stability and sgd.schedule is None:
        prediction = replace(prediction, moments=at_rest(prediction.law, check=True))
    return prediction if theory != "equilibrium" else prediction.equilibrated()


def learning_curve(
    problem: LeastSquares,
    sgd: Recipe,
    steps: int,
    *,
    start: ArrayLike | str = "zero",
    theory: Rung = "exact",
    average: Average | None = None,
    rtol: float = 1e-4,
) -> Array:
    """Return E L(W_t) - L(W*) at every step t = 0..steps, (steps + 1,): exact, no fitting (F9).

    In shuffled epochs it is as exact as `predict` is there.

    Parameters
    ----------
    problem : LeastSquares
        The data.
    sgd : SGD
        The recipe. It need not be stable: the curve of a diverging run is as exact as any other.
    steps : int
        The last step.
    start : "zero", "optimum" or array_like, (c, d)
        W(0), without spread.
    theory : str
        Rung of the ladder, as in `predict`.
    average : EMA or RunningAverage, optional
        The loss of this average of the weights, instead of the weights'.
    rtol : float
        Relative accuracy asked of every mode's variance; from 1e-4 on, the default, the loss is held to 1e-6 or finer.
        The expansion of shuffled epochs is followed to 1e-3, finer than it is.

    Returns
    -------
    ndarray, (steps + 1,)
        Excess losses from t = 0 on, in units of the squared targets.

    Raises
    ------
    InvalidInput
        For arguments out of range, and if so many steps do not fit into memory.
    NotConverged
        If the limit that a schedule's rates are compared with was not found to the accuracy stated.

    Warns
    -----
    UnstableRates
        Where a schedule's rate is above the stability limit at some step.

    Notes
    -----
    Cost: passes over the samples, 4 N r^2 flops each, and time and memory in proportion to the steps. On digits with
    lr 0.05 and b = 8 they were 96 for 200 steps and 205 for 20,000; with rtol 1e-2, 24 for 2,000.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> curve = fl.learning_curve(problem, fl.SGD(lr=0.05, batch_size=8), steps=200)
    >>> print(curve[[0, 1, 10, 100, 200]].round(6))
    [0.345059 0.31284  0.236022 0.070483 0.042923]
    """
    door(problem, sgd, samplers=True, average=average)
    choice("theory", theory, rungs_of(sgd))
    law = Law(problem, sgd, theory, average)
    last, tolerance = positive_int("steps", steps, minimum=0), real_number("rtol", rtol, above=0.0)
    refuse_curve(last)
    begin = Start.at(law.minimum, start)
    warn_unstable(problem, sgd, last, feeds_back=law.feeds_back)
    relaxation = law.relaxation(None if begin is None else begin.modes, last, tolerance)
    curve = relaxation.average([last], 0.5 * law.minimum.curvatures)[1]
    return np.asarray(curve + outside(law, begin, np.arange(last + 1)))
