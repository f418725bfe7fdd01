"""What `verify` does with softmax and logistic heads: real runs against the local theory, with its twin as control."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._validate.arguments import door
from .._validate.values import choice, false_alarm_level, positive_int, resolution_share
from ..errors import InvalidInput
from ..kernels.time_varying import refuse_long
from ..problem.device_products import on_device
from ..problem.softmax.base import Head
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from ..simulation.batches import Rng
from ..simulation.head_measurement import HeadMeasurement
from ..simulation.kept import asked_part
from ..simulation.parts import Part
from ..simulation.replicas import simulate
from ..simulation.runs import CONTROLS
from ..storage.checkpoint import Checkpoint, kept_until_done
from ..theory.local.heads import predict_head
from ..theory.local.ladder import LOCAL_RUNGS, LocalRung
from .equal_time import Progress, refuse_counts, refuse_rest, refuse_run, silent, verify
from .head_trial import HeadTrial, settled_after
from .verdict import Verdict

__all__ = ["verify_head"]

_REPLICAS, _FLOPS = (24, 256), 4e11


@verify.register(Head)
def verify_head(
    problem: Head,
    sgd: Recipe,
    *,
    steps: int = 2000,
    replicas: int | None = None,
    rng: Rng = None,
    start: ArrayLike | str = "optimum",
    theory: LocalRung | None = None,
    dynamics: str = "sgd",
    average: Average | None = None,
    records: int | None = None,
    level: float = 0.01,
    resolution: float = 0.05,
    dtype: DTypeLike | None = None,
    threads: int | None = None,
    device: Any = None,
    control: str | None = "quadratic",
    checkpoint: Checkpoint | Path | str | None = None,
    shard: str | None = None,
    check_stability: bool = True,
    progress: Progress | None = None,
) -> Verdict | Part:
    r"""Simulate the recipe on a softmax or logistic head, and hold the local theory against the measurement.

    The rung under test is the one that `predict` gives, or `theory`. It states its own error,
    `LocalPrediction.stated_error`: a contrast that is off by less is not off, and what the runs would have caught is
    that much larger.

    Parameters
    ----------
    problem : Softmax or Logistic
        The data.
    sgd : SGD
        The recipe. With a schedule, what third derivatives add is taken to go with the noise that there is.
    steps, replicas, rng, records, level, resolution, dtype, threads, checkpoint, shard, progress
        As for least squares.
    start : "optimum"
        The theory is of the surroundings of W*, and so are the runs that test it.
    theory : str, optional
        Rung under test.
    dynamics : "sgd"
        Real minibatches.
    average, device : None
        Not covered.
    control : "quadratic" or None
        Twins on the same batches, whose law is known, take most of the chance out of the measurement.
    check_stability : bool
        If False, also where the theory gives no floor.

    Returns
    -------
    Verdict or Part
        As for least squares; its identity has the anharmonicity, the limit and the theory's own error.

    Raises
    ------
    InvalidInput
        Before any simulation, for arguments out of range and what the local theory does not cover.
    OutsideBowl
        Before any simulation, where the theory gives no floor.
    """
    door(sgd=sgd, staged=progress, check_stability=check_stability)
    _refuse_uncovered(sgd, start, dynamics, average, theory)
    problem = on_device(problem, device)
    refuse_counts(steps=steps, replicas=replicas, records=records, threads=threads)
    refuse_run(checkpoint, rng)
    if control is not None:
        choice("control", control, CONTROLS)
    if theory is not None:
        choice("theory", theory, LOCAL_RUNGS)
    level, resolution = false_alarm_level(level), resolution_share(resolution)
    if sgd.sampling_factor(problem.samples) == 0:
        raise InvalidInput("a batch of all samples does not fluctuate, so there is no variance to verify.")
    count = _replicas(problem, sgd, steps) if replicas is None else replicas
    part = asked_part(shard, checkpoint, rng)
    report = progress or silent
    report("theory", 0.0)
    held = _held(sgd, positive_int("steps", steps))
    stationary = predict_head(problem, held, theory=theory, check_stability=check_stability)
    follows = stationary.balance.picture.complete
    if not follows and sgd.schedule is not None:
        raise InvalidInput(
            f"{sgd.schedule.words} has no stationary state, and of a head of {problem.rank:,} modes no law at finite "
            f"time is known. Use a constant lr, or fewer inputs, such as their leading components."
        )
    settled = 0 if follows else settled_after(stationary)
    if steps < 2 * settled:
        raise InvalidInput(
            f"steps = {steps} are too few: there is no law at finite time here, the flattest mode settles in about "
            f"{settled:,} steps, and the runs are looked at after that. Use at least {2 * settled:,}."
        )
    with kept_until_done(checkpoint, part) as kept:
        measured = simulate(
            problem,
            sgd,
            steps=steps,
            replicas=count,
            rng=rng,
            records=records,
            dtype=dtype,
            threads=threads,
            control=control if follows and held.lr < float(stationary.limit) else None,
            burn_in=0 if follows else settled,
            checkpoint=kept,
            shard=shard,
            progress=partial(report, "simulation"),
        )
        if isinstance(measured, Part):
            return measured
        assert isinstance(measured, HeadMeasurement)
        return HeadTrial(stationary, sgd, measured, level, resolution, partial(report, "comparison")).verdict()


def _refuse_uncovered(
    sgd: Recipe, start: ArrayLike | str, dynamics: str, average: Average | None, theory: LocalRung | None
) -> None:
    if not (isinstance(start, str) and start == "optimum"):
        raise InvalidInput("start must be 'optimum': the theory of heads is of the surroundings of W*. Leave it out.")
    if dynamics != "sgd":
        raise InvalidInput(f"dynamics must be 'sgd' for heads, got {dynamics!r}: their runs are of real minibatches.")
    if average is not None:
        raise InvalidInput(f"average = {average!r}: averages of the weights are not covered for heads. Leave it out.")
    if sgd.schedule is not None and theory == "langevin":
        raise InvalidInput("theory='langevin' is of continuous time, and a schedule is of steps. Use 'discrete'.")


def _held(sgd: Recipe, steps: int) -> Recipe:
    """The recipe, or with a schedule the largest of its rates, held."""
    if sgd.schedule is None:
        return sgd
    refuse_rest(sgd, steps)
    refuse_long(steps)
    return replace(sgd, lr=float(sgd.rates(np.arange(steps)).max()), schedule=None)


def _replicas(problem: Head, sgd: Recipe, steps: int) -> int:
    """Replicas for about 20 seconds of simulation on two cores, from 24 to 256."""
    per_step = 8 * sgd.batch_size * problem.outputs * problem.features + 1e4
    looks = 56 * 4e1 * problem.samples * problem.outputs * (1 + problem.features / 40)
    return int(min(_REPLICAS[1], max(_REPLICAS[0], _FLOPS / 10 / (per_step * positive_int("steps", steps) + looks))))
