"""Which draws are used: after how many steps a chain has forgotten its start, and how many draws are independent.

Both follow from the law under test and not from the draws: a mode forgets in `relaxation_steps`, its square twice as
fast, so that draws `every` steps apart are worth tanh(every/tau) independent ones each, for its variance. Batches feed
squares back, so that these are slower near the stability limit (`slowed`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..._arrays import Array
from ...errors import InvalidInput

__all__ = ["Used", "slowed", "worth"]

_LEFT = 0.1  # of the standard error of one draw of every chain: what the start may leave
_APART = 50.0  # relaxation times in a block, so that blocks are as good as independent: a bar is low by 1 % at most
_UNITS = 512  # blocks of all chains at most


@dataclass(frozen=True)
class Used:
    """The draws that are used.

    Attributes
    ----------
    first : int
        Of each chain, the number of the first one.
    blocks : int
        In how many stretches each chain is cut, each as good as a chain of its own.
    """

    first: int = 0
    blocks: int = 1

    @classmethod
    def settled(cls, opening: Array, variances: Array, relaxation: Array, share: float, steps: int, every: int) -> Used:
        """Return the draws from which on a chain has forgotten where it began.

        Parameters
        ----------
        opening : ndarray, (chains, c, r)
            The first draws, in the modes about W*.
        variances, relaxation : ndarray, (r,)
            S_pp and the relaxation steps of the law.
        share : float
            Of the stability limit, the learning rate.
        steps, every : int
            Draws of each chain, and steps from one to the next.

        Raises
        ------
        InvalidInput
            Where less than one relaxation time of the slowest mode is left.
        """
        squares = slowed(relaxation, share)
        slowest = float(squares.max())
        burn = _burn_in(opening, variances, relaxation, squares)
        needed = math.ceil((burn + slowest) / every)
        if steps < needed:
            raise InvalidInput(_too_few(burn, slowest, steps, every, needed))
        first = math.ceil(burn / every)
        left = (steps - first) * every
        blocks = max(1, min(int(left / (_APART * slowest)), _UNITS // len(opening)))
        return cls(first, blocks)


def slowed(relaxation: Array, share: float) -> Array:
    """Return the relaxation steps of modes whose squares are as slow as batches make them, (r,).

    A square keeps q = exp(-2/tau) of itself in a step, and q + share (1 - q) with the feedback: all of it at the limit.
    A single mode of SGLD keeps 1 - 2 lr h (1 - share), which is less by (1 - share) (lr h)^2.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(-2 / np.log1p((1 - share) * np.expm1(-2 / np.maximum(relaxation, 1e-300))))


def _burn_in(opening: Array, variances: Array, relaxation: Array, squares: Array) -> float:
    """Steps after which the start leaves less than `_LEFT` of the error of one draw of every chain."""
    chains, outputs, _ = opening.shape
    with np.errstate(divide="ignore", over="ignore"):
        mean = np.abs(opening.mean(axis=0)).max(axis=0) / np.sqrt(variances / outputs / chains)
        square = np.abs((opening**2).sum(axis=1).mean(axis=0) / variances - 1) / np.sqrt(2 / (chains * outputs))
        steps = np.maximum(relaxation * np.log(mean / _LEFT), squares * 0.5 * np.log(square / _LEFT))
    return max(0.0, float(steps.max()))


def _too_few(burn: float, slowest: float, steps: int, every: int, needed: int) -> str:
    step = "" if every == 1 else f", {every:,} steps apart,"
    return (
        f"draws has {steps:,} draws a chain{step} and at least {needed:,} are needed: by the law the slowest mode "
        f"relaxes in {slowest:,.0f} steps, and the chains forget where they begin in {burn:,.0f}. Run longer chains; "
        f"or test the law at finite time: pass start=, the weights that every chain began from, or law.after(steps)."
    )


def worth(relaxation: Array, every: int) -> Array:
    """Return how many independent draws one is worth, for the variance of each mode whose square relaxes so, (r,)."""
    return np.asarray(np.tanh(every / np.maximum(relaxation, 1e-300)))
