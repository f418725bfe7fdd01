"""The verdict: the predicted fluctuation against the measured one, and what this run would have noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .._validate.arguments import door
from .._validate.values import as_path, choice, false_alarm_level, positive_int, resolution_share
from ..errors import InvalidInput
from ..problem.least_squares import LeastSquares
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from ..simulation.batches import Rng, seed_sequence
from ..simulation.measurement import Measurement
from ..simulation.replicas import simulate
from ..simulation.steppers import DYNAMICS, Dynamics
from ..storage.checkpoint import Checkpoint, kept_until_done
from ..storage.results import provenance
from ..theory.answers import Prediction, predict
from ..theory.ladder import FLOWS, RUNGS, Rung
from ..theory.law import Law
from .judgement import Role
from .near_limit import share_of_limit
from .pictured import balance_of, curve_of, measured_of
from .significance import compare
from .verdict import INDEPENDENT, Balance, Row, Verdict

__all__ = ["LAW_OF", "Progress", "default_replicas", "silent", "verify"]

Array = NDArray[np.float64]
Progress = Callable[[str, float], None]
_THEORY_RTOL = 1e-2  # of the worst mode's variance; measured on MNIST: excess loss to 3e-4 at b = 1, 2e-5 at b = 32
_BLOCK = 2**16  # steps whose rates are looked at together
LAW_OF: dict[str, Rung] = {"sgd": "exact", "gd": "exact", "langevin": "langevin", "langevin_state_dependent": "exact"}
"""The rung of the ladder that each dynamics obeys exactly; full-batch descent obeys the mean's part of it."""


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
    checkpoint: Checkpoint | Path | str | None = None,
    check_stability: bool = True,
    progress: Progress | None = None,
) -> Verdict:
    r"""Simulate the recipe and hold the prediction against the measurement.

    The verdict has two parts. *Consistent*: no contrast of a small family (excess loss; mode variances in bands)
    deviates from the finite-time prediction, averaged over exactly the recorded steps, at the family-wise `level`.
    *Sharp*: the same run rejects the same theory made wrong by `resolution` in either direction; the smallest error
    that it would have caught with probability 0.95 is stated. The other rungs of the ladder, and the
    stationary law, are tested on the same measurement; with sampling "shuffle" so is the exact law of independent
    batches of the same size, without replacement.

    Parameters
    ----------
    problem : LeastSquares
        The data.
    sgd : SGD
        The recipe.
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
    checkpoint : path or Checkpoint, optional
        As in `simulate`, and kept until there is a verdict.
    check_stability : bool
        If False, simulate even where no stationary state exists, as is always done with a schedule.
    progress : callable, optional
        Called with the name of the stage and the fraction of it done.

    Returns
    -------
    Verdict
        Both parts, and the table behind them.

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
        If `checkpoint` cannot be written.
    ResultError
        If `checkpoint` belongs to another run.

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
    door(problem, sgd, average=average, staged=progress, check_stability=check_stability)
    problem = sgd.seen(problem)
    _refuse_counts(steps=steps, replicas=replicas, records=records, threads=threads)
    if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
        as_path("checkpoint", checkpoint)
    seed_sequence(rng)
    if theory is not None:
        choice("theory", theory, RUNGS)
    level, resolution = false_alarm_level(level), resolution_share(resolution)
    if choice("dynamics", dynamics, DYNAMICS) == "gd" or sgd.sampling_factor(problem.samples) == 0:
        raise InvalidInput(
            "full-batch gradient descent does not fluctuate, so there is no variance to verify. "
            "Use simulate(dynamics='gd') and learning_curve."
        )
    if isinstance(start, str) and start == "optimum":
        problem.minimum(sgd.weight_decay).refuse_interpolation()
    if sgd.schedule is not None:
        _refuse_rest(sgd, steps)
    tested = LAW_OF[dynamics] if theory is None else theory
    report = progress or silent
    report("theory", 0.0)
    check = check_stability and sgd.schedule is None  # a schedule may well begin above the limit
    stationary = predict(problem, sgd, theory=tested, average=average, check_stability=check)
    share = share_of_limit(problem, sgd, positive_int("steps", steps)) if stationary.law.feeds_back else None
    with kept_until_done(checkpoint) as kept:
        measurement = simulate(
            problem,
            sgd,
            steps=steps,
            replicas=default_replicas(problem, sgd, steps) if replicas is None else replicas,
            rng=rng,
            start=start,
            records=records,
            dynamics=dynamics,
            average=average,
            dtype=dtype,
            threads=threads,
            checkpoint=kept,
            progress=partial(report, "simulation"),
        )
        return _Trial(stationary, measurement, start, level, resolution, share, partial(report, "comparison")).verdict()


def _refuse_counts(**counts: int | None) -> None:
    """Refuse what the simulation would, before the theory's work."""
    for name, count in counts.items():
        if count is not None:
            positive_int(name, count)


