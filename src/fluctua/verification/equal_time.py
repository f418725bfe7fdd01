"""The verdict: the predicted fluctuation against the measured one, and what this run would have noticed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._validate.arguments import door
from .._validate.nouns import by_noun
from .._validate.values import as_path, choice, false_alarm_level, positive_int, resolution_share
from ..errors import InvalidInput
from ..problem.device_products import on_device
from ..problem.least_squares import LeastSquares
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from ..simulation.batches import Rng, seed_sequence
from ..simulation.kept import asked_part
from ..simulation.on_device.asked import asked_device
from ..simulation.parts import Part, in_parts
from ..simulation.replicas import simulate
from ..simulation.steppers import DYNAMICS, Dynamics
from ..storage.checkpoint import Checkpoint, kept_until_done
from ..theory.answers import predict
from ..theory.ladder import Rung, rungs_of
from .near_limit import share_of_limit
from .trial import LAW_OF, Trial
from .verdict import Verdict

__all__ = ["Progress", "default_replicas", "refuse_counts", "refuse_rest", "refuse_run", "silent", "verify"]

Progress = Callable[[str, float], None]
_BLOCK = 2**16  # steps whose rates are looked at together


@in_parts
@by_noun
def verify(
    problem: LeastSquares,
    sgd: Recipe,
    *,
    steps: int = 2000,
    replicas: int | None = None,
    rng: Rng = None,
    start: ArrayLike | str = "optimum",
    theory: Rung | None = None,
    dynamics: Dynamics = "sgd",
    average: Average | None = None,
    records: int | None = None,
    level: float = 0.01,
    resolution: float = 0.05,
    dtype: DTypeLike | None = None,
    threads: int | None = None,
    device: Any = None,
    checkpoint: Checkpoint | Path | str | None = None,
    shard: str | None = None,
    check_stability: bool = True,
    progress: Progress | None = None,
) -> Verdict | Part:
    r"""Simulate the recipe and hold the prediction against the measurement.

    The verdict has two parts. *Consistent*: no contrast of a small family (excess loss; mode variances in bands)
    deviates from the finite-time prediction, averaged over exactly the recorded steps, at the family-wise `level`.
    *Sharp*: the same run rejects the same theory made wrong by `resolution` in either direction; the smallest error
    that it would have caught with probability 0.95 is stated. The other rungs of the ladder, and the
    stationary law, are tested on the same measurement; with sampling "shuffle" so is the exact law of independent
    batches of the same size, without replacement. Of a sampler the lower rungs are its own, down to the target, and
    the verdict's table "inflation" has every mode's variance over the target's.

    Parameters
    ----------
    problem : LeastSquares
        The data.
    sgd : SGD
        The recipe, or a sampler such as `SGLD`.
    steps, replicas : int
        Length and number of the runs; `default_replicas` if not given.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the verdict records it either way.
    start : "optimum", "zero" or array_like, (c, d)
        W(0), the same in every replica.
    theory : str, optional
        Rung under test; by default the one that `dynamics` obeys exactly.
    dynamics : str
        As in `simulate`; "gd" has no fluctuation to verify and is refused.
    average : EMA or RunningAverage, optional
        Verify this average of the weights instead of the weights. With one, with a schedule, or in epochs, the rungs in
        continuous time are left out: they have no steps.
    records : int, optional
        Steps measured; see `simulate`.
    level : float
        Family-wise false-alarm probability.
    resolution : float
        Relative error of all variances that the run must be able to reject to count as sharp.
    dtype : float32, float64 or None
        As in `simulate`.
    threads : int, optional
        As in `simulate`.
    device : str or torch.device, optional
        As in `simulate`; the Gram matrix, its modes and K are made there too.
    checkpoint : path or Checkpoint, optional
        As in `simulate`, and kept until there is a verdict.
    shard : str, optional
        As in `simulate`.
    check_stability : bool
        If False, simulate even where no stationary state exists, as is always done with a schedule.
    progress : callable, optional
        Called with the name of the stage and the fraction of it done.

    Returns
    -------
    Verdict or Part
        Both parts, and the table behind them. Of a shard what it has made.

    Raises
    ------
    UnstableSGD
        Before any simulation, beyond the stability limit.
    InvalidInput
        Before any simulation, for arguments out of range and where there is no law: sampling "single_shuffle" or
        "sequential" settles on a periodic orbit.
    NotConverged
        Before any simulation, if the stationary state was not found to the accuracy stated.
    OutputError
        If `checkpoint` cannot be written, or another run holds it.
    ResultError
        If `checkpoint` belongs to another run, or what it keeps is damaged.
    MissingPackage
        With a device, where torch is not installed.

    Notes
    -----
    The finite-time predictions are computed with rtol 1e-2 in the worst mode; measured on MNIST, no mode is then off by
    more than 2e-3 and the excess loss by 3e-4 at b = 1, 2e-5 at b = 32, below what sampling resolves. Cost: on large
    data about 10 to 20 passes over them at 4 N r^2 flops each, and the simulation.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> verdict = fl.verify(problem, fl.SGD(lr=0.05, batch_size=8), steps=500, replicas=128, rng=7, level=1e-6)
    >>> verdict.consistent, verdict.row("langevin").consistent
    (True, False)
    """
    door(problem, sgd, samplers=True, average=average, staged=progress, check_stability=check_stability)
    problem = sgd.seen(problem)
    refuse_counts(steps=steps, replicas=replicas, records=records, threads=threads)
    refuse_run(checkpoint, rng)
    choice("dynamics", dynamics, DYNAMICS)
    problem = on_device(problem, asked_device(device, None, threads, dynamics)[0])
    if theory is not None:
        choice("theory", theory, rungs_of(sgd))
    level, resolution = false_alarm_level(level), resolution_share(resolution)
    cold = not sgd.step.temperature
    if dynamics == "gd" or (cold and sgd.sampling_factor(problem.samples) == 0):
        raise InvalidInput(
            "full-batch gradient descent does not fluctuate, so there is no variance to verify. "
            "Use simulate(dynamics='gd') and learning_curve."
        )
    if isinstance(start, str) and start == "optimum" and cold:
        problem.minimum(sgd.weight_decay).refuse_interpolation()
    if sgd.schedule is not None:
        refuse_rest(sgd, steps)
    count = default_replicas(problem, sgd, positive_int("steps", steps)) if replicas is None else replicas
    part = asked_part(shard, checkpoint, rng)
    tested = LAW_OF[dynamics] if theory is None else theory
    report = progress or silent
    report("theory", 0.0)
    check = check_stability and sgd.schedule is None  # a schedule may well begin above the limit
    stationary = predict(problem, sgd, theory=tested, average=average, check_stability=check)
    share = share_of_limit(problem, sgd, steps) if stationary.law.feeds_back else None
    with kept_until_done(checkpoint, part) as kept:
        measurement = simulate(
            problem,
            sgd,
            steps=steps,
            replicas=count,
            rng=rng,
            start=start,
            records=records,
            dynamics=dynamics,
            average=average,
            dtype=dtype,
            threads=threads,
            device=device,
            checkpoint=kept,
            shard=shard,
            progress=partial(report, "simulation"),
        )
        if isinstance(measurement, Part):
            return measurement
        return Trial(stationary, measurement, start, level, resolution, share, partial(report, "comparison")).verdict()


def refuse_counts(**counts: int | None) -> None:
    """Refuse what the simulation would, before the theory's work."""
    for name, count in counts.items():
        if count is not None:
            positive_int(name, count)


