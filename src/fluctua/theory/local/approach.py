r"""The loss of a head on its way to W* from anywhere: the path without noise, and the noise about W* beside it.

Far from W* the loss is no quadratic, and the mean path is that of full batches, E L(W_t) = L(path) + noise(t), the
noise what it would be after as many steps from W*. What is left out is how noise differs along the path, and how it
shifts the path: the answer is an estimate, good at the beginning and at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import numpy as np

from ..._arrays import Array
from ...problem.softmax.base import Head
from ...problem.softmax.descent import Place
from ...problem.softmax.optimum import HeadMinimum
from ...recipe.sgd import Recipe
from ..reshuffling.expansion import SOME
from .balance import Balance
from .finite_time import followed
from .ladder import LocalRung

__all__ = ["balance_of", "descent", "discrete_along", "noise_along"]

_RTOL = 1e-3
_PARTS = 300  # of modes, up to which the whole law of an epoch takes about a second


def balance_of(problem: Head, sgd: Recipe) -> Balance:
    """Return the balance that many recipes are asked for: in shuffled epochs roughly where there are many modes.

    The law of an epoch multiplies matrices of all modes, each of two parts with momentum, at some ten places.
    """
    place = sgd.seen(problem).minimum(sgd.weight_decay).place
    parts, numbers = place.theta.size * sgd.step.slots, place.residuals.size * place.theta.size
    return Balance(problem, sgd, rough=bool(sgd.epochs) and (numbers > SOME or parts > _PARTS))


def descent(minimum: HeadMinimum, sgd: Recipe, start: Array) -> Iterator[float]:
    """Yield L(W_t) - L(W*) of full batches from t = 0 on, from weights; infinite where they overflow.

    Notes
    -----
    Cost: 4 N c d flops a step.
    """
    problem, head = minimum.problem, minimum.place.head
    theta = problem.reduced(start)
    rest = np.linalg.norm(start - problem.expanded(theta))  # which weight decay alone moves
    state = np.zeros((sgd.step.slots, theta.size + 1))
    state[0] = [*theta.ravel(), rest]
    for step in count():
        with np.errstate(over="ignore", invalid="ignore"):
            place = Place(head, state[0, :-1].reshape(theta.shape))
            loss = place.loss + 0.5 * sgd.weight_decay * state[0, -1] ** 2 - minimum.loss
            yield float(loss) if np.isfinite(loss) else float("inf")
            gradient = np.append(place.gradient.ravel(), sgd.weight_decay * state[0, -1])
            (motion,), (push,) = sgd.step.along(np.atleast_1d(sgd.rates(step)), step)
            state = motion @ state + np.multiply.outer(push, gradient)


def noise_along(balance: Balance, steps: int) -> Array:
    """Return what noise adds to the loss 0 to `steps` steps from W*, (steps + 1,).

    That of "anharmonic", at each step as much of it as "multiplicative" has of its own; "discrete" in shuffled epochs.

    Raises
    ------
    NoStationaryState
        Where there is none.
    """
    settled = balance.state("anharmonic").excess_loss
    if not balance.picture.complete:
        return np.full(steps + 1, settled)
    rung: LocalRung = "discrete" if balance.sgd.epochs else "multiplicative"
    quadratic = balance.state(rung).excess_loss
    if not steps or not quadratic:
        return np.zeros(steps + 1)
    run = followed(balance, rung, None, steps, _RTOL)
    return np.asarray(run.average([steps], 0.5 * balance.picture.curvatures)[1] * (settled / quadratic))


def discrete_along(balance: Balance, steps: int) -> float:
    """Return what noise that does not feel the fluctuation adds to the loss `steps` steps from W*.

    In shuffled epochs: what they leave of a mode in the end, as much of it as independent batches have by then.
    """
    if not balance.picture.complete or not steps:
        return balance.state("discrete").excess_loss if steps else 0.0
    if not balance.sgd.epochs:
        return float(0.5 * balance.picture.curvatures @ _discrete_variances(balance, steps))
    apart = replace(balance, sgd=replace(balance.sgd, sampling="without_replacement", drop_last=False))
    settled, alike = (np.diag(each.state("discrete").covariance) for each in (balance, apart))
    reached = np.divide(_discrete_variances(apart, steps), alike, out=np.ones_like(alike), where=alike > 0)
    return float(0.5 * balance.picture.curvatures @ (settled * reached))


def _discrete_variances(balance: Balance, steps: int) -> Array:
    return np.diag(followed(balance, "discrete", None, steps, _RTOL).average([steps])[0])
