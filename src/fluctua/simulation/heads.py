"""Runs on softmax and logistic heads, alone or beside twins that follow the quadratic of each sample's loss at W*."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import AnyArray, Array, DType
from .._validate.plain import Header
from .._validate.starts import start_weights
from ..errors import InvalidInput
from ..problem.softmax.base import Head
from ..problem.softmax.optimum import HeadMinimum
from ..recipe.sgd import Recipe
from .batches import Draws
from .head_losses import HeadLosses
from .head_measurement import HeadRun, HeadTally
from .head_steps import Shared, head_steppers
from .kept import Pack
from .needs import refuse_runs
from .precision import asked_dtype
from .records import Book
from .runs import Asked, Runs, runs_of
from .steppers import slots
from .tally import Chunk
from .thermal import refuse_heat

__all__ = ["HeadRuns"]

_VISIBLE = 1e-2  # a logit's fluctuation that float32 follows to 1e-4 of it


class _Size(NamedTuple):
    """What a run of so many numbers takes, seen in so many modes."""

    outputs: int
    features: int
    rank: int


class _Books(NamedTuple):
    """The records of a chunk of replicas, and those of their twins."""

    runs: Book
    twins: Book | None

    def close(self) -> tuple[Chunk, Chunk | None]:
        """Return both averages."""
        return self.runs.close(), None if self.twins is None else self.twins.close()


class HeadRuns(Runs):
    """Those of a softmax or logistic head."""

    problem: Head

    @classmethod
    def of(cls, problem: Head, sgd: Recipe, asked: Asked) -> HeadRuns:
        """Refuse what does not fit, and choose the precision."""
        _refuse_dynamics(asked)
        refuse_heat(sgd, "the law of a head is one of the noise of its batches")
        minimum = problem.minimum(sgd.weight_decay)
        basis = minimum.modes
        window = asked.window(sgd, problem.samples, basis.shape[1])
        asked.refuse_beyond(sgd, problem.population)
        copies = 1 if asked.control is None else 2
        rows = copies * (sgd.batch_size + problem.samples * len(window.watched) / window.steps)
        size = _Size(problem.outputs, problem.features, basis.shape[1])
        refuse_runs(size, window, asked.replicas, asked.workers, rows)
        begin = _displacement(minimum, asked.start)
        found = cls(problem, sgd, asked, window, _dtype(problem, sgd, asked, begin))
        found.step_flops = 4.0 * copies * sgd.batch_size * problem.outputs * problem.features
        found._hold(minimum, basis, begin)
        return found

    def _hold(self, minimum: HeadMinimum, basis: Array, begin: Array | None) -> None:
        self.minimum, self.basis, self.begin = minimum, basis, begin
        self.losses = HeadLosses(minimum, self.dtype)
        self.steppers = head_steppers(minimum, self.sgd, self.dtype, self.asked, self.look_up)

    def _identity(self, root: np.random.SeedSequence) -> dict[str, Any]:
        told = {"control": self.asked.control, "burn_in": self.asked.burn_in}
        return {**super()._identity(root), "loss": type(self.problem).__name__.lower(), **told}

    _IDENTITY = HeadRun

    def advance(self, state: AnyArray, draws: Draws, steps: int, begin: int) -> None:
        """Advance a state in place: (`slots`, replicas, c, d), twins after the replicas, on the same batches."""
        shared = Shared(draws, steps)
        for stepper, part in zip(self.steppers, np.split(state, len(self.steppers), axis=1), strict=True):
            stepper(part, shared, steps, begin)

    def begun(self, replicas: int) -> tuple[AnyArray, _Books]:
        """Return a state at the start, and empty books."""
        kept, copies = slots(self.sgd, self.asked.average), len(self.steppers)
        state = np.zeros((kept, copies * replicas, self.problem.outputs, self.problem.features), self.dtype)
        if self.begin is not None:
            state[0] += self.begin
        self.observed(state)[:] = state[0]  # before the first update an average is the start
        books = [Book(1, self.basis.shape[1], self.window, replicas) for _ in range(copies)]
        return state, _Books(books[0], books[1] if copies > 1 else None)

    def look(self, book: _Books, step: int, state: AnyArray) -> None:
        """Show a chunk's replicas to their books, in the modes."""
        measures = self.losses.excess, self.losses.quadratic
        parts = np.split(self.observed(state), len(self.steppers))
        for kept, v, losses in zip(book, parts, measures, strict=False):
            assert kept is not None
            inside = v.reshape(len(v), 1, -1).astype(np.float64) @ self.basis
            kept.look(step, inside, losses(v))

    def packed(self, chunk: tuple[Chunk, Chunk | None]) -> Pack:
        """Return what a chunk and its twins found as arrays."""
        return tuple(array for each in chunk if each is not None for array in super(HeadRuns, self).packed(each))

    def unpacked(self, pack: Pack) -> tuple[Chunk, Chunk | None]:
        """Return what was packed."""
        size = len(fields(Chunk))
        return Chunk(*pack[:size]), Chunk(*pack[size:]) if len(self.steppers) > 1 else None

    def tally(self, kept: Path | None, identity: Header) -> HeadTally:
        """Return the sums over the chunks so far: those that a checkpoint holds, or none yet."""
        begun = HeadTally.empty(self.window, twins=len(self.steppers) > 1)
        return begun if kept is None else begun.loaded(kept, identity, 1, self.basis.shape[1])


def _refuse_dynamics(asked: Asked) -> None:
    if asked.dynamics != "sgd":
        raise InvalidInput(
            f"dynamics={asked.dynamics!r} is known for least squares, whose noise is known at any W; a head's runs are "
            f"dynamics='sgd'. For a full batch use sampling='without_replacement' and batch_size = N."
        )


def _displacement(minimum: HeadMinimum, start: ArrayLike | str) -> Array | None:
    """V(0), (c, d); None at W*."""
    weights = start_weights(start, minimum.weights.shape)
    return None if weights is None else weights - minimum.weights


def _dtype(problem: Head, sgd: Recipe, asked: Asked, begin: Array | None) -> DType:
    """float32 where the inputs are no finer, the runs stay about W* and fluctuate visibly."""
    if asked.dtype is not None:
        return asked_dtype(asked.dtype)
    coarse = problem.inputs.dtype.itemsize <= np.dtype(np.float32).itemsize
    minimum = problem.minimum(sgd.weight_decay)
    floor = 0.25 * sgd.step.effective_lr(sgd.lr) * sgd.sampling_factor(problem.samples) * minimum.noise_trace
    still = begin is None and sgd.schedule is None and asked.average is None
    return np.dtype(np.float32 if coarse and still and floor > _VISIBLE**2 else np.float64)


runs_of.register(Head, HeadRuns.of)
