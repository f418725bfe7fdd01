"""Who does independent pieces of work: this process, unless others were handed in."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from operator import mul
from typing import Any, Protocol, TypeVar

__all__ = ["Executor", "Fractions", "Look", "Report", "Work", "current", "elsewhere", "handed_in"]

Item = TypeVar("Item")
Result = TypeVar("Result")
Report = Callable[[float], None]
"""Told the fraction of a piece of work that is done."""
Look = Callable[[int, float], None]
"""Told the number of a piece, and the fraction of it that is done."""
Work = Callable[[Any, Item, Report], Result]
"""A function of a module, so that other processes find it: of what all pieces share, one piece, and a report."""


class Executor(Protocol):
    """What does independent pieces of work; `fluctua.distributed` has two.

    Attributes
    ----------
    same_files : bool
        Whether a path means the same to the workers as to the caller.
    """

    same_files: bool

    def cells(
        self, work: Work[Item, Result], shared: Any, items: Sequence[Item], look: Look
    ) -> Iterator[tuple[int, Result]]:
        """Yield the number and the result of each piece as it is finished; a worker does one at a time."""

    def in_order(
        self, work: Work[Item, Result], shared: Any, items: Iterable[Item], look: Callable[[], None]
    ) -> Generator[Result]:
        """Yield the results in the order of the items, while `look` is called; what it raises ends it."""


class Fractions:
    """How far all pieces together are, of those that each costs something.

    Parameters
    ----------
    costs : sequence of float
        In whatever unit.
    report : callable
        Told the fraction of the whole.
    first : int
        Number among all of the piece that is number 0 here.
    """

    def __init__(self, costs: Sequence[float], report: Report, first: int = 0) -> None:
        self.costs, self.report, self.first = costs, report, first
        self.done = [0.0] * len(costs)

    def __call__(self, number: int, fraction: float) -> None:
        """Take in how far a piece is."""
        self.done[self.first + number] = fraction
        total = sum(self.costs)
        self.report(sum(map(mul, self.costs, self.done)) / total if total else 0.0)

    def after(self, first: int) -> Fractions:
        """Return the same of pieces that are counted from `first` on; those before are done."""
        later = Fractions(self.costs, self.report, first)
        later.done[:first] = [1.0] * first
        return later


class _Here:
    """The process itself, one piece after the other."""

    same_files = True

    def cells(
        self, work: Work[Item, Result], shared: Any, items: Sequence[Item], look: Look
    ) -> Iterator[tuple[int, Result]]:
        for number, item in enumerate(items):
            look(number, 0.0)
            yield number, work(shared, item, partial(look, number))
            look(number, 1.0)

    def in_order(
        self, work: Work[Item, Result], shared: Any, items: Iterable[Item], look: Callable[[], None]
    ) -> Generator[Result]:
        for item in items:
            look()
            yield work(shared, item, lambda _: None)


_HERE = _Here()
_HANDED: ContextVar[Executor | None] = ContextVar("executor", default=None)


def current() -> Executor:
    """Return who does the work."""
    return _HANDED.get() or _HERE


def elsewhere() -> Executor | None:
    """Return who does the work, if it is not this process."""
    return _HANDED.get()


@contextmanager
def handed_in(executor: Executor) -> Iterator[None]:
    """Let an executor do the work of the body."""
    token = _HANDED.set(executor)
    try:
        yield
    finally:
        _HANDED.reset(token)
