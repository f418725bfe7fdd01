"""Real training runs in parallel: replicas on real batches, moments streamed, trajectories never stored."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._validate.arguments import door
from .._validate.nouns import by_noun
from .._validate.values import as_path, choice, positive_int
from ..problem.device_products import on_device
from ..problem.least_squares import LeastSquares
from ..problem.softmax.base import Head
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from ..storage.checkpoint import Checkpoint, kept_until_done
from ..storage.results import load_arrays
from ..storage.stored import reading
from ..storage.writing import check_writable, remove
from . import heads  # noqa: F401  (it says to `runs_of` whose runs it has)
from .batches import Rng, generators, kept_seed, seed_sequence
from .interrupts import deferred
from .kept import Keep, Packs, asked_part, keeping, numbered
from .measurement import Measurement
from .on_device import runs as _device_runs  # noqa: F401  (it says to `runs_of` whose runs it has)
from .on_device.asked import asked_device
from .parts import Part, in_parts, part_of
from .resumed import checkpoint_identity, chunk_sizes, damaged
from .runs import CONTROLS, Asked, Rngs, Runs, hold_problem, runs_of
from .steppers import DYNAMICS, Dynamics
from .workers import workers_for

__all__ = ["simulate"]


@in_parts
@by_noun
def simulate(
    problem: LeastSquares | Head,
    sgd: Recipe,
    *,
    steps: int,
    replicas: int,
    rng: Rng = None,
    start: ArrayLike | str = "optimum",
    records: int | None = None,
    dynamics: Dynamics = "sgd",
    average: Average | None = None,
    dtype: DTypeLike | None = None,
    threads: int | None = None,
    control: str | None = None,
    burn_in: int = 0,
    device: Any = None,
    batches: str | None = None,
    checkpoint: Checkpoint | Path | str | None = None,
    shard: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Measurement | Part:
    r"""Run independent replicas of a training run and measure their fluctuation about W*.

    Parameters
    ----------
    problem : LeastSquares, Softmax or Logistic
        The data.
    sgd : SGD
        The recipe. It need not be stable.
    steps : int
        Steps of each replica.
    replicas : int
        At least 2: the spread between them is the error bar.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the result records it either way. A replica's batches depend on the entropy and on
        its number alone, not on threads or on how many replicas run beside it.
    start : "optimum", "zero" or array_like, (c, d)
        W(0), the same in every replica.
    records : int, optional
        How many evenly spaced steps are measured, the last one the final step. By default 32, 16 from 2,000 modes
        on, or `steps` if fewer. In epochs their spacing is such that they cover the positions in the epoch.
    dynamics : str
        "sgd": real minibatches. "gd": full batch, no noise. "langevin": the Ornstein-Uhlenbeck process with the same
        drift and Gaussian noise of covariance kappa C, exact in time; it obeys the rung "langevin".
        "langevin_state_dependent": SGD's own steps with Gaussian noise of covariance kappa (C + K), which obeys
        "exact" as SGD does; neither has epochs. All but "sgd" pass over all the data in every step.
    average : EMA or RunningAverage, optional
        Measure this average of the weights along each run instead of the weights.
    dtype : float32, float64 or None
        None: float32, or float64 where float32 would lose steps that matter, as on the way from a far start along flat
        directions (`precision.simulation_dtype` has the rule). The measurement's identity names it.
    threads : int, optional
        Worker threads, one BLAS thread each; by default the cores this process may use.
    control : "quadratic", optional
        Of a softmax or logistic head: beside each replica runs a twin on the same batches that follows the quadratic of
        each sample's loss at W*. The twin's law is known, so that only the difference has to be measured:
        `HeadMeasurement.controlled`.
    burn_in : int
        Of a head: steps before the recorded ones, at least, for a state that has settled.
    device : str or torch.device, optional
        "cuda", "cuda:1" or "cpu": the runs are made by torch on that device, all replicas at once; it needs
        `pip install 'fluctua[torch]'`. The laws, the records and their precision are the same, and so are the errors.
        Covered are the dynamics "sgd" and "gd" of least squares; None is the compiled loop, the faster one on a CPU.
        The measurement's identity names the device.
    batches : {"torch", "numpy"}, optional
        With a device: "torch", the default, draws the batches there, from a stream of its own for each replica that
        is the same on every device. "numpy" takes those of a run without a device, drawn here and sent there: then
        the trajectories are that run's to rounding.
    checkpoint : path or Checkpoint, optional
        File that keeps the finished chunks of replicas: an interrupted run called again with the same arguments
        goes on from there and ends with the same numbers. Removed when the run is complete, unless it came as a
        `fluctua.storage.checkpoint.Checkpoint`, which its owner keeps until the result is written. With `shard`, and
        of the run whose shards have made their parts, the directory that all share.
    shard : str, optional
        "i/n", such as "2/8": only every n-th group of replicas from the i-th on, for jobs that share a `checkpoint` and
        know nothing of one another. The same call without it finds all groups there, makes those that are missing, and
        returns the numbers of one process to the last bit. On a device they are the same to rounding.
    progress : callable, optional
        Called with the fraction done, from the calling thread.

    Returns
    -------
    Measurement or Part
        Losses and mode variances of every replica, and moments over all of them. Of a shard what it has made.

    Raises
    ------
    InvalidInput
        Before any work, for arguments out of range, and where the runs would not fit into memory or not end in time.
    OutputError
        If `checkpoint` cannot be written, or another run holds it.
    ResultError
        If `checkpoint` belongs to another run, or what it keeps is damaged.
    MissingPackage
        With a device, where torch is not installed.

    Notes
    -----
    Cost: 4 b c d flops and b rows read from memory per replica and step; a record costs 2 c d r + c r^2. Memory beyond
    the problem's: three (r, r) float64 matrices per chunk under way and four for the total.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> run = fl.simulate(problem, fl.SGD(lr=0.05, batch_size=8), steps=330, replicas=16, rng=1)
    >>> run.replicas, run.recorded[:3].tolist(), run.mode_variances.shape
    (16, [20, 30, 40], (61,))
    """
    hold_problem(problem)
    door(sgd=sgd, samplers=True, average=average, progress=progress)
    if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
        checkpoint = as_path("checkpoint", checkpoint)
    choice("dynamics", dynamics, DYNAMICS)
    place, drawn = asked_device(device, batches, threads, dynamics)
    if control is not None:
        choice("control", control, CONTROLS)
    problem = on_device(sgd.seen(problem), place)
    sgd.sampling_factor(problem.samples)  # refuses a batch larger than the data
    count = positive_int("replicas", replicas, minimum=2)
    burn = positive_int("burn_in", burn_in, minimum=0)

    part = asked_part(shard, checkpoint, rng)
    workers = workers_for(threads) if place is None else 1
    asked = Asked(steps, records, count, workers, start, dynamics, average, dtype, control, burn, place, drawn)
    runs = runs_of(problem, sgd, asked)
    with kept_until_done(checkpoint, part) as kept, keeping(kept, part) as keep:
        measured: Measurement | Part = (
            _summed(runs, kept, rng, progress) if keep is None else _from_groups(runs, keep, rng, progress)
        )
        return measured


def _summed(runs: Runs, kept: Checkpoint | None, rng: Rng, progress: Callable[[float], None] | None) -> Any:
    """Run all groups, and keep the sums of those that are finished."""
    root = _root(rng, kept)
    identity, gap = runs.identity(root).to_dict(), runs.gap
    total = runs.tally(_begun(kept), identity)
    chunks = _chunks(root, runs.asked.replicas)[total.chunks :]
    with deferred(runs.stop), closing(runs.chunks(chunks, progress, runs.asked.replicas)) as found:
        for chunk in found:
            total.add(chunk, gap)
            if kept is not None:
                total.save(kept.path, identity)
    return total.measurement(identity, gap)


def _from_groups(runs: Runs, keep: Keep, rng: Rng, progress: Callable[[float], None] | None) -> Any:
    """Run the groups that are missing, of all or of a part, each kept by itself; sum them up where all are there."""
    root = keep.root(rng)
    identity, gap = runs.identity(root).to_dict(), runs.gap
    keep.hold(fixed := runs.fixed(root))
    total, sizes, chunks = (
        runs.tally(None, identity),
        chunk_sizes(runs.asked.replicas),
        _chunks(root, runs.asked.replicas),
    )
    mine = sizes if keep.part is None else keep.part.of(sizes)

    def make(missing: list[int]) -> Packs:
        with closing(runs.chunks([chunks[number] for number in missing], progress, sum(mine))) as found:
            for chunk in found:
                yield runs.packed(chunk)

    with deferred(runs.stop), closing(keep.through(numbered(fixed, len(chunks)), make)) as packs:
        for pack in packs:
            total.add(runs.unpacked(pack), gap)
    return total.measurement(identity, gap) if keep.part is None else part_of(keep.part, sizes)


def _chunks(root: np.random.SeedSequence, replicas: int) -> list[Rngs]:
    """The generators of each group's replicas."""
    rngs, sizes = generators(root, replicas), chunk_sizes(replicas)
    return [rngs[end - size : end] for end, size in zip(np.cumsum(sizes), sizes, strict=True)]


simulate.register(Head)(simulate.__wrapped__)  # type: ignore[attr-defined]


def _begun(kept: Checkpoint | None) -> Path | None:
    """Return the file of a run that is to be gone on with; one that is not is dropped."""
    if kept is None:
        return None
    check_writable(kept.path)
    if kept.begun:
        return kept.path
    remove(kept.path)
    return None


def _root(rng: Rng, kept: Checkpoint | None) -> np.random.SeedSequence:
    """Return the run's seed; an unseeded run that goes on takes its checkpoint's."""
    if rng is None and kept is not None and kept.begun:
        identity = checkpoint_identity(load_arrays(kept.path)[0], kept.path)
        with reading(partial(damaged, kept.path)):
            return kept_seed(identity["entropy"], identity["spawn_key"])
    return seed_sequence(rng)
