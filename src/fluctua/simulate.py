"""Real training runs in parallel: replicas on real batches, moments streamed, trajectories never stored."""

from __future__ import annotations

import signal
import threading
from ast import literal_eval
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ._validate import choice, positive_int
from .dynamics import DYNAMICS, LAW_OF, Dynamics, Stepper, stepper
from .errors import InvalidInput
from .law import Law
from .measurement import Measurement, Tally, checkpoint_identity, window_average
from .problem import LeastSquares
from .results import load_arrays
from .sampling import Rng, generators, seed_sequence
from .sgd import SGD
from .theory import Start

__all__ = ["simulate"]

Array = NDArray[np.float64]
_CHUNKS = 8  # at least, where there are as many replicas: the spread between chunks is the matrices' error bar
_GATHER_ELEMENTS = 2**20  # of one chunk's batches, so that they stay in the cache between the two products
_MANY_MODES = 2000  # from which a record, quadratic in the modes, costs more than the steps between two of them
_LOOKS = 24  # log-spaced, at the loss only
_BLOCK = 256  # steps whose batches are drawn at once


def simulate(
    problem: LeastSquares,
    sgd: SGD,
    *,
    steps: int,
    replicas: int,
    rng: Rng = None,
    start: ArrayLike | str = "optimum",
    records: int | None = None,
    dynamics: Dynamics = "sgd",
    dtype: DTypeLike = np.float32,
    threads: int | None = None,
    checkpoint: Path | str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Measurement:
    r"""Run independent replicas of a training run and measure their fluctuation about W*.

    Parameters
    ----------
    problem : LeastSquares
    sgd : SGD
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
        on, or `steps` if fewer.
    dynamics : str
        "sgd": real minibatches. "gd": full batch, no noise. "langevin": the Ornstein-Uhlenbeck process with the same
        drift and Gaussian noise of covariance kappa C, exact in time; it obeys the level "langevin".
        "langevin_state_dependent": SGD's own steps with Gaussian noise of covariance kappa (C + K), which obeys
        "exact" as SGD does. All but "sgd" pass over all the data in every step.
    dtype : float32 or float64
    threads : int, optional
        Worker threads, one BLAS thread each; by default the cores this process may use.
    checkpoint : path, optional
        File that keeps the finished chunks of replicas: an interrupted run called again with the same arguments
        goes on from there and ends with the same numbers. Removed when the run is complete.
    progress : callable, optional
        Called with the fraction done, from the calling thread.

    Returns
    -------
    Measurement

    Raises
    ------
    InvalidInput
        Before any work, for arguments out of range.
    ResultError
        If `checkpoint` belongs to another run.

    Notes
    -----
    Cost: 4 b c d flops and a gather of b rows per replica and step; a record costs 2 c d r + c r^2. Memory beyond the
    problem's: four (r, r) float64 matrices per thread and five for the total.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> run = fl.simulate(problem, fl.SGD(lr=0.05, batch_size=8), steps=320, replicas=16, rng=1)
    >>> run.replicas, run.recorded[:3].tolist(), run.mode_variances.shape
    (16, [10, 20, 30], (61,))
    """
    precision = _simulation_dtype(dtype)
    choice("dynamics", dynamics, DYNAMICS)
    window = _window(steps, records, problem.rank)
    sizes = _chunk_sizes(positive_int("replicas", replicas, minimum=2), sgd.batch_size * problem.features)
    sgd.sampling_factor(problem.samples)  # refuses a batch larger than the data
    begin = Start.at(problem.minimum(sgd.weight_decay), start)
    root = _root(rng, checkpoint)
    identity = {
        "recipe": sgd.to_dict(), "dynamics": dynamics, "steps": window.steps, "records": window.records,
        "replicas": replicas, "dtype": precision.name, "entropy": str(root.entropy),
        "spawn_key": list(root.spawn_key), "start": start if isinstance(start, str) else _fingerprint(start),
        "problem": [problem.samples, problem.features, problem.outputs, problem.minimum(sgd.weight_decay).loss],
    }  # fmt: skip
    total = Tally(window.recorded, window.opened, window.watched)
    if checkpoint is not None and Path(checkpoint).exists():
        total = Tally.load(Path(checkpoint), identity)
    gap = Law(problem, sgd, LAW_OF[dynamics]).kernel.gap()
    run = _Run(problem, sgd, window, begin, precision, stepper(problem, sgd, dynamics, precision), gap)
    rngs = generators(root, replicas)
    chunks = [rngs[i - size : i] for i, size in zip(np.cumsum(sizes), sizes, strict=True)][total.chunks :]
    workers = _workers(threads)
    with (
        _interrupt_between_chunks(run.stop),
        closing(run.chunks(chunks, workers, progress, done=total.replicas / replicas)) as tallies,
    ):
        for tally in tallies:
            total.add(tally)
            if checkpoint is not None and total.replicas < replicas:
                total.save(Path(checkpoint), identity)
    if checkpoint is not None:
        Path(checkpoint).unlink(missing_ok=True)
    return total.measurement(identity)


@contextmanager
def _interrupt_between_chunks(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C set `stop` instead of raising anywhere: raised inside a lock, it would leave the workers hanging."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class _Window:
    """When a run is looked at: evenly spaced records, the last one at the final step."""

    steps: int
    records: int

    @property
    def gap(self) -> int:
        return self.steps // self.records

    @property
    def opened(self) -> int:
        return self.steps - self.gap * self.records

    @property
    def recorded(self) -> NDArray[np.int64]:
        return self.opened + self.gap * np.arange(1, self.records + 1, dtype=np.int64)

    @property
    def watched(self) -> NDArray[np.int64]:
        """Steps whose loss is kept: the recorded ones, the opening, and log-spaced ones to show the rise."""
        early = np.geomspace(1, self.steps, _LOOKS).astype(np.int64)
        return np.unique(np.concatenate([[0, self.opened], early, self.recorded]))


@dataclass
class _Run:
    """One simulation's constants, and the state that its workers share."""

    problem: LeastSquares
    sgd: SGD
    window: _Window
    begin: Start | None
    dtype: np.dtype[Any]
    advance: Stepper
    gap: Array
    stop: threading.Event = field(default_factory=threading.Event)
    replica_steps: int = 0

    def __post_init__(self) -> None:
        self.modes = self.problem.modes.astype(self.dtype)
        self.curvatures = self.problem.minimum(self.sgd.weight_decay).curvatures

    def chunks(
        self, chunks: list[list[np.random.Generator]], threads: int, progress: Callable[[float], None] | None,
        done: float,
    ) -> Generator[Tally]:  # fmt: skip
        """Yield the chunks' tallies in order; at most one more than `threads` is under way or waiting."""
        from threadpoolctl import threadpool_limits

        work = sum(map(len, chunks)) * self.window.steps
        pending: deque[Future[Tally]] = deque()
        waiting = iter(chunks)
        with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
            try:
                for rngs in waiting:
                    pending.append(pool.submit(self.chunk, rngs))
                    if len(pending) > threads:
                        yield self._await(pending.popleft(), progress, done, work)
                while pending:
                    yield self._await(pending.popleft(), progress, done, work)
            finally:
                self.stop.set()  # an interrupt must not wait for runs that nobody will read
                for future in pending:
                    future.cancel()

    def _await(self, future: Future[Tally], progress: Callable[[float], None] | None, done: float, work: int) -> Tally:
        finished = False
        while not finished:
            finished = bool(wait([future], timeout=0.2).done)
            if self.stop.is_set():
                raise KeyboardInterrupt
            if progress:
                progress(done + (1 - done) * self.replica_steps / work)
        return future.result()

    def chunk(self, rngs: list[np.random.Generator]) -> Tally:
        """Run one group of replicas from start to end."""
        v = np.zeros((len(rngs), self.problem.outputs, self.problem.features), self.dtype)
        if self.begin is not None:
            v += self.begin.displacement(self.problem.modes)
        book = _Book(self, len(rngs))
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is a finding, not a warning
            now = 0
            for step in self.window.watched.tolist():
                self._steps(v, rngs, step - now)
                book.look(step, v)
                now = step
            return book.close()

    def _steps(self, v: NDArray[Any], rngs: list[np.random.Generator], steps: int) -> None:
        for begin in range(0, steps, _BLOCK):
            if self.stop.is_set():
                raise InterruptedError("the simulation was stopped")
            block = min(_BLOCK, steps - begin)
            self.advance(v, rngs, block)
            self.replica_steps += block * len(rngs)  # read for progress only


class _Book:
    """The records of one chunk, streamed into sums over time."""

    def __init__(self, run: _Run, replicas: int) -> None:
        self.run, self.replicas, self.looks = run, replicas, 0
        self.recorded = set(run.window.recorded.tolist())
        rank, outputs, watched = run.problem.rank, run.problem.outputs, len(run.window.watched)
        self.losses = np.empty((replicas, watched))
        self.means = np.empty((watched, outputs, rank))
        self.variances = np.zeros((replicas, rank))
        self.covariance = np.zeros((rank, rank))

    def look(self, step: int, v: NDArray[Any]) -> None:
        """Keep losses and means; at a recorded step add to the time averages, at the opening keep S."""
        state = (v @ self.run.modes).astype(np.float64)
        squares = np.einsum("rcp,rcp->rp", state, state)
        self.means[self.looks] = state.mean(axis=0)
        # einsum, because a BLAS product rounds a row differently in different company
        inside = 0.5 * np.einsum("rp,p->r", squares, self.run.curvatures)
        self.losses[:, self.looks] = inside + self._outside(v, squares)
        self.looks += 1
        if step == self.run.window.opened:
            self.opening = _square(state) if state.any() else 0.0  # at W* there is nothing to keep
        if step in self.recorded:
            self.ending = _square(state)
            self.variances += squares
            self.covariance += self.ending

    def close(self) -> Tally:
        """Return the chunk's averages, weighted by its replicas."""
        window, n = self.run.window, self.replicas
        mean, change = self.covariance / window.records / n, (self.ending - self.opening) / n
        steps = window.steps - window.opened
        balance = self.run.gap * window_average(mean, change, window.records, steps) + change / steps
        return Tally(
            window.recorded, window.opened, window.watched, 1, [self.variances / window.records], [self.losses],
            n * self.means, _waiting(n * mean), n * float(np.sum(mean**2)), _waiting(n * change),
            _waiting(n * balance), n * balance**2,
        )  # fmt: skip

    def _outside(self, v: NDArray[Any], squares: Array) -> Any:
        """Loss of what the start has outside the modes: only weight decay knows it."""
        if self.run.begin is None or not self.run.sgd.weight_decay:
            return 0.0
        rest = np.einsum("rcd,rcd->r", v, v, dtype=np.float64) - squares.sum(axis=1)
        return 0.5 * self.run.sgd.weight_decay * rest


def _waiting(matrix: Array) -> NDArray[np.float32]:
    """Half the memory while it waits to be added up; rounding is 1e-5 of one chunk's own sampling error."""
    return matrix.astype(np.float32)


def _square(state: Array) -> Array:
    flat = state.reshape(-1, state.shape[-1])
    return np.asarray(flat.T @ flat)


def _window(steps: int, records: int | None, modes: int) -> _Window:
    count = positive_int("steps", steps)
    looks = min(32 if modes < _MANY_MODES else 16, count) if records is None else positive_int("records", records)
    if looks > count:
        raise InvalidInput(f"records = {looks} is more than the {count} steps of the run; record at most every step.")
    return _Window(count, looks)


def _chunk_sizes(replicas: int, batch_elements: int) -> list[int]:
    """Replicas of each chunk: few enough for the cache, and at least `_CHUNKS` chunks where there are replicas."""
    cap = min(max(_GATHER_ELEMENTS // batch_elements, 1), 64)
    count = max(-(-replicas // cap), min(_CHUNKS, replicas))
    return [replicas // count + (i < replicas % count) for i in range(count)]


def _simulation_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found not in (np.float32, np.float64):
        raise InvalidInput(f"dtype must be float32 or float64, got {dtype!r}.")
    return found


def _fingerprint(start: ArrayLike) -> str:
    """Tell starts given as arrays apart."""
    return f"weights {sha256(np.ascontiguousarray(start, dtype=np.float64).tobytes()).hexdigest()[:16]}"


def _workers(threads: int | None) -> int:
    from joblib import cpu_count

    return cpu_count() if threads is None else positive_int("threads", threads)


def _root(rng: Rng, checkpoint: Path | str | None) -> np.random.SeedSequence:
    """Return the run's seed; an unseeded run that goes on takes its checkpoint's."""
    if rng is None and checkpoint is not None and Path(checkpoint).exists():
        identity = checkpoint_identity(load_arrays(checkpoint)[0], Path(checkpoint))
        return np.random.SeedSequence(literal_eval(identity["entropy"]), spawn_key=identity["spawn_key"])
    return seed_sequence(rng)
