"""Real training runs in parallel: replicas on real batches, moments streamed, trajectories never stored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._arrays import AnyArray, Array, DType
from .._validate.arguments import door
from .._validate.plain import Header
from .._validate.values import as_path, choice, positive_int
from ..kernels.constant import gradient_step
from ..kernels.flow import langevin_flow
from ..problem.least_squares import LeastSquares
from ..problem.start import Start
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from ..storage.checkpoint import Checkpoint, kept_until_done
from ..storage.results import load_arrays
from ..storage.stored import reading
from ..storage.writing import check_writable, remove
from .batches import Draws, Rng, generators, kept_seed, seed_sequence
from .identity import EqualTimeRun, Size, fingerprint
from .interrupts import deferred
from .measurement import Measurement
from .needs import refuse_runs
from .precision import simulation_dtype
from .records import Book, Window
from .resumed import checkpoint_identity, chunk_sizes, damaged
from .steppers import DYNAMICS, Dynamics, slots, stepper
from .tally import Chunk, Tally
from .workers import in_order, workers_for

__all__ = ["simulate"]

Rngs = list[np.random.Generator]
_POLL_FLOPS = 2.5e8  # between two looks at the keyboard


def simulate(
    problem: LeastSquares,
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
    checkpoint: Checkpoint | Path | str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Measurement:
    r"""Run independent replicas of a training run and measure their fluctuation about W*.

    Parameters
    ----------
    problem : LeastSquares
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
    checkpoint : path or Checkpoint, optional
        File that keeps the finished chunks of replicas: an interrupted run called again with the same arguments
        goes on from there and ends with the same numbers. Removed when the run is complete, unless it came as a
        `fluctua.storage.checkpoint.Checkpoint`, which its owner keeps until the result is written.
    progress : callable, optional
        Called with the fraction done, from the calling thread.

    Returns
    -------
    Measurement
        Losses and mode variances of every replica, and moments over all of them.

    Raises
    ------
    InvalidInput
        Before any work, for arguments out of range, and where the runs would not fit into memory or not end in time.
    OutputError
        If `checkpoint` cannot be written.
    ResultError
        If `checkpoint` belongs to another run.

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
    door(problem, sgd, average=average, progress=progress)
    if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
        checkpoint = as_path("checkpoint", checkpoint)
    choice("dynamics", dynamics, DYNAMICS)
    problem = sgd.seen(problem)
    sgd.sampling_factor(problem.samples)  # refuses a batch larger than the data
    epoch = len(sgd.batch_sizes(problem.samples)) if sgd.epochs else 1
    window = Window.of(steps, records, problem.rank, epoch)
    replicas = positive_int("replicas", replicas, minimum=2)
    for part in (sgd.schedule, None if average is None else average.in_steps(sgd, problem.population)):
        if part is not None:
            part.refuse_beyond(window.steps)
    begin, workers = Start.at(problem.minimum(sgd.weight_decay), start), workers_for(threads)
    refuse_runs(problem, window, replicas, workers, sgd.batch_size if dynamics == "sgd" else problem.samples)
    precision = simulation_dtype(dtype, problem, sgd, window.steps, begin, average, dynamics)
    with kept_until_done(checkpoint) as kept:
        root = _root(rng, kept)
        run = _Run(problem, sgd, window, begin, precision, dynamics, average, replicas)
        identity = run.identity(root, start).to_dict()
        total = _begun(kept, identity, window, problem.rank)
        plain = slots(sgd, average) == 1 and sgd.schedule is None and not sgd.epochs
        gap = _gap(problem, sgd, dynamics) if plain else None
        rngs, sizes = generators(root, replicas), chunk_sizes(replicas)
        chunks = [rngs[i - size : i] for i, size in zip(np.cumsum(sizes), sizes, strict=True)][total.chunks :]
        with deferred(run.stop), closing(run.chunks(chunks, workers, progress)) as found:
            for chunk in found:
                total.add(chunk, gap)
                if kept is not None:
                    total.save(kept.path, identity)
        return total.measurement(identity, gap)


def _gap(problem: LeastSquares, sgd: Recipe, dynamics: Dynamics) -> Array:
    """1 - m_p m_q of the dynamics' own step, which storage is seen through in F0."""
    curvatures = problem.minimum(sgd.weight_decay).curvatures
    return (langevin_flow if dynamics == "langevin" else gradient_step)(curvatures, sgd.lr).gap()


