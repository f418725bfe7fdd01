"""Samplers that are wrong on purpose, and lower rungs: what a verdict has to tell from the sampler asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ...errors import InvalidInput
from .prediction import DiffusionPrediction, predict_gaussian
from .sampler import DDIM
from .schedule import Grid, spaced

__all__ = ["mutants_of"]

_OFF = 0.05


def mutants_of(prediction: DiffusionPrediction) -> Iterator[tuple[str, DiffusionPrediction]]:
    """Yield each by name: eta off by 0.05, the grid shifted, the other end, and the rungs below the exact one."""
    data, sampler = prediction.data, prediction.sampler
    for name, wrong in _wrong(sampler, prediction.grid):
        try:
            yield name, predict_gaussian(data, wrong)
        except InvalidInput:  # no such sampler: an eta without room, or levels that coincide
            continue
    yield "ode", predict_gaussian(data, sampler, theory="ode")
    if sampler.solver == "ddim":
        yield "first order", predict_gaussian(data, sampler, theory="first_order")


def _wrong(sampler: DDIM, grid: Grid) -> Iterator[tuple[str, DDIM]]:
    if sampler.solver != "2m":
        for eta in (sampler.eta + _OFF, sampler.eta - _OFF):
            if eta >= 0:
                yield f"eta {eta:g}", replace(sampler, eta=eta, spacing=grid)
    if (moved := _shifted(sampler, grid)) is not None:
        yield "grid shifted by one training step", replace(sampler, spacing=moved)
    last = 1.0 if sampler.last < 1 else float(sampler.training_alpha_bars[0])
    ends = "1" if last == 1 else "that of the first training step"
    if grid.alpha_bars[-2] <= last:
        other = Grid(np.append(grid.alpha_bars[:-1], last), grid.timesteps)
        yield f"last alpha-bar {ends}", replace(sampler, spacing=other)


def _shifted(sampler: DDIM, grid: Grid) -> Grid | None:
    """The same grid one training step later, or earlier where it begins at the last one; None where neither fits."""
    training, times = sampler.training_alpha_bars, grid.timesteps[:-1]
    up = times[0] <= len(training) - 2
    moved = times + 1 if up else np.maximum(times - 1, 0)
    logs = np.log1p(-training) - np.log(training)
    by = np.interp(moved, places := np.arange(len(training)), logs) - np.interp(times, places, logs)
    alpha_bars = 1 / (1 + grid.noise_to_signal[:-1] * np.exp(by))
    if (np.diff(alpha_bars) <= 0).any() or alpha_bars[-1] >= sampler.last:
        return None
    return spaced(alpha_bars, training, sampler.last)
