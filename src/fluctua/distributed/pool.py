"""Pieces of work on other processes: handed out, awaited, and handed out again where a worker was lost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

from ..errors import WorkersLost
from ..simulation.executors import Look, Work
from .remote import Answer, alone, among, told

__all__ = ["Pool"]

Item = TypeVar("Item")
Result = TypeVar("Result")
Piece = Future[Answer]
_LOOK = 0.2  # seconds between two looks at the keyboard and at the workers
_ROUNDS = 4  # in which pieces that were lost are handed out again


class Pool(ABC):
    """Workers that do pieces of work; each kind says how something comes to them, and what their loss means."""

    same_files = True

    def __init__(self) -> None:
        self._handle: Any = None
        self._held: Any = None

    @abstractmethod
    def share(self, shared: Any) -> Any:
        """Bring to the workers what all pieces share, and return what stands for it."""

    @abstractmethod
    def release(self, handle: Any) -> None:
        """Let go of what was shared."""

    @abstractmethod
    def submit(self, how: Callable[..., Answer], work: Work[Item, Result], handle: Any, item: Item) -> Piece:
        """Hand a piece out: `how` says whether it has its process to itself."""

    @abstractmethod
    def lost(self) -> str | None:
        """Return what has happened if the workers are gone for good, a sentence that ends in a colon."""

    @abstractmethod
    def wide(self) -> int:
        """Return how many pieces are worked on at once."""

    def gone(self, piece: Piece) -> bool:
        """Return whether a piece that has ended was lost with its worker, so that it is handed out again."""
        return piece.cancelled()

    @abstractmethod
    def explained(self, problem: BaseException, finished: int, asked: int) -> WorkersLost | None:
        """Return what a failure means, if it is one of the workers' and not of the work."""

    def cells(
        self, work: Work[Item, Result], shared: Any, items: Sequence[Item], look: Look
    ) -> Iterator[tuple[int, Result]]:
        """Yield the number and the result of each piece as it is finished."""
        missing = dict(enumerate(items))
        rounds = 0
        while missing:
            for number, result in self._round(work, shared, missing, len(items)):
                look(number, 1.0)
                yield number, result
            rounds += 1
            if missing and rounds == _ROUNDS:
                raise _again_and_again(len(items) - len(missing), len(items))

    def _round(
        self, work: Work[Item, Result], shared: Any, missing: dict[int, Item], asked: int
    ) -> Iterator[tuple[int, Result]]:
        """Hand out what is missing; what comes back is taken from it."""
        handle = self._shared(shared, asked - len(missing), asked)
        pieces = {self.submit(alone, work, handle, item): number for number, item in missing.items()}
        try:
            while pieces:
                for piece in wait(pieces, timeout=_LOOK, return_when=FIRST_COMPLETED).done:
                    number = pieces.pop(piece)
                    if not self.gone(piece):
                        result = self._result(piece, asked - len(missing), asked)
                        del missing[number]
                        yield number, result
                self._refuse_lost(asked - len(missing), asked)
        finally:
            self.drop(pieces)
            if missing:
                self.forget()

    def in_order(
        self, work: Work[Item, Result], shared: Any, items: Iterable[Item], look: Callable[[], None]
    ) -> Generator[Result]:
        """Yield the results in the order of the items; somewhat more than are worked on at once are handed out."""
        queue, finished, rounds = list(items), 0, 0
        handle = self._shared(shared, 0, len(queue))
        pieces: deque[Piece] = deque()
        try:
            while finished < len(queue):
                ahead = queue[finished + len(pieces) : finished + 2 * self.wide() + 1]
                pieces.extend(self.submit(among, work, handle, item) for item in ahead)
                if self._done(pieces[0], look, finished, len(queue)):
                    result = self._result(pieces.popleft(), finished, len(queue))
                    finished, rounds = finished + 1, 0
                    yield result
                else:  # what was shared went with the worker
                    rounds += 1
                    if rounds == _ROUNDS:
                        raise _again_and_again(finished, len(queue))
                    self.drop(pieces)
                    pieces.clear()
                    self.forget()
                    handle = self._shared(shared, finished, len(queue))
        finally:
            self.drop(pieces)

    def _done(self, piece: Piece, look: Callable[[], None], finished: int, asked: int) -> bool:
        """Wait for a piece; return whether it came back."""
        while not wait([piece], timeout=_LOOK).done:
            look()
            self._refuse_lost(finished, asked)
        look()
        return not self.gone(piece)

    def drop(self, pieces: Iterable[Piece]) -> None:
        """Cancel what is under way."""
        for piece in pieces:
            piece.cancel()

    def forget(self) -> None:
        """Let the workers forget what was shared last."""
        if self._handle is not None:
            self.release(self._handle)
        self._handle = self._held = None

    def _shared(self, shared: Any, finished: int, asked: int) -> Any:
        """Share what is not what was shared last: stages of one computation go on with it."""
        if self._handle is not None and self._held is shared:
            return self._handle
        self.forget()
        try:
            self._held, self._handle = shared, self.share(shared)
            return self._handle
        except Exception as problem:
            self._refuse_lost(finished, asked)
            if (lost := self.explained(problem, finished, asked)) is None:
                raise
            raise lost from problem

    def _result(self, piece: Piece, finished: int, asked: int) -> Any:
        try:
            answer = piece.result()
        except Exception as problem:
            if (lost := self.explained(problem, finished, asked)) is None:
                raise
            raise lost from problem
        return told(answer)

    def _refuse_lost(self, finished: int, asked: int) -> None:
        if (what := self.lost()) is not None:
            raise WorkersLost(what, finished, asked)


def _again_and_again(finished: int, asked: int) -> WorkersLost:
    what = (
        f"workers were lost {_ROUNDS} times over the same pieces of work, most likely for lack of memory (use fewer "
        f"workers, or give them more):"
    )
    return WorkersLost(what, finished, asked)
