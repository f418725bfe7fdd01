"""What a step does: x' = a' x0hat + kap eps + vs z, its numbers at every level of a grid (F128)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._arrays import Array
from ...errors import InvalidInput
from .schedule import Grid

__all__ = ["Steps", "steps_of"]


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
        """g = a' - a kap/sigma, the weight of x0hat beside that of x, (n,)."""
        return np.asarray(self.to_a - self.a * self.kap / self.sigma)

    def marginal(self, variances: Array) -> Array:
        """v = a^2 s + sigma^2 of the levels of departure, (n, d)."""
        return np.asarray(np.multiply.outer(self.a**2, variances) + self.sigma[:, None] ** 2)

    def multiplier(self, variances: Array) -> Array:
        """m = (a a' s + sigma kap)/v, by which a step multiplies a mode of variance s, (n, d)."""
        top = np.multiply.outer(self.a * self.to_a, variances) + (self.sigma * self.kap)[:, None]
        return np.asarray(top / self.marginal(variances))

    def omitted(self, variances: Array) -> Array:
        """g^2 Var(x0|x), the variance that a step leaves out, (n, d)."""
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