def _refuse_rest(sgd: Recipe, steps: int) -> None:
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
    per_step = 4 * sgd.batch_size * problem.outputs * problem.features + 1e5  # flops, and the overhead in flops
    affordable = 1e12 / (per_step * steps)
    return int(min(512, max(32, 2 ** int(np.log2(max(affordable, 1))))))


@dataclass(frozen=True)
class _Trial:
    """One measurement, and the theories called to answer it; `stationary` is the rung under test."""

    stationary: Prediction
    measurement: Measurement
    start: ArrayLike | str
    level: float
    resolution: float
    share: float | None
    """Of the stability limit, where it is near."""
    progress: Callable[[float], None]

    def verdict(self) -> Verdict:
        measured = self.measurement
        self.progress(0.0)
        tested = self._at_records(self.stationary, curve=True)
        rungs = self._rungs(tested)
        balance, elements = self._balance()
        return Verdict(
            theory=tested.theory,
            level=self.level,
            resolution=self.resolution,
            rows=tuple(self._rows(tested, rungs)),
            balance=balance,
            identity={**measured.identity, "share_of_limit": self.share},
            provenance=provenance(),
            excess_loss=measured.excess_loss,
            excess_loss_error=measured.excess_loss_error,
            optimum_loss=tested.optimum_loss,
            diverged_at=measured.diverged_at,
            arrays={
                **measured_of(measured, tested),
                **curve_of(tested),
                **elements,
                **{f"predicted_{name}": rung.mode_variances for name, rung in rungs.items()},
            },
        )

    def _rungs(self, tested: Prediction) -> dict[str, Prediction]:
        """The ladder at the recorded steps, and in epochs the law of independent batches."""
        law = tested.law
        timed = law.average is not None or law.sgd.schedule is not None or law.sgd.epochs
        names = [name for name in RUNGS if not (timed and name in FLOWS)]
        rungs: dict[str, Prediction] = {}
        for name in reversed(names):
            self.progress((1 + len(rungs)) / (1 + len(names)))  # the curve of the one under test is done
            rungs[name] = self._rung(name, tested)
        if law.sgd.epochs:
            rungs[INDEPENDENT] = self._independent(law)
        return rungs

    def _rows(self, tested: Prediction, rungs: Mapping[str, Prediction]) -> Iterator[Row]:
        """Every rung, the stationary law, and the theory under test made wrong in either direction."""
        for name, rung in rungs.items():
            role: Role = "claim" if name == tested.theory else "reference" if name == INDEPENDENT else "rung"
            yield self._row(name, role, rung)
        yield self._row(f"{tested.theory}, stationary", "reference", self.stationary)
        for factor in (1 + self.resolution, 1 - self.resolution):
            yield self._row(f"{tested.theory} x {factor:.3g}", "mutant", tested, factor)

    def _balance(self) -> tuple[Balance | None, dict[str, Array]]:
        """F0 along the trajectory, from W* and where the measurement has it; and what its figure shows."""
        if isinstance(self.start, str) and self.start == "optimum" and self.measurement.balance is not None:
            return balance_of(self.measurement, self._fluctuation())
        return None, {}

    def _rung(self, name: Rung, tested: Prediction) -> Prediction:
        if name == tested.theory:
            return tested
        if name == "equilibrium" and tested.theory == "exact":
            return tested.equilibrated()  # it keeps the exact excess loss: no second pass over the data
        law = tested.law
        return self._at_records(predict(law.problem, law.sgd, theory=name, average=law.average, check_stability=False))

    def _independent(self, law: Law) -> Prediction:
        """What independent batches of the same size would do."""
        sgd = replace(law.sgd, sampling="without_replacement", drop_last=False)
        return self._at_records(predict(law.problem, sgd, check_stability=False))

    def _at_records(self, prediction: Prediction, curve: bool = False) -> Prediction:
        steps = self.measurement.recorded.tolist()
        return prediction.after(steps, start=self.start, rtol=_THEORY_RTOL, curve=curve)

    def _row(self, name: str, role: Role, theory: Prediction, factor: float = 1.0) -> Row:
        """A theory, made wrong by a `factor`, against the measurement."""
        excess_loss = theory.excess_loss * factor
        comparison = compare(self.measurement, excess_loss, theory.mode_covariance * factor, self.level)
        return Row(name, role, excess_loss, comparison.p_value >= self.level, comparison)

    def _fluctuation(self) -> Array:
        """The right side of F0 along the trajectory: what its own dynamics injects per step, with the measured S."""
        tested, measured = self.stationary.law, self.measurement
        law = Law(tested.problem, tested.sgd, LAW_OF[measured.run.dynamics])
        source = law.source.at(measured.window_covariance) if law.feeds_back else law.noise
        return law.kernel.injection() * source