def refuse_run(checkpoint: Checkpoint | Path | str | None, rng: Rng) -> None:
    """Refuse a checkpoint that is no path and a seed that is none, before the theory's work."""
    if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
        as_path("checkpoint", checkpoint)
    seed_sequence(rng)


def refuse_rest(sgd: Recipe, steps: int) -> None:
    """Refuse a schedule that leaves the weights where they are for all of the run."""
    assert sgd.schedule is not None
    sgd.schedule.refuse_beyond(steps)
    blocks = (np.arange(begin, min(begin + _BLOCK, steps)) for begin in range(0, steps, _BLOCK))
    if not any(sgd.rates(block).any() for block in blocks):  # mostly the first rate of all is one
        raise InvalidInput(
            f"the schedule's rate is 0 at each of the {steps} steps: nothing is trained, and there is "
            f"no fluctuation to verify."
        )


def silent(stage: str, fraction: float) -> None:
    """Report no progress."""


def default_replicas(problem: LeastSquares, sgd: Recipe, steps: int) -> int:
    """Return replicas for about 20 seconds of simulation on two cores, from 32 to 512 in powers of two."""
    rows = sgd.batch_size or problem.rank
    per_step = 4 * rows * problem.outputs * problem.features + 1e5  # flops, and the overhead in flops
    affordable = 1e12 / (per_step * steps)
    return int(min(512, max(32, 2 ** int(np.log2(max(affordable, 1))))))
