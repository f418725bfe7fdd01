"""What a step does: x' = a' x0hat + kap eps + vs z, its numbers at every level of a grid (F128)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._arrays import Array
from ...errors import InvalidInput
from .schedule import Grid

__all__ = ["Steps", "TwoStep", "steps_of", "two_steps_of"]

_FEW = 15  # steps, below which the last step of DPM-Solver++(2M) has no memory


@dataclass(frozen=True)
class Steps:
    """The numbers of the n steps of a grid; x0hat is the guess of the data, eps that of the noise.

    Attributes
    ----------
    a, sigma : ndarray, (n,)
        Of the level from which a step departs.
    to_a, to_sigma : ndarray, (n,)
        Of that at which it arrives.
    kap, noise : ndarray, (n,)
        Factors of eps and of fresh noise z.
    """

    a: Array
    sigma: Array
    to_a: Array
    to_sigma: Array
    kap: Array
    noise: Array

    @property
    def gain(self) -> Array:
        """The weight g = a' - a kap/sigma of x0hat beside that of x, (n,)."""
        return np.asarray(self.to_a - self.a * self.kap / self.sigma)

    def marginal(self, variances: Array) -> Array:
        """Return v = a^2 s + sigma^2 of the levels of departure, (n, d)."""
        return np.asarray(np.multiply.outer(self.a**2, variances) + self.sigma[:, None] ** 2)

    def multiplier(self, variances: Array) -> Array:
        """Return m = (a a' s + sigma kap)/v, by which a step multiplies a mode of variance s, (n, d)."""
        top = np.multiply.outer(self.a * self.to_a, variances) + (self.sigma * self.kap)[:, None]
        return np.asarray(top / self.marginal(variances))

    def omitted(self, variances: Array) -> Array:
        """Return g^2 Var(x0|x), the variance that a step leaves out, (n, d) (F136)."""
        posterior = variances * self.sigma[:, None] ** 2 / self.marginal(variances)
        return np.asarray(self.gain[:, None] ** 2 * posterior)


def steps_of(grid: Grid, eta: float) -> Steps:
    """Return the numbers of the steps of a grid with noise `eta`.

    Raises
    ------
    InvalidInput
        Where eta asks for more noise than the level at which a step arrives has.
    """
    start, end = grid.alpha_bars[:-1], grid.alpha_bars[1:]
    fresh = (1 - end) / (1 - start) * (1 - start / end)
    kept = (1 - end) - eta**2 * fresh
    if (kept < 0).any():
        step = int(np.flatnonzero(kept < 0)[0])
        allowed = float(np.sqrt(np.min((1 - end)[fresh > 0] / fresh[fresh > 0])))
        raise InvalidInput(
            f"eta = {eta:g} asks at step {step} of {grid.steps} for more fresh noise than the level at which that step "
            f"arrives has. Use eta <= {np.floor(allowed * 1e6) / 1e6:.6f} on this grid; 1 is DDPM."
        )
    roots = [np.sqrt(each) for each in (start, 1 - start, end, 1 - end, kept, eta**2 * fresh)]
    return Steps(*(np.asarray(each) for each in roots))


@dataclass(frozen=True)
class TwoStep:
    """DPM-Solver++(2M): x' = kept x + now x0hat + before x0hat_old, its numbers at every level of a grid (F134).

    Attributes
    ----------
    a, sigma : ndarray, (n,)
        Of the level from which a step departs.
    kept, now, before : ndarray, (n,)
        Factors of x, of the guess of the data, and of the guess of the step before.
    """

    a: Array
    sigma: Array
    kept: Array
    now: Array
    before: Array

    def guess(self, variances: Array) -> Array:
        """Return a s/v, the slope of the guess of the data on x, (n, d)."""
        marginal = np.multiply.outer(self.a**2, variances) + self.sigma[:, None] ** 2
        return np.asarray(np.multiply.outer(self.a, variances) / marginal)


def two_steps_of(grid: Grid) -> TwoStep:
    """Return the numbers of DPM-Solver++(2M), F134: the first step, and one to the data themselves, have no memory.

    The last of fewer than 15 steps has none either (`lower_order_final` of diffusers).
    """
    a, sigma = np.sqrt(grid.alpha_bars), np.sqrt(1 - grid.alpha_bars)
    kept = sigma[1:] / sigma[:-1]
    push = a[1:] - kept * a[:-1]
    tilt = np.zeros(grid.steps)
    with np.errstate(divide="ignore"):
        length = np.diff(np.log(a) - np.log(sigma))
    remembers = np.isfinite(length)
    remembers[0] = False
    remembers[-1] &= grid.steps >= _FEW
    where = np.flatnonzero(remembers)
    tilt[where] = length[where] / (2 * length[where - 1])
    return TwoStep(a[:-1], sigma[:-1], kept, push * (1 + tilt), -push * tilt)
