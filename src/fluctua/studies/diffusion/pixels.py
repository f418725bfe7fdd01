"""The sampler itself, in the coordinates of the data: solves with whole covariances, and no mode of the theory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._arrays import Array
from ..._validate.arrays import plain_array
from ..._validate.values import shown
from ...errors import InvalidInput
from .gaussian import GaussianData
from .sampler import DDIM
from .schedule import Grid
from .steps import steps_of, two_steps_of

__all__ = ["Chain", "Step", "chain_of"]

Step = Callable[..., Any]
"""A user's own: step(x, eps, t, t_prev, rng) -> x at t_prev."""


@dataclass(frozen=True)
class Affine:
    """x -> x matrix + shift, of rows."""

    matrix: Array
    shift: Array

    def __call__(self, x: Array) -> Array:
        return np.asarray(x @ self.matrix + self.shift)


def shrunk(data: GaussianData, alpha_bar: float) -> Array:
    """Return (a^2 C + sigma^2 I)^-1 C at a level, (d, d)."""
    noisy = alpha_bar * data.covariance
    noisy[np.diag_indices_from(noisy)] += 1 - alpha_bar
    return np.asarray(np.linalg.solve(noisy, data.covariance))


def guess_of(data: GaussianData, alpha_bar: float) -> Affine:
    """Return the best guess of the data at a level: x0hat = mu + (x - a mu) W, W = a (a^2 C + sigma^2 I)^-1 C."""
    a = np.sqrt(alpha_bar)
    weight = a * shrunk(data, alpha_bar)
    return Affine(weight, data.mean - a * data.mean @ weight)


class Chain:
    """A sampler of Gaussian data from one level to the next; a block of samples runs through all of them."""

    def __init__(self, features: int, steps: int) -> None:
        self.features, self.steps = features, steps

    def run(self, start: Array, rng: np.random.Generator) -> Array:
        """Return samples, (R, d), of their starts."""
        raise NotImplementedError

    def carried(self) -> tuple[Array, Array]:
        """Return the mean, (d,), and the covariance, (d, d), of all samples: the whole matrices, step by step."""
        raise NotImplementedError


class OneStep(Chain):
    """x' = x A + b + z N at every level: one product of matrices, and a second one where the noise has a covariance."""

    def __init__(self, data: GaussianData, grid: Grid, eta: float, corrected: bool) -> None:
        super().__init__(data.features, grid.steps)
        steps = steps_of(grid, eta)
        self.moves: list[Affine] = []
        self.noises: list[Any] = []
        for k in range(grid.steps):
            guess, along = guess_of(data, grid.alpha_bars[k]), steps.kap[k] / steps.sigma[k]
            matrix = steps.gain[k] * guess.matrix
            matrix[np.diag_indices_from(matrix)] += along
            self.moves.append(Affine(matrix, steps.gain[k] * guess.shift))
            self.noises.append(steps.noise[k])
            if corrected:
                omitted = (steps.gain[k] * steps.sigma[k]) ** 2 * shrunk(data, grid.alpha_bars[k])
                self.noises[k] = _root(omitted, steps.noise[k] ** 2)

    def run(self, start: Array, rng: np.random.Generator) -> Array:
        x = start
        for move, noise in zip(self.moves, self.noises, strict=True):
            x = move(x)
            if np.ndim(noise):
                x += rng.standard_normal(x.shape) @ noise
            elif noise:
                x += noise * rng.standard_normal(x.shape)
        return x

    def carried(self) -> tuple[Array, Array]:
        mean, covariance = np.zeros(self.features), np.eye(self.features)
        for move, noise in zip(self.moves, self.noises, strict=True):
            fresh = noise.T @ noise if np.ndim(noise) else noise**2 * np.eye(self.features)
            mean, covariance = move(mean), move.matrix.T @ covariance @ move.matrix + fresh
        return mean, covariance


class Multistep(Chain):
    """DPM-Solver++(2M), which remembers the guess of the step before."""

    def __init__(self, data: GaussianData, grid: Grid) -> None:
        super().__init__(data.features, grid.steps)
        self.numbers = two_steps_of(grid)
        self.guesses = [guess_of(data, level) for level in grid.alpha_bars[:-1]]

    def run(self, start: Array, rng: np.random.Generator) -> Array:  # noqa: ARG002  (it draws nothing)
        x, old, numbers = start, np.zeros_like(start), self.numbers
        for k, guess in enumerate(self.guesses):
            new = guess(x)
            x = numbers.kept[k] * x + numbers.now[k] * new + numbers.before[k] * old
            old = new
        return x

    def carried(self) -> tuple[Array, Array]:
        ends = self.run(np.vstack([np.zeros(self.features), np.eye(self.features)]), np.random.default_rng(0))
        moved = ends[1:] - ends[0]
        return ends[0], moved.T @ moved


class Called(Chain):
    """The user's own step, which is handed the noise that the best denoiser sees; nothing is known of it."""

    def __init__(self, data: GaussianData, grid: Grid, step: Step) -> None:
        super().__init__(data.features, grid.steps)
        self.step, self.times = step, [_time(t) for t in grid.timesteps]
        self.levels = grid.alpha_bars
        self.guesses = [guess_of(data, level) for level in grid.alpha_bars[:-1]]

    def run(self, start: Array, rng: np.random.Generator) -> Array:
        x = start.copy()
        for k, guess in enumerate(self.guesses):
            a, sigma = np.sqrt(self.levels[k]), np.sqrt(1 - self.levels[k])
            eps = (x - a * guess(x)) / sigma
            x = self._answer(k, x, eps, rng)
        return x

    def _answer(self, k: int, x: Array, eps: Array, rng: np.random.Generator) -> Array:
        shape, t, t_prev = x.shape, self.times[k], self.times[k + 1]
        call = f"step(x, eps, t={t}, t_prev={t_prev}, rng)"
        try:
            answer = self.step(x, eps, t, t_prev, rng)
        except Exception as error:
            raise InvalidInput(
                f"{call} raised {type(error).__name__}: {error}. It is given x and the predicted noise eps, (R, d) in "
                f"float64, and returns x at t_prev; t_prev is -1 at the end."
            ) from error
        moved = plain_array("what step returned", answer)
        if moved.dtype.kind not in "fiu" or moved.shape != shape:
            raise InvalidInput(
                f"{call} returned {shown(answer)}, and x at t_prev has real numbers in the shape {shape}. A step of "
                f"diffusers gives it as .prev_sample."
            )
        if not np.isfinite(moved).all():
            raise InvalidInput(f"{call} returned numbers that are not finite: from there on there is no law to hold.")
        return moved.astype(np.float64)


def chain_of(data: GaussianData, sampler: DDIM, grid: Grid, step: Step | None = None) -> Chain:
    """Return the sampler as it runs, with the user's own step if there is one."""
    if step is not None:
        return Called(data, grid, step)
    if sampler.solver == "2m":
        return Multistep(data, grid)
    return OneStep(data, grid, sampler.eta, sampler.solver == "corrected")


def _root(omitted: Array, noise: float) -> Array:
    """A root of the covariance of a corrected step's noise, from the right."""
    values, vectors = np.linalg.eigh(0.5 * (omitted + omitted.T))
    return np.asarray(np.sqrt(np.maximum(values, 0.0) + noise)[:, None] * vectors.T)


def _time(t: float) -> int | float:
    return int(t) if t == int(t) else float(t)
