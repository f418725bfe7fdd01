"""What a sampler makes of every mode, level by level: F128 and its two theories below, F132; F129, F130 and F134.

A mode of variance s has the variance v = a^2 s + sigma^2 at each level; the sampler has u there, and a mean that is off
by e. The start is white noise, u = 1 and e = -a_T mu.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from ..._arrays import Array
from ...errors import InvalidInput
from .gaussian import GaussianData
from .sampler import DDIM
from .schedule import Grid
from .steps import Steps, TwoStep, steps_of, two_steps_of

__all__ = ["THEORIES", "Course", "Theory", "angles_of", "course_of", "lost_of", "marginals_of"]

Theory = Literal["ode", "first_order", "exact"]
THEORIES: tuple[Theory, ...] = ("ode", "first_order", "exact")


class Course(NamedTuple):
    """What a sampler has at each of n + 1 levels, in the d modes of the data.

    Attributes
    ----------
    variances, means : ndarray, (n + 1, d)
        u, and the error of the mean e.
    response : ndarray, (n + 1, d)
        What has become of a start that is larger by one; NaN where a theory does not say.
    """

    variances: Array
    means: Array
    response: Array


def marginals_of(data: GaussianData, grid: Grid) -> Array:
    """Return v = a^2 s + sigma^2 at each level, (n + 1, d)."""
    left = grid.alpha_bars
    return np.asarray(np.multiply.outer(left, data.variances) + (1 - left)[:, None])


def angles_of(data: GaussianData, grid: Grid) -> Array:
    """Return theta with tan theta = sigma/(a sqrt s) at each level, (n + 1, d) (F129)."""
    signal = np.multiply.outer(np.sqrt(grid.alpha_bars), np.sqrt(data.variances))
    return np.asarray(np.arctan2(np.sqrt(1 - grid.alpha_bars)[:, None], signal))


def course_of(data: GaussianData, sampler: DDIM, grid: Grid, theory: Theory) -> Course:
    """Return what a theory says of every level.

    Raises
    ------
    InvalidInput
        For a theory that does not cover the solver.
    """
    if theory == "exact":
        return _EXACT[sampler.solver](data, sampler, grid)
    if theory == "first_order" and sampler.solver != "ddim":
        raise InvalidInput(
            f"theory='first_order' is the loss of a step of solver='ddim' to second order in its angle, and "
            f"solver={sampler.solver!r} has none of it. Use theory='exact' or 'ode'."
        )
    return _forgetting(data, grid, sampler.eta, losing=theory == "first_order")


def lost_of(data: GaussianData, sampler: DDIM, grid: Grid, course: Course) -> Array:
    """Return the share of each mode's variance that each step leaves out, (n, d) (F130); 0 where there is none."""
    after = marginals_of(data, grid)[1:]
    if sampler.solver == "ddim":
        omitted = steps_of(grid, sampler.eta).omitted(data.variances)
        return np.divide(omitted, after, out=np.zeros_like(after), where=after > 0)
    if sampler.solver == "corrected":
        return np.zeros_like(after)
    kept = course.variances / np.where(after_all := marginals_of(data, grid), after_all, 1.0)
    return np.asarray(1 - kept[1:] / np.where(kept[:-1] > 0, kept[:-1], 1.0))


def _ddim(data: GaussianData, sampler: DDIM, grid: Grid) -> Course:
    return _marched(data, grid, steps := steps_of(grid, sampler.eta), np.multiply.outer(steps.noise**2, np.ones(1)))


def _corrected(data: GaussianData, sampler: DDIM, grid: Grid) -> Course:
    steps = steps_of(grid, sampler.eta)
    return _marched(data, grid, steps, steps.noise[:, None] ** 2 + steps.omitted(data.variances))


def _marched(data: GaussianData, grid: Grid, steps: Steps, fresh: Array) -> Course:
    """F128: u' = m^2 u + fresh, e' = m e."""
    factors = steps.multiplier(data.variances)
    variances = np.ones((grid.steps + 1, data.features))
    for k, (factor, added) in enumerate(zip(factors**2, fresh, strict=True)):
        variances[k + 1] = factor * variances[k] + added
    response = np.vstack([np.ones(data.features), np.cumprod(factors, axis=0)])
    return Course(variances, response * _first_error(data, grid), response)


def _two_step(data: GaussianData, _sampler: DDIM, grid: Grid) -> Course:
    """F134: the state is x with the guess of the step before; without noise both are multiples of the start."""
    steps: TwoStep = two_steps_of(grid)
    guesses = steps.guess(data.variances)
    response, old = np.ones((grid.steps + 1, data.features)), np.zeros(data.features)
    for k, guess in enumerate(guesses):
        new = guess * response[k]
        response[k + 1] = steps.kept[k] * response[k] + steps.now[k] * new + steps.before[k] * old
        old = new
    return Course(response**2, response * _first_error(data, grid), response)


_EXACT: Mapping[str, Callable[[GaussianData, DDIM, Grid], Course]] = {
    "ddim": _ddim,
    "corrected": _corrected,
    "2m": _two_step,
}


def _first_error(data: GaussianData, grid: Grid) -> Array:
    return np.asarray(-np.sqrt(grid.alpha_bars[0]) * data.mode_mean)


def _forgetting(data: GaussianData, grid: Grid, eta: float, losing: bool) -> Course:
    """F132, without steps: what the start was off by is forgotten; with them each also loses its angle squared."""
    marginals, angles = marginals_of(data, grid), angles_of(data, grid)
    share = np.zeros_like(marginals)
    share[0] = 1 - 1 / marginals[0]
    errors = np.ones_like(marginals)
    for k in range(grid.steps):
        left = _ratio(grid.alpha_bars[k] * marginals[k + 1], grid.alpha_bars[k + 1] * marginals[k])
        kept = left**eta**2
        loss = (1 + eta**2) ** 2 * (angles[k] - angles[k + 1]) ** 2 if losing else 0.0
        share[k + 1] = kept * share[k] + loss
        errors[k + 1] = errors[k] * np.sqrt(kept * marginals[k + 1] / marginals[k])
    nothing = np.full_like(marginals, np.nan)
    return Course(marginals * (1 - share), errors * _first_error(data, grid), nothing)


def _ratio(top: Array, bottom: Array) -> Array:
    return np.asarray(np.clip(top / bottom, 0.0, 1.0))
