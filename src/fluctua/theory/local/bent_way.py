r"""The rungs beyond the quadratic on the way from W*: what third derivatives have done by then (F168).

What X adds to S is of second order in S, and so goes with the square of what "multiplicative" has reached: what a mode
has times what all have, as others that settle sooner drive a flat one, or its own where rates fall and it keeps more.
The shift of the mean m is driven by the fluctuation and relaxes by itself, V' = m V - e (H m - H m_settled
L_t/L_settled), so that it lags behind: with rates that fall flat modes keep the shift of larger ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..._arrays import Array
from ...recipe.sgd import Recipe
from .balance import Balance, LocalState

__all__ = ["on_the_way", "ratio", "until_settled"]

_PIECE = 2**12
_SETTLED = 20.0  # times the slowest relaxation, after which nothing moves by more than 1e-8


def ratio(one: Array | float, other: Array | float) -> Array:
    """Return one/other, and 1 where both are 0: nothing fluctuates there."""
    one, other = np.broadcast_arrays(one, other)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where((one == 0) & (other == 0), 1.0, one / other))


def on_the_way(
    sgd: Recipe,
    curvatures: Array,
    states: tuple[LocalState, LocalState],
    reached: LocalState,
    curve: Array,
    steps: Sequence[int],
) -> LocalState:
    """Return the law of a rung averaged over `steps` steps from W*.

    Parameters
    ----------
    sgd : Recipe
        As it is run.
    curvatures : ndarray, (r,)
        Of the modes.
    states : (LocalState, LocalState)
        The rung's own stationary state, and that of "multiplicative".
    reached : LocalState
        "multiplicative" averaged over `steps`.
    curve : ndarray, (t + 1,)
        Its excess loss at every step.
    steps : sequence of int
        After the start.
    """
    rest, settled = states
    shift = rest.mean - settled.mean
    crossed = np.multiply.outer(shift, settled.mean + 0.5 * shift)
    bent = rest.covariance - crossed - crossed.T
    whole = rest.excess_loss - float(curvatures @ np.diag(crossed))
    each = np.sqrt(ratio(np.diag(reached.covariance), np.diag(settled.covariance)))
    shares = np.multiply.outer(each, each)
    share = float(ratio(reached.excess_loss, settled.excess_loss))
    covariance = shares * (settled.covariance + np.maximum(shares, share) * (bent - settled.covariance))
    shifts = _shifts(sgd, curvatures, shift, ratio(curve, settled.excess_loss) if shift.any() else curve, steps)
    mean = shifts.mean(axis=0)
    moved = (
        shifts.T @ shifts / len(shifts) + np.multiply.outer(reached.mean, mean) + np.multiply.outer(mean, reached.mean)
    )
    beyond = float(ratio(whole, settled.excess_loss)) - 1
    excess = reached.excess_loss * (1 + beyond * share) + float(0.5 * curvatures @ np.diag(moved))
    return LocalState(covariance + moved, reached.mean + mean, excess, rest.error)


def until_settled(balance: Balance, slowest: float, steps: Sequence[int]) -> tuple[int, ...]:
    """Return steps with the same law, none long after it has settled: at a constant rate nothing changes any more.

    In epochs a step keeps its place in them. Noise that feels the fluctuation settles later near the limit.

    Parameters
    ----------
    balance : Balance
        Problem and recipe.
    slowest : float
        Steps in which the mean of the slowest mode shrinks by e.
    steps : sequence of int
        After the start.
    """
    sgd, last = balance.sgd, max(steps)
    if sgd.schedule is not None or _SETTLED * slowest >= last:
        return tuple(steps)
    settled = _SETTLED * slowest / max(1 - sgd.lr / float(balance.limit), _SETTLED * slowest / last)
    epoch = len(sgd.batch_sizes(balance.picture.population)) if sgd.epochs else 1
    first = epoch * (int(settled) // epoch + 1)
    return tuple(sorted(t if t < first else first + (t - first) % epoch for t in steps))


def _shifts(sgd: Recipe, curvatures: Array, settled: Array, loudness: Array, steps: Sequence[int]) -> Array:
    """M at each of `steps`, (n, r), from 0, driven by what settles it where the loudness is 1."""
    found, wanted, state = {0: np.zeros_like(settled)}, set(steps), np.zeros((sgd.step.slots, len(settled)))
    last = max(steps)
    if not settled.any():
        return np.zeros((len(steps), len(settled)))
    for first in range(0, last, _PIECE):
        times = np.arange(first, min(first + _PIECE, last))
        motions, pushes = sgd.step.along(sgd.rates(times), first)
        for t, motion, push in zip(times.tolist(), motions, pushes, strict=True):
            state = motion @ state + np.multiply.outer(push, curvatures * (state[0] - settled * loudness[t]))
            if t + 1 in wanted:
                found[t + 1] = state[0].copy()
    return np.array([found[t] for t in steps])
