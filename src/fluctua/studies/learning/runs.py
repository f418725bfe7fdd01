"""Runs of the network: one that only fluctuates, and one that learns beside a twin with the same noise.

Replicas fall into groups of independent streams, whose spread is every error bar. Nothing is stored but sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..._arrays import Array
from ...simulation.batches import generators
from ...simulation.groups import in_groups
from ...simulation.interrupts import deferred
from ...simulation.kept import Pack
from ...simulation.workers import Clock
from .network import RateNetwork
from .tasks import Tasks

__all__ = ["GROUPS", "Begun", "Watched", "learn", "watch"]

GROUPS = 32
"""Groups of replicas, at most."""
_BLOCK = 32  # steps whose noise is drawn at once

Report = Callable[[float], None] | None
_Work = Callable[["Begun", np.random.Generator, int, Clock], Pack]


@dataclass(frozen=True)
class Begun:
    """How the replicas of a run start, and how long they go on.

    Attributes
    ----------
    net : RateNetwork
    root : ndarray, (n, n)
        A square root of the covariance at the start.
    burn, steps : int
        Steps before the first look, and steps of the window: every one of them is looked at.
    sizes : tuple of int
        Replicas of each group.
    entropy : numpy.random.SeedSequence
    threads : int
    """

    net: RateNetwork
    root: Array
    burn: int
    steps: int
    sizes: tuple[int, ...]
    entropy: np.random.SeedSequence
    threads: int


@dataclass(frozen=True)
class Watched:
    """Sums over the looks at spontaneous activity, group by group.

    Attributes
    ----------
    covariance, lagged : ndarray, (g, n, n)
        E[x x^T] and E[x(t+1) x(t)^T].
    gains : ndarray, (g, n)
        Mean slope of f at each neuron.
    """

    covariance: Array
    lagged: Array
    gains: Array


def watch(begun: Begun, progress: Report = None) -> Watched:
    """Run the network without an input, and look at it and at its next step.

    Notes
    -----
    Cost per replica: 2 n^2 flops a step, and 4 n^2 a look.
    """
    found = _all(begun, _spontaneous, progress)
    return Watched(*(np.array(each) for each in zip(*found, strict=True)))


def learn(begun: Begun, tasks: Tasks, curve: Sequence[float], progress: Report = None) -> tuple[Array, Array]:
    r"""Run the network with each input, its derivative by what is learned, and the first task learned to each strength.

    What the same noise makes without an input is taken off: its mean is zero by symmetry, and with the same noise
    most of the fluctuation goes with it, all of it where the network is linear.

    Returns
    -------
    speeds : ndarray, (g, t)
        d(xi . x)/d eps of each task.
    overlaps : ndarray, (g, k)
        xi . x of the first task after learning by each strength of `curve`, less that before.

    Notes
    -----
    Cost per replica and step: 4 n^2 flops for each task, 2 n^2 for each input and 4 n^2 for each strength.
    """
    found = _all(begun, partial(_learned, tasks, tuple(curve)), progress)
    speeds, overlaps = zip(*found, strict=True)
    return np.array(speeds), np.array(overlaps)


def _all(begun: Begun, work: _Work, progress: Report) -> list[Pack]:
    """Every group's part of a run, in order."""
    clock = Clock(len(begun.sizes) * (begun.burn + begun.steps), progress)
    groups = list(zip(generators(begun.entropy, len(begun.sizes)), begun.sizes, strict=True))
    shared = replace(begun, threads=1), work
    with deferred(clock.stop), closing(in_groups(_group, shared, groups, begun.threads, clock)) as found:
        return list(found)


def _group(shared: tuple[Begun, _Work], group: tuple[np.random.Generator, int], clock: Clock) -> Pack:
    begun, work = shared
    return work(begun, *group, clock)


def _learned(
    tasks: Tasks, curve: Sequence[float], begun: Begun, rng: np.random.Generator, size: int, clock: Clock
) -> Pack:
    return _Learning(begun, tasks, curve, rng, size).run(clock)


def _noise(begun: Begun, rng: np.random.Generator, size: int) -> Iterator[Array]:
    """What the noise adds to the activity in each step, (replicas, n)."""
    net = begun.net
    scale = float(np.sqrt(2 * net.noise * net.dt))
    while True:
        block = rng.standard_normal((_BLOCK, size, net.neurons))
        block *= scale
        yield from block


