"""How much of the data is left at each training step, and at which of these a sampler stops: diffusers' meanings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array, Ints
from ..._results import Brief, ByValue
from ..._validate.values import real_array
from ...errors import InvalidInput

__all__ = ["BETAS", "SPACINGS", "Betas", "Grid", "Spacing", "karras", "named_betas", "spaced", "timesteps_of"]

Betas = Literal["linear", "scaled_linear", "cosine"]
BETAS: tuple[Betas, ...] = ("linear", "scaled_linear", "cosine")
Spacing = Literal["leading", "trailing", "linspace", "karras", "predicted"]
SPACINGS: tuple[Spacing, ...] = ("leading", "trailing", "linspace", "karras", "predicted")
_CAP = 0.999  # of a beta of the cosine schedule
_RHO, _SIGMA_MIN = 7.0, 0.002


@dataclass(frozen=True, eq=False, repr=False)
class Grid(Brief, ByValue):
    """The noise levels of a sampler, from the noisiest to the end.

    Parameters
    ----------
    alpha_bars : array_like, (n + 1,)
        Share of the data's variance at each level, a^2; n levels from which a step departs, and the end.
    timesteps : array_like, (n + 1,)
        The training step of each level, counted from 0; between two of them by the logarithm of lambda; -1 at the end.

    Attributes
    ----------
    alpha_bars, timesteps : ndarray, (n + 1,)
        As given, in double precision.

    Raises
    ------
    InvalidInput
        For levels that do not rise from noise to data, or lie outside [0, 1].

    Examples
    --------
    >>> from fluctua.studies import diffusion
    >>> diffusion.Grid([0.1, 0.6, 1.0], [500, 200, -1]).steps
    2
    """

    alpha_bars: Array
    timesteps: Array

    def __post_init__(self) -> None:
        levels = real_array("alpha_bars", self.alpha_bars, ndim=1, shape="(steps + 1,)").astype(np.float64)
        times = real_array("timesteps", self.timesteps, ndim=1, shape="(steps + 1,)").astype(np.float64)
        _refuse_levels(levels, times)
        object.__setattr__(self, "alpha_bars", levels)
        object.__setattr__(self, "timesteps", times)

    @property
    def steps(self) -> int:
        """Number of steps, n."""
        return len(self.alpha_bars) - 1

    @property
    def noise_to_signal(self) -> Array:
        """The ratio lambda = (1 - alpha-bar)/alpha-bar at each level, (n + 1,)."""
        return np.asarray((1 - self.alpha_bars) / self.alpha_bars)


def _refuse_levels(levels: Array, times: Array) -> None:
    if levels.shape != times.shape or len(levels) < 2:
        raise InvalidInput(
            f"a grid needs as many timesteps as alpha_bars, and at least two; got {len(times)} and {len(levels)}."
        )
    if levels[0] < 0 or levels[-1] > 1:
        raise InvalidInput(f"alpha_bars must lie in [0, 1], and reach from {levels[0]:g} to {levels[-1]:g}.")
    still = np.append(np.zeros(len(levels) - 2), -1.0)  # the last step may stay at the first training step
    if (bad := np.flatnonzero(np.diff(levels) <= still * (np.diff(levels) == 0))).size:
        k = int(bad[0])
        raise InvalidInput(
            f"alpha_bars must fall with the training step, so that a sampler sees them rise; level {k} has "
            f"{levels[k]:.6g} and level {k + 1} has {levels[k + 1]:.6g}. Check the betas and the order of the levels."
        )


def named_betas(name: str, train_steps: int, start: float, end: float) -> Array:
    """Return the variances added by each training step, (T,)."""
    if name == "linear":
        return np.linspace(start, end, train_steps)
    if name == "scaled_linear":
        return np.linspace(start**0.5, end**0.5, train_steps) ** 2
    time = np.arange(train_steps + 1) / train_steps
    left = np.cos((time + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.asarray(np.minimum(1 - left[1:] / left[:-1], _CAP))


def given_betas(betas: ArrayLike) -> Array:
    """Return a user's own betas, refused outside (0, 1)."""
    array = real_array("betas", betas, ndim=1, shape="(training steps,)").astype(np.float64)
    bad = np.flatnonzero((array <= 0) | (array >= 1))
    if bad.size:
        raise InvalidInput(
            f"betas must lie between 0 and 1, and beta of training step {bad[0]} is {array[bad[0]]:g}: a step of the "
            f"noising keeps the share 1 - beta of the variance. Give the variances themselves, not their roots or sums."
        )
    return array


def timesteps_of(spacing: str, steps: int, train_steps: int, offset: int = 0) -> Ints:
    """Return the training steps at which a sampler stops, the noisiest first, as diffusers has them."""
    if spacing == "leading":
        return np.arange(steps, dtype=np.int64)[::-1] * (train_steps // steps) + offset
    if spacing == "trailing":
        return np.round(np.arange(train_steps, 0, -train_steps / steps))[:steps].astype(np.int64) - 1
    return np.round(np.linspace(0, train_steps - 1, steps))[::-1].astype(np.int64)


def karras(steps: int, largest: float) -> Array:
    """Return the levels of Karras, rho = 7 down to sigma = 0.002, as alpha-bar, (n,); `largest` is lambda there."""
    top, bottom = np.sqrt(largest) ** (1 / _RHO), _SIGMA_MIN ** (1 / _RHO)
    ramp = np.linspace(0, 1, steps) if steps > 1 else np.zeros(1)
    return np.asarray(1 / (1 + (top + ramp * (bottom - top)) ** (2 * _RHO)))


def spaced(alpha_bars: Array, training: Array, last: float) -> Grid:
    """Return the grid of levels between training steps: `alpha_bars`, (n,), and the end."""
    known, asked = np.log1p(-training) - np.log(training), np.log1p(-alpha_bars) - np.log(alpha_bars)
    timesteps = np.interp(asked, known, np.arange(len(training), dtype=float))
    return Grid(np.append(alpha_bars, last), np.append(timesteps, -1.0))
