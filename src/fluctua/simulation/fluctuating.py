"""Weights that fluctuate about W*, seen twice; and new outputs that are trained from zero on batches of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from ..problem.least_squares import LeastSquares
from ..recipe.sgd import Recipe
from .batches import Draws, generators
from .interrupts import deferred
from .needs import refuse_lagged
from .steppers import minibatch_in_modes, slots
from .workers import Clock, in_order

__all__ = ["GROUPS", "Lagged", "fluctuate", "train_beside"]

GROUPS = 32
"""Groups of replicas, at most, whose spread is the error bar."""
_WINDOW, _SHORTEST, _ORIGINS = 4, 64, 64  # longest lags of a window; the least of them; looks in it


@dataclass(frozen=True)
class Lagged:
    """When weights are seen, and seen again.

    Attributes
    ----------
    lags : tuple of int
        Steps between two looks.
    opened, gap, origins : int
        Step of the first look, steps between two of them, and their number.
    replicas, outputs, width : int
        And how many numbers each output's state has.
    """

    lags: tuple[int, ...]
    opened: int
    gap: int
    origins: int
    replicas: int
    outputs: int
    width: int

    @classmethod
    def of(cls, problem: LeastSquares, sgd: Recipe, lags: Sequence[int], replicas: int) -> Lagged:
        """Return a window behind a burn-in, four times as long as the longest lag."""
        longest = max(*lags, _SHORTEST)
        gap = _WINDOW * longest // _ORIGINS
        width = slots(sgd) * problem.rank
        found = cls(tuple(lags), longest, gap, _ORIGINS, replicas, problem.outputs, width)
        refuse_lagged(problem, sgd, found.steps, replicas, len(lags) * min(_ORIGINS, 1 + max(lags) // gap))
        return found

    @property
    def steps(self) -> int:
        """Of a run."""
        return self.opened + self.gap * (self.origins - 1) + max(self.lags)

    @property
    def rows(self) -> int:
        """Pairs of looks at an output's weights."""
        return self.replicas * self.outputs * self.origins

    @property
    def sizes(self) -> list[int]:
        """Replicas of each group."""
        return [len(part) for part in np.array_split(np.arange(self.replicas), min(GROUPS, self.replicas))]


def fluctuate(
    problem: LeastSquares,
    sgd: Recipe,
    seen: Lagged,
    root: np.random.SeedSequence,
    threads: int,
    progress: Callable[[float], None] | None = None,
) -> tuple[Array, Array]:
    """Run replicas from W* and return E[s(t)^T s(t)], (g, q, q), and E[s(t)^T V(t + lag)], (g, k, q, r), per group.

    s is the state in the modes: V, and with momentum its memory behind it.

    Notes
    -----
    Cost per replica: 4 b c r flops a step, and 2 c q r for each lag of a look.
    """
    stepper = minibatch_in_modes(problem, sgd)

    def run(rngs: list[np.random.Generator], clock: Clock) -> tuple[Array, Array]:
        state = np.zeros((slots(sgd), len(rngs), problem.outputs, problem.rank))
        draws = Draws(rngs, problem.samples, sgd)
        now, lagged = np.zeros((seen.width,) * 2), np.zeros((len(seen.lags), seen.width, problem.rank))
        waiting: dict[int, Array] = {}
        origins = set(range(seen.opened, seen.opened + seen.gap * seen.origins, seen.gap))
        for step in range(seen.steps + 1):
            if step in origins:
                waiting[step] = np.concatenate(list(state), axis=-1).reshape(-1, seen.width)
                now += waiting[step].T @ waiting[step]
            for k, lag in enumerate(seen.lags):
                if step - lag in waiting:
                    lagged[k] += waiting[step - lag].T @ state[0].reshape(-1, problem.rank)
            waiting.pop(step - max(seen.lags), None)
            if step < seen.steps:
                clock.tick()
                stepper(state, draws, 1, step)
        return now, lagged

    found = _in_groups(run, seen, root, threads, seen.steps, progress)
    return tuple(np.array(each) / seen.rows for each in zip(*found, strict=True))  # type: ignore[return-value]


def train_beside(
    problem: LeastSquares,
    sgd: Recipe,
    seen: Lagged,
    root: np.random.SeedSequence,
    threads: int,
    forms: Array,
    progress: Callable[[float], None] | None = None,
) -> Array:
    """Train replicas from zero and return the products of their weights with `forms`, (R, k, c), after each lag.

    Notes
    -----
    Cost per replica: 4 b c r flops a step.
    """
    stepper, optimum = minibatch_in_modes(problem, sgd), problem.minimum(sgd.weight_decay).mode_weights

    def run(rngs: list[np.random.Generator], clock: Clock) -> Array:
        state = np.zeros((slots(sgd), len(rngs), problem.outputs, problem.rank))
        state[0] -= optimum
        draws = Draws(rngs, problem.samples, sgd)
        found = np.zeros((len(rngs), len(seen.lags), problem.outputs))
        for step in range(max(seen.lags) + 1):
            for k, lag in enumerate(seen.lags):
                if lag == step:
                    found[:, k] = np.einsum("rcp,cp->rc", state[0] + optimum, forms)
            if step < max(seen.lags):
                clock.tick()
                stepper(state, draws, 1, step)
        return found

    return np.concatenate(_in_groups(run, seen, root, threads, max(seen.lags), progress))


def _in_groups(
    work: Callable[[list[np.random.Generator], Clock], object],
    seen: Lagged,
    root: np.random.SeedSequence,
    threads: int,
    steps: int,
    progress: Callable[[float], None] | None,
) -> list[Any]:
    """What each group of replicas found, in order."""
    rngs, ends = generators(root, seen.replicas), np.cumsum(seen.sizes)
    groups = [rngs[end - size : end] for end, size in zip(ends, seen.sizes, strict=True)]
    clock = Clock(max(len(groups) * steps, 1), progress)
    with (
        deferred(clock.stop),
        closing(in_order(lambda rngs: work(rngs, clock), groups, threads, clock.stop, clock.look)) as found,
    ):
        return list(found)