def _begun(kept: Checkpoint | None, identity: Header, window: Window, rank: int) -> Tally:
    """Return what a checkpoint holds of the run, or nothing yet; one that is not to be gone on with is dropped."""
    if kept is not None:
        check_writable(kept.path)
        if kept.begun:
            return Tally.load(kept.path, identity, window, rank)
        remove(kept.path)
    return Tally(window.recorded, window.opened, window.watched)


@dataclass
class _Run:
    """One simulation's constants, and the state that its workers share."""

    problem: LeastSquares
    sgd: Recipe
    window: Window
    begin: Start | None
    dtype: DType
    dynamics: Dynamics
    average: Average | None
    replicas: int
    stop: threading.Event = field(default_factory=threading.Event)
    replica_steps: int = 0

    def __post_init__(self) -> None:
        self.advance = stepper(self.problem, self.sgd, self.dynamics, self.dtype, self.average, self.look_up)
        rows = self.sgd.batch_size if self.dynamics == "sgd" else self.problem.samples
        self.step_flops = 4 * rows * self.problem.outputs * self.problem.features
        self.modes = self.problem.modes.astype(self.dtype)
        self.minimum = self.problem.minimum(self.sgd.weight_decay)

    def identity(self, root: np.random.SeedSequence, start: ArrayLike | str) -> EqualTimeRun:
        """What fixes its numbers."""
        return EqualTimeRun(
            recipe=self.sgd,
            dynamics=self.dynamics,
            average=self.average,
            steps=self.window.steps,
            records=self.window.records,
            replicas=self.replicas,
            dtype=self.dtype.name,
            entropy=str(root.entropy),
            spawn_key=tuple(root.spawn_key),
            start=start if isinstance(start, str) else f"weights {fingerprint(start)}",
            problem=Size.of(self.problem, self.sgd.weight_decay),
        )

    def chunks(self, chunks: list[Rngs], threads: int, progress: Callable[[float], None] | None) -> Generator[Chunk]:
        """Yield the chunks in order."""
        done, work = 1 - sum(map(len, chunks)) / self.replicas, self.replicas * self.window.steps

        def look() -> None:
            if progress:
                progress(done + self.replica_steps / work)

        return in_order(self.chunk, chunks, threads, self.stop, look)

    def chunk(self, rngs: Rngs) -> Chunk:
        """Run one group of replicas from start to end."""
        draws = Draws(rngs, self.problem.samples, self.sgd)
        kept = slots(self.sgd, self.average)
        state = np.zeros((kept, len(rngs), self.problem.outputs, self.problem.features), self.dtype)
        if self.begin is not None:
            state[0] += self.begin.displacement(self.problem.modes)
        observed = state[0] if self.average is None else state[-1]
        observed[:] = state[0]  # before the first update an average is the start
        book = Book(self.problem, self.minimum, self.window, len(rngs))
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is a finding, not a warning
            now = 0
            for step in self.window.watched.tolist():
                self._steps(state, draws, now, step)
                self._look(book, step, observed)
                now = step
        return book.close()

    def look_up(self) -> None:
        """Raise `InterruptedError` if nobody wants the rest."""
        if self.stop.is_set():
            raise InterruptedError("the simulation was stopped")

    def _steps(self, state: AnyArray, draws: Draws, now: int, until: int) -> None:
        replicas = len(draws.rngs)
        poll = max(1, int(_POLL_FLOPS / (replicas * self.step_flops)))
        for begin in range(now, until, poll):
            self.look_up()
            block = min(poll, until - begin)
            self.advance(state, draws, block, begin)
            self.replica_steps += block * replicas  # read for progress only

    def _look(self, book: Book, step: int, v: AnyArray) -> None:
        """Show a chunk's replicas to its book, in the modes."""
        state = (v @ self.modes).astype(np.float64)
        outside = 0.0
        if self.begin is not None and self.sgd.weight_decay:  # only weight decay knows what lies outside the modes
            rest = np.einsum("rcd,rcd->r", v, v, dtype=np.float64) - np.einsum("rcp,rcp->r", state, state)
            outside = 0.5 * self.sgd.weight_decay * rest
        book.look(step, state, outside)


def _root(rng: Rng, kept: Checkpoint | None) -> np.random.SeedSequence:
    """Return the run's seed; an unseeded run that goes on takes its checkpoint's."""
    if rng is None and kept is not None and kept.begun:
        identity = checkpoint_identity(load_arrays(kept.path)[0], kept.path)
        with reading(partial(damaged, kept.path)):
            return kept_seed(identity["entropy"], identity["spawn_key"])
    return seed_sequence(rng)
