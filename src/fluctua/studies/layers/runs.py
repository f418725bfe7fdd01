"""Real runs of two-layer nets: replicas on real batches, looked at at a few steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..._arrays import Array, Ints
from ..._validate.arguments import door
from ..._validate.sizes import refuse_bytes, refuse_work
from ..._validate.values import positive_int, step_list
from ...errors import InvalidInput
from ...recipe.sgd import SGD
from ...simulation.batches import Draws, Rng, generators, seed_sequence
from ...simulation.groups import in_groups
from ...simulation.kept import Pack
from ...simulation.replicas import simulate
from ...simulation.workers import Clock, workers_for
from .covered import refuse_uncovered
from .frame import balance_of
from .measurement import LayersMeasurement
from .net import TwoLayer

__all__ = ["RECORDS", "measured_over", "recorded_steps", "simulate_net"]

RECORDS, _CHUNK, GROUPS = 21, 64, 32


def recorded_steps(steps: int, records: int | Sequence[int] | None) -> Ints:
    """Return the steps that are looked at: as asked, or so many spread over the second half, the last one the end."""
    if records is not None and not isinstance(records, (int, np.integer)):
        asked = np.unique(step_list("records", records))
        if asked[0] < 1 or asked[-1] > steps:
            raise InvalidInput(f"records must be steps from 1 to {steps}, got {asked[0]} to {asked[-1]}.")
        return asked
    looks = min(RECORDS, steps - steps // 2) if records is None else positive_int("records", records)
    if looks > steps:
        raise InvalidInput(f"records = {looks} is more than the {steps} steps of the run; at most every step.")
    first = min(steps // 2 + 1, steps - looks + 1)
    return np.unique(np.round(np.linspace(first, steps, looks)).astype(np.int64))


@simulate.register(TwoLayer)
def simulate_net(
    problem: TwoLayer,
    sgd: SGD,
    *,
    steps: int,
    replicas: int,
    rng: Rng = None,
    records: int | Sequence[int] | None = None,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> LayersMeasurement:
    r"""Run independent replicas of a two-layer net from its start, and measure their fluctuation about their mean.

    Parameters
    ----------
    problem : TwoLayer
        The net at its start.
    sgd : SGD
        The recipe: independent batches at a constant rate. It need not be stable.
    steps : int
        Steps of each replica.
    replicas : int
        At least 4: the spread between them is the error bar.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the result records it either way. A replica's batches depend on the entropy and on
        its number alone.
    records : int or sequence of int, optional
        How many steps are looked at, spread over the second half of the run, or which; by default 21.
    threads : int, optional
        By default as many as there are cores.
    progress : callable, optional
        Called with the share of the work done.

    Returns
    -------
    LayersMeasurement
        Averaged over the recorded steps.

    Raises
    ------
    InvalidInput
        For arguments out of range, and for recipes that are not covered.
    TooLarge
        If the weights of all replicas at the recorded steps do not fit into memory.

    Notes
    -----
    Cost: 6 b h (r + c) flops a step and replica, in float64, compiled.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import layers
    >>> data = fl.load("digits", classes=[3, 8])
    >>> steep = data.inputs @ fl.LeastSquares(data.inputs, data.targets).modes[:, :6]
    >>> net = layers.TwoLayer(fl.LeastSquares(steep, data.targets), hidden=2)
    >>> fl.simulate(net, fl.SGD(lr=0.02, batch_size=8), steps=100, replicas=64, rng=1)
    LayersMeasurement(64 replicas: excess_loss=0.000891842 +- 4.5e-05)
    """
    door(sgd=sgd, progress=progress)
    refuse_uncovered(sgd)
    sgd.sampling_factor(problem.problem.samples)
    count, runs = positive_int("steps", steps), positive_int("replicas", replicas, minimum=4)
    recorded, workers = recorded_steps(count, records), workers_for(threads)
    return measured_over(problem, sgd, [recorded], runs, seed_sequence(rng), workers, progress)[0]


def measured_over(
    net: TwoLayer,
    sgd: SGD,
    windows: Sequence[Ints],
    replicas: int,
    root: np.random.SeedSequence,
    workers: int,
    progress: Callable[[float], None] | None = None,
) -> list[LayersMeasurement]:
    """Return what the same runs show in each of several windows of steps."""
    steps = np.unique(np.concatenate([*windows]))
    size = net.frame.size
    held = 16.0 * replicas * len(steps) * size + 8.0 * GROUPS * net.frame.second.size**2
    refuse_bytes(f"replicas = {replicas} at {len(steps)} records", held, "Use fewer replicas or records.")
    refuse_work(
        f"steps = {steps[-1]} of {replicas} replicas", 6.0 * steps[-1] * replicas * sgd.batch_size * size, "Use fewer."
    )
    identity = {"recipe": sgd.to_dict(), "entropy": str(root.entropy), "spawn_key": list(root.spawn_key)}
    with np.errstate(over="ignore", invalid="ignore"):  # divergence is a finding, not a warning
        weights = _weights(_Runs(net, sgd, steps), generators(root, replicas), workers, progress)
        return [
            LayersMeasurement(net, identity, window, **_measured(net, weights[np.searchsorted(steps, window)]))
            for window in windows
        ]


@dataclass(frozen=True)
class _Runs:
    """What the workers share."""

    net: TwoLayer
    sgd: SGD
    recorded: Ints


def _weights(
    runs: _Runs, rngs: list[np.random.Generator], workers: int, progress: Callable[[float], None] | None
) -> Array:
    """The weights of all replicas at the recorded steps, (n, replicas, h r + c h)."""
    chunks = [rngs[first : first + _CHUNK] for first in range(0, len(rngs), _CHUNK)]
    clock = Clock(len(chunks) * int(runs.recorded[-1]), progress)
    return np.concatenate([part for (part,) in in_groups(_chunk, runs, chunks, workers, clock)], axis=1)


def _chunk(runs: _Runs, rngs: list[np.random.Generator], clock: Clock) -> Pack:
    from .stepper import descend  # noqa: PLC0415  (numba)

    net, samples = runs.net, runs.net.samples
    x = np.ascontiguousarray(samples.inputs)
    y = x @ net.problem.minimum().mode_weights.T - samples.residuals
    first, second = (np.repeat(each[None], len(rngs), axis=0) for each in (net.first, net.second))
    draws, now, looks = Draws(rngs, len(x), runs.sgd), 0, []
    for step in runs.recorded.tolist():
        for batches in draws.batches(step - now):
            clock.done += len(batches) - 1
            clock.tick()
            descend(first, second, x, y, np.ascontiguousarray(batches), runs.sgd.lr)
        now = step
        looks.append(np.concatenate([first.reshape(len(rngs), -1), second.reshape(len(rngs), -1)], axis=1))
    return (np.array(looks),)


def _measured(net: TwoLayer, weights: Array) -> dict[str, Array]:
    """Averages over the records of weights (n, R, h r + c h)."""
    records, replicas, _ = weights.shape
    frame, modes = net.frame, net.frame.modes
    share = replicas / (replicas - 1) / records
    groups = np.array_split(np.arange(replicas), min(GROUPS, replicas // 2))
    outputs = frame.second.size
    found = {
        "replica_excess": np.zeros(replicas),
        "replica_variances": np.zeros((replicas, modes.shape[1])),
        "replica_traces": np.zeros((replicas, 2)),
        "replica_flat": np.zeros(replicas),
        "mode_covariance": np.zeros((modes.shape[1],) * 2),
        "second_layer": np.zeros((len(groups), outputs, outputs)),
        "balances": np.zeros((records, frame.hidden, frame.hidden)),
    }
    for number, seen in enumerate(weights):
        first, second = _layers(net, seen)
        product = second @ first - net.problem.minimum().mode_weights
        found["replica_excess"] += np.sum(product**2 * frame.inputs, axis=(1, 2)) / (2 * records)
        found["balances"][number] = balance_of(first, second).mean(axis=0) - frame.balance
        about = seen - seen.mean(axis=0)
        inside = about @ modes
        found["replica_variances"] += share * inside**2
        found["mode_covariance"] += share / replicas * (inside.T @ inside)
        back = inside @ modes.T
        squares = share * back**2
        found["replica_flat"] += share * np.sum((about - back) ** 2, axis=1)
        found["replica_traces"][:, 0] += squares[:, : frame.split].sum(axis=1)
        found["replica_traces"][:, 1] += squares[:, frame.split :].sum(axis=1)
        for group, members in enumerate(groups):
            part = back[members, frame.split :]
            found["second_layer"][group] += share / len(members) * (part.T @ part)
    first, second = _layers(net, weights[-1])
    found["replica_drifts"] = np.trace(balance_of(first, second) - frame.balance, axis1=1, axis2=2)
    return found


def _layers(net: TwoLayer, seen: Array) -> tuple[Array, Array]:
    frame = net.frame
    return (
        seen[:, : frame.split].reshape(-1, *frame.first.shape),
        seen[:, frame.split :].reshape(-1, *frame.second.shape),
    )