class _Stepper:
    """One step of the activity, (..., n), in place: x + dt (f(g (W x + gamma u)) - x) + noise."""

    def __init__(self, net: RateNetwork, coupling: Array) -> None:
        self.net, self.heard = net, np.ascontiguousarray(net.gain * coupling.T)

    def step(self, x: Array, pushed: Array | float, noise: Array) -> Array:
        """Return the slopes of f on the way, (..., n); for a linear network 1."""
        value = x @ self.heard
        value += pushed
        slopes = np.ones(1)
        if not self.net.linear:
            np.tanh(value, out=value)
            slopes = 1 - value**2
        value -= x
        value *= self.net.dt
        x += value
        x += noise
        return slopes


def _spontaneous(begun: Begun, rng: np.random.Generator, size: int, clock: Clock) -> tuple[Array, Array, Array]:
    """Sums over a window; the products of a block of steps are one matrix product."""
    net = begun.net
    stepper, noise = _Stepper(net, net.coupling), _noise(begun, rng, size)
    x = rng.standard_normal((size, net.neurons)) @ begun.root.T
    now, one, gains = np.zeros_like(net.coupling), np.zeros_like(net.coupling), np.zeros(net.neurons)
    for _ in range(begun.burn):
        clock.tick()
        stepper.step(x, 0.0, next(noise))
    seen = np.empty((_BLOCK + 1, size, net.neurons))
    seen[0] = x
    for first in range(0, begun.steps, _BLOCK):
        count = min(_BLOCK, begun.steps - first)
        for k in range(count):
            clock.tick()
            slopes = stepper.step(x, 0.0, next(noise))
            seen[k + 1] = x
            gains += slopes.sum(axis=0) if slopes.ndim > 1 else size
        before, after = (part.reshape(-1, net.neurons) for part in (seen[:count], seen[1 : count + 1]))
        now += before.T @ before
        one += after.T @ before
        seen[0] = x
    samples = size * begun.steps
    return now / samples, one / samples, gains / samples


class _Learning:
    """One group that learns, and its twin without an input."""

    def __init__(self, begun: Begun, tasks: Tasks, curve: Sequence[float], rng: np.random.Generator, size: int) -> None:
        net = begun.net
        self.begun, self.tasks, self.noise = begun, tasks, _noise(begun, rng, size)
        given, self.which = tasks.distinct()
        start = rng.standard_normal((size, net.neurons)) @ begun.root.T
        silent = np.vstack([given, np.zeros(net.neurons)])
        self.pushed = net.gain * net.input_gain * silent[:, None]
        self.active = np.repeat(start[None], len(silent), axis=0)
        self.stepper = _Stepper(net, net.coupling)
        self.moved = np.zeros((2, len(tasks), size, net.neurons))
        u, xi = tasks.inputs[0], tasks.targets[0]
        self.learned = [_Stepper(net, net.coupling + strength * np.multiply.outer(xi, u)) for strength in curve]
        self.grown = np.repeat(start[None, None], 2 * len(curve), axis=0).reshape(len(curve), 2, size, net.neurons)

    def run(self, clock: Clock) -> tuple[Array, Array]:
        """To the end; means over the window."""
        begun, tasks = self.begun, self.tasks
        speeds, overlaps = np.zeros(len(tasks)), np.zeros(len(self.learned))
        for step in range(begun.burn + begun.steps):
            clock.tick()
            self._step()
            if step >= begun.burn:
                speeds += np.einsum("trn,tn->t", self.moved[0] - self.moved[1], tasks.targets)
                overlaps += self._overlaps()
        samples = self.moved.shape[2] * begun.steps
        return speeds / samples, overlaps / samples

    def _step(self) -> None:
        """Everyone on the same noise; a derivative follows the activity that it is of, before that steps."""
        noise, net, tasks = next(self.noise), self.begun.net, self.tasks
        before = np.stack([self.active[self.which], np.broadcast_to(self.active[-1], self.moved.shape[1:])])
        slopes = self.stepper.step(self.active, self.pushed, noise)
        seen = np.einsum("btrn,tn->btr", before, tasks.inputs)
        change = self.moved @ self.stepper.heard
        change += net.gain * seen[..., None] * tasks.targets[:, None]
        if slopes.ndim > 1:
            change[0] *= slopes[self.which]
            change[1] *= slopes[-1]
        change -= self.moved
        change *= net.dt
        self.moved += change
        for stepper, grown in zip(self.learned, self.grown, strict=True):
            stepper.step(grown, self.pushed[[self.which[0], -1]], noise)

    def _overlaps(self) -> Array:
        """What learning added to xi . x of the first task, less that without its input, summed over replicas, (k,)."""
        before = self.active[self.which[0]] - self.active[-1]
        grown = self.grown[:, 0] - self.grown[:, 1]
        return np.asarray((grown - before).sum(axis=1) @ self.tasks.targets[0])
