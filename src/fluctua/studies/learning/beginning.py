"""How runs begin: where, in how many groups, and whether there are enough of them."""

from __future__ import annotations

import numpy as np

from ..._arrays import Array
from ..._validate.sizes import refuse_bytes, refuse_work
from ...errors import InvalidInput
from ...simulation.workers import workers_for
from .closure import closed
from .network import RateNetwork, abscissa
from .runs import GROUPS, Begun

__all__ = ["begin", "refuse_few", "relaxed", "sizes_of"]

_ENOUGH = 10  # samples for each element of S, at least, that a regression asks for
_RELAXED = 12.0  # relaxation times of the slowest mode after which a start is forgotten, to 1e-5
_LONGEST = 10**6
_TURN = 100.0  # operations of a neuron's noise and its f
_HELD = 800.0  # bytes for each neuron of a replica: the noise and the activity of a block of steps


def refuse_few(covariance: Array, replicas: int, steps: int) -> None:
    """Refuse a regression of too few samples: 10 for each element of S at least."""
    samples, least = replicas * steps, _ENOUGH * covariance.size
    if samples < least:
        raise InvalidInput(
            f"a regression of {len(covariance)} neurons needs at least {_ENOUGH} n^2 = {least:,} samples, and "
            f"{replicas} replicas of {steps} steps are {samples:,}: it inverts a covariance whose condition number is "
            f"{np.linalg.cond(covariance):.3g}. Use more steps or replicas."
        )


def begin(
    net: RateNetwork,
    steps: int,
    sizes: tuple[int, ...],
    entropy: np.random.SeedSequence,
    threads: int | None,
    burn: int | None = None,
) -> Begun:
    """Return how a run begins: in the stationary state of a linear network; near that of a closure, with a burn-in."""
    refuse_bytes(f"replicas = {sum(sizes)}", _HELD * net.neurons * max(sizes), "Use fewer replicas.")
    flops = float(sum(sizes)) * (steps + (burn or 0)) * net.neurons * (4.0 * net.neurons + _TURN)
    refuse_work(f"steps = {steps + (burn or 0):,} of {sum(sizes)} replicas", flops, "Use fewer steps or replicas.")
    gains = None if net.linear else closed(net).gains
    root = np.asarray(np.linalg.cholesky(net.balanced(gains).solved(2 * net.noise * np.eye(net.neurons))))
    if burn is None:
        burn = 0 if net.linear else relaxed(net, gains)
    return Begun(net, root, burn, steps, sizes, entropy, workers_for(threads))


def relaxed(net: RateNetwork, gains: Array | None, times: float = _RELAXED) -> int:
    """Return after how many steps a start is forgotten: so many relaxation times of the slowest mode."""
    gap = 1 - abscissa(np.eye(net.neurons) - net.relaxation(gains))
    found = times / (net.dt * max(gap, 1e-12))
    if found > _LONGEST:
        raise InvalidInput(
            f"the slowest mode of the network relaxes in {1 / (net.dt * gap):,.0f} steps: {times:g} times that is "
            f"longer than any run. Use a smaller gain."
        )
    return int(np.ceil(found))


def sizes_of(replicas: int) -> tuple[int, ...]:
    """Return how many replicas each group has."""
    groups = min(GROUPS, replicas)
    return tuple(len(part) for part in np.array_split(np.arange(replicas), groups))
