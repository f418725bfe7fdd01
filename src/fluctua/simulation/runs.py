"""The runs of a problem: what a group of replicas does from its start to its end, and what is kept of each look."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial, singledispatch
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._arrays import AnyArray, Array, DType
from .._validate.arguments import door
from .._validate.devices import Device
from .._validate.plain import Header, JsonObject
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from .batches import Draws
from .executors import Report, elsewhere
from .identity import EqualTimeRun, Size, content, fingerprint
from .kept import Pack
from .records import Window
from .steppers import Dynamics
from .tally import Chunk
from .workers import in_order, one_blas_thread

__all__ = ["CONTROLS", "Asked", "Rngs", "Runs", "hold_problem", "runs_of"]

Rngs = list[np.random.Generator]
CONTROLS = ("quadratic",)
_POLL_FLOPS = 8e9  # between two reports of progress; the steps look at the keyboard more often,
_POLL_STEPS = 256  # and so many steps at most


@dataclass(frozen=True)
class Asked:
    """What `simulate` was asked for, beside the problem and the recipe.

    Attributes
    ----------
    steps, replicas, workers : int
    records : int or None
    start : array_like or str
    dynamics : str
    average : Average or None
    dtype : dtype or None
    control : str or None
    burn_in : int
    device : Device or None
        Of torch's; None is the compiled loop.
    batches : str or None
        Where a device's batches are drawn.
    """

    steps: int
    records: int | None
    replicas: int
    workers: int
    start: ArrayLike | str
    dynamics: Dynamics
    average: Average | None
    dtype: DTypeLike | None
    control: str | None
    burn_in: int = 0
    device: Device | None = None
    batches: str | None = None

    def refuse_beyond(self, sgd: Recipe, population: int) -> None:
        """Refuse a schedule and an average that end before the run."""
        for part in (sgd.schedule, None if self.average is None else self.average.in_steps(sgd, population)):
            if part is not None:
                part.refuse_beyond(self.steps)

    def window(self, sgd: Recipe, samples: int, modes: int) -> Window:
        """Return when the runs are looked at."""
        epoch = len(sgd.batch_sizes(samples)) if sgd.epochs else 1
        return Window.of(self.steps, self.records, modes, epoch, self.burn_in)


@singledispatch
def runs_of(problem: Any, sgd: Recipe, asked: Asked) -> Runs:
    """Return the runs of a problem, or refuse what it knows no runs of; each kind registers its own."""
    raise NotImplementedError


def hold_problem(problem: object) -> None:
    """Refuse a problem that has no runs."""
    if runs_of.dispatch(type(problem)) is runs_of.dispatch(object):
        door(problem)


def _chunk(runs: Runs, rngs: Rngs, _: Report) -> Any:
    """Run a group of replicas in another process."""
    with one_blas_thread():
        return runs.chunk(rngs)


@dataclass
class Runs(ABC):
    """One simulation's constants, and the state that its workers share.

    The runs of each kind of problem say how a state begins, what advances it and what is seen of it.
    """

    problem: Any
    sgd: Recipe
    asked: Asked
    window: Window
    dtype: DType
    stop: threading.Event = field(default_factory=threading.Event)
    replica_steps: int = 0
    step_flops: float = 1.0
    poll_flops: float = _POLL_FLOPS
    poll_steps: int = _POLL_STEPS
    _IDENTITY: ClassVar[type[EqualTimeRun]] = EqualTimeRun

    def identity(self, root: np.random.SeedSequence) -> EqualTimeRun:
        """What fixes its numbers."""
        return self._IDENTITY(**self._identity(root))

    def _identity(self, root: np.random.SeedSequence) -> dict[str, Any]:
        asked, start = self.asked, self.asked.start
        return {
            "recipe": self.sgd,
            "dynamics": asked.dynamics,
            "average": asked.average,
            "steps": self.window.steps,
            "records": self.window.records,
            "replicas": asked.replicas,
            "dtype": self.dtype.name,
            "entropy": str(root.entropy),
            "spawn_key": tuple(root.spawn_key),
            "start": start if isinstance(start, str) else f"weights {fingerprint(start)}",
            "problem": Size.of(self.problem, self.sgd.weight_decay),
            "device": None if asked.device is None else str(asked.device),
            "batches": asked.batches,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross to another process as what was asked for: threads and compiled steps stay at home."""
        return runs_of, (self.problem, self.sgd, self.asked)

    def fixed(self, root: np.random.SeedSequence) -> JsonObject:
        """What fixes its numbers, and what the samples themselves are."""
        return {**self.identity(root).to_dict(), "samples": content(self.problem)}

    def packed(self, chunk: Any) -> Pack:
        """Return what a chunk found as arrays."""
        return tuple(vars(chunk).values())

    def unpacked(self, pack: Pack) -> Any:
        """Return what was packed."""
        return Chunk(*pack)

    def chunks(self, chunks: list[Rngs], progress: Callable[[float], None] | None, of: int) -> Generator[Any]:
        """Yield the chunks in order; with those that are there already they have `of` replicas."""
        done, work = 1 - sum(map(len, chunks)) / max(of, 1), max(of, 1) * self.window.steps

        def look() -> None:
            if progress:
                progress(done + self.replica_steps / work)

        return self._worked(chunks, look)

    def _worked(self, chunks: list[Rngs], look: Callable[[], None]) -> Generator[Any]:
        """Yield what the chunks found, each by a worker of its own."""
        if (executor := elsewhere()) is None:
            return in_order(self.chunk, chunks, self.asked.workers, self.stop, look)
        return self._counted(chunks, executor.in_order(_chunk, self, chunks, partial(self._look, look)))

    def _look(self, look: Callable[[], None]) -> None:
        look()
        if self.stop.is_set():
            raise KeyboardInterrupt

    def _counted(self, chunks: list[Rngs], found: Generator[Any]) -> Generator[Any]:
        with closing(found):
            for rngs, chunk in zip(chunks, found, strict=True):
                self.replica_steps += len(rngs) * self.window.steps
                yield chunk

    def chunk(self, rngs: Rngs) -> Any:
        """Run one group of replicas from start to end."""
        return self._followed(Draws(rngs, self.rows, self.sgd), *self.begun(len(rngs)))

    def _followed(self, draws: Any, state: Any, book: Any) -> Any:
        """Advance replicas from start to end, look at them on the way, and close their book."""
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is a finding, not a warning
            now = 0
            for step in self.window.watched.tolist():
                self._steps(state, draws, now, step)
                self.look(book, step, state)
                now = step
        return book.close()

    @property
    def rows(self) -> int:
        """Of which batches are drawn: the samples."""
        return int(self.problem.samples)

    def look_up(self) -> None:
        """Raise `InterruptedError` if nobody wants the rest."""
        if self.stop.is_set():
            raise InterruptedError("the simulation was stopped")

    def observed(self, state: AnyArray) -> AnyArray:
        """What is looked at of a state: the weights about W*, or their average."""
        observed: AnyArray = state[0] if self.asked.average is None else state[-1]
        return observed

    def _steps(self, state: AnyArray, draws: Any, now: int, until: int) -> None:
        replicas = len(draws.rngs)
        poll = max(1, min(self.poll_steps, int(self.poll_flops / (replicas * self.step_flops))))
        for begin in range(now, until, poll):
            self.look_up()
            block = min(poll, until - begin)
            self.advance(state, draws, block, begin)
            self.replica_steps += block * replicas  # read for progress only

    @abstractmethod
    def advance(self, state: AnyArray, draws: Draws, steps: int, begin: int) -> None:
        """Advance a state in place."""

    @abstractmethod
    def begun(self, replicas: int) -> tuple[AnyArray, Any]:
        """Return a state at the start, and an empty book."""

    @abstractmethod
    def look(self, book: Any, step: int, state: AnyArray) -> None:
        """Show a chunk's replicas to its book."""

    @abstractmethod
    def tally(self, kept: Path | None, identity: Header) -> Any:
        """Return the sums over the chunks so far: those that a checkpoint holds, or none yet."""

    @property
    def gap(self) -> Array | None:
        """1 - m_p m_q of the dynamics' own step, which storage is seen through in F0; None without F0."""
        return None
