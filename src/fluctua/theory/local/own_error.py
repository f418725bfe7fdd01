r"""What a rung of a head may be off by, from the terms of the same order that it leaves out (F75).

K and X are not all that is of order S^2 in the loss: so are fourth derivatives, 1/8 L''''[S, S], and the skewness of
the noise, which third derivatives feel. Where there are few or uneven samples of a class, or inputs of heavy tails,
they are as large as u, and u may cancel.
"""

from __future__ import annotations

import numpy as np

from ..._arrays import Array, Ints
from ...problem.softmax.logits import fourth
from ...problem.softmax.picture import Picture
from ...problem.softmax.sums import logits_of
from ..fixed_points import NoStationaryState
from .balance import Balance
from .epoch_error import crowding_of
from .ladder import FEEDING, LocalRung

__all__ = ["EDGE", "share_of", "stated_error"]

EDGE = 0.1  # anharmonicity from which a floor is known to a few per cent only
_SHARE = 0.25  # of u, by which "anharmonic" may be off inside the bowl
_SAMPLES, _NODES = 128, 16  # of a double average over samples; of the integral over time


def stated_error(balance: Balance, rung: LocalRung) -> float:
    """Return what the floor of a rung may be off by, relative; 0 of the rungs that leave K out, infinite without one.

    The largest of u (a quarter of it for "anharmonic" inside the bowl), and of the two terms that u does not have; at
    the edge of the bowl, where the next order counts, the sum. In shuffled epochs, besides, what their law leaves out
    (F167).
    """
    u = abs(balance.anharmonicity)
    if rung not in FEEDING or not np.isfinite(u):
        return 0.0 if rung not in FEEDING else u
    terms = [share_of(balance, rung) * u, *map(abs, _unseen(balance))]
    return (sum(terms) if u > EDGE else max(terms)) + _of_epochs(balance)


def _of_epochs(balance: Balance) -> float:
    """What batches remember of one another beyond the law; where F44 is the law, all that follows it."""
    if balance.left_out is not None:
        return balance.left_out.of_loss()
    return crowding_of(balance.picture)[0] if balance.sgd.epochs and balance.source.kappa > 0 else 0.0


def share_of(balance: Balance, rung: LocalRung) -> float:
    """Return the share of what third derivatives add by which a rung may be off."""
    return _SHARE if rung == "anharmonic" and abs(balance.anharmonicity) <= EDGE else 1.0


def _unseen(balance: Balance) -> tuple[float, float]:
    """Shares of the floor that fourth derivatives and the skewness of the noise have."""
    try:
        state = balance.state("multiplicative")
    except NoStationaryState:
        return float("inf"), float("inf")
    if state.excess_loss == 0.0:
        return 0.0, 0.0
    rate = balance.sgd.step.effective_lr(balance.sgd.lr) * balance.source.kappa
    skewed = rate**2 * _of_skewness(balance.picture)
    return _of_fourth(balance.picture, state.covariance) / state.excess_loss, skewed / state.excess_loss


def _of_fourth(picture: Picture, covariance: Array) -> float:
    """1/8 L''''[S, S]."""
    head = picture.place.head
    forms = head.frame @ picture.forms(covariance) @ head.frame.T
    return float(head.weighed(fourth(picture.place.p, forms)).mean() / 8)


def _of_skewness(picture: Picture) -> float:
    """1/6 L''' times the third cumulant of V at a rate and kappa of 1, to lowest order: an integral over time.

    Between random samples, those that push and those whose logits are moved.
    """
    place, h = picture.place, picture.curvatures
    felt, pushing = (_some(len(place.head.z), seed) for seed in (0, 1))
    gradients = place.residuals[pushing, :, None] * place.head.z[pushing, None, :]
    pushes = gradients.reshape(len(pushing), -1) @ picture.basis
    pushes += place.head.weight_decay * picture.optimum  # less their mean
    counts = np.ones(len(pushing)) if picture.importance is None else picture.importance[pushing] ** 2
    times, apart = np.linspace(np.log(1e-3 / h[0]), np.log(12 / h[-1]), _NODES, retstep=True)
    each = [t * _felt(picture, pushes * np.exp(-h * t), felt) @ counts for t in np.exp(times)]
    return float(-apart * np.sum(each) / len(pushing) / 6)


def _felt(picture: Picture, pushes: Array, samples: Ints) -> Array:
    """Third derivative of the loss of some samples along each push, (n,)."""
    head, p = picture.place.head, picture.place.p[samples][:, None]
    moves = (pushes @ picture.basis.T).reshape(-1, head.z.shape[1])  # (n k, r)
    logits = logits_of(head.z[samples], moves).reshape(len(samples), len(pushes), -1) @ head.frame.T
    cubes = (p * (logits - (p * logits).sum(axis=-1, keepdims=True)) ** 3).sum(axis=-1)
    factors = 1.0 if head.factors is None else head.factors[samples, None]
    return np.asarray((factors * cubes).mean(axis=0))


def _some(count: int, seed: int) -> Ints:
    return np.random.default_rng(seed).permutation(count)[:_SAMPLES]
