"""Runs of least squares on a device: chunks of replicas side by side, the records kept chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Any

from ..._validate.devices import Device
from ...problem.least_squares import LeastSquares
from ...problem.start import Start
from ...recipe.sgd import Recipe
from ..records import Book
from ..resumed import chunk_sizes
from ..runs import Asked, Rngs, runs_of
from ..squares import SquaresRuns
from ..steppers import Setting, Stepper
from ..tally import Chunk
from ..workers import in_order
from .arithmetic import DeviceArithmetic
from .asked import BATCHES
from .room import Room
from .steps import DeviceSteps

__all__ = ["DeviceRuns"]

_POLL = {"cpu": 1e10, "cuda": 1e12}  # operations between two looks at the keyboard


@dataclass
class _Books:
    """The records of chunks whose replicas run side by side, and which they are."""

    books: list[Book]
    parts: list[slice]

    def close(self) -> list[Chunk]:
        """Return the averages of each chunk."""
        return [book.close() for book in self.books]


class DeviceRuns(SquaresRuns):
    """Those of least squares on a device of torch's."""

    def _hold(self, begin: Start | None) -> None:
        self.whole = self.sgd.batch_size is None or self.asked.dynamics == "gd"
        self.room = Room.of(self.problem, self.sgd, self.window, self.dtype, self.asked, self.whole)
        self.room.refuse(self.device, max(chunk_sizes(self.asked.replicas)))
        self.left = self.device.room - self.room.common  # before the samples are there
        self.poll_flops, self.poll_steps = _POLL[self.device.kind], self.window.steps
        super()._hold(begin)

    @property
    def device(self) -> Device:
        """Where they run."""
        assert self.asked.device is not None
        return self.asked.device

    def _arithmetic(self) -> DeviceArithmetic:
        return DeviceArithmetic(self.device)

    def _stepper(self) -> Stepper:
        setting = Setting(self.problem, self.sgd, self.dtype, self.asked.average)
        setting.look_up = self.look_up
        engine: Any = DeviceSteps(setting, self._arithmetic(), self.whole)
        advance: Stepper = engine.advance
        self._forget = engine.forget
        return advance

    def _worked(self, chunks: list[Rngs], look: Callable[[], None]) -> Generator[Any]:
        """Yield what the chunks found; as many as there is room for run side by side."""
        ends = list(accumulate(self.room.side_by_side([len(chunk) for chunk in chunks], self.left), initial=0))
        companies = (chunks[first:end] for first, end in pairwise(ends))
        with closing(in_order(self._company, companies, 1, self.stop, look)) as found:
            for each in found:
                yield from each

    def chunk(self, rngs: Rngs) -> Chunk:
        """Run one group of replicas from start to end."""
        return self._company([rngs])[0]

    def _company(self, chunks: list[Rngs]) -> list[Chunk]:
        """Run some chunks from start to end."""
        ends = list(accumulate(map(len, chunks), initial=0))
        with self.device.at_work():
            draws = BATCHES[str(self.asked.batches)](list(chain(*chunks)), self.rows, self.sgd, self.dtype, self.device)
            books = _Books([self._book(len(chunk)) for chunk in chunks], list(map(slice, ends, ends[1:])))
            found: list[Chunk] = self._followed(draws, self._started(ends[-1]), books)
            self._forget()
        return found

    def look(self, book: Any, step: int, state: Any) -> None:
        """Show the replicas of each chunk to its book."""
        for each, part in zip(book.books, book.parts, strict=True):
            super().look(each, step, state[:, part])


def _squares(problem: LeastSquares, sgd: Recipe, asked: Asked) -> SquaresRuns:
    return (SquaresRuns if asked.device is None else DeviceRuns).of(problem, sgd, asked)


runs_of.register(LeastSquares, _squares)
