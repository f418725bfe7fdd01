"""Workers that share the cores: one BLAS thread each, results in order, and a stop within seconds."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

from .._validate.process_wide import WhileAsked
from .._validate.values import positive_int
from ..errors import InvalidInput

__all__ = ["Clock", "cores", "in_order", "one_blas_thread", "workers_for"]

Item = TypeVar("Item")
Result = TypeVar("Result")
_LOOK = 0.2  # seconds between two looks at `stop`
_CORES: ContextVar[int | None] = ContextVar("cores", default=None)


@contextmanager
def _one_thread() -> Iterator[None]:
    import scipy.linalg.cython_blas  # noqa: F401  (SciPy has a BLAS of its own, and only what is loaded is limited)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


one_blas_thread = WhileAsked(_one_thread)
"""Limit BLAS to one thread while anyone in the process asks for it: the limit is the process's."""


@dataclass
class Clock:
    """What the groups' workers share: how many steps there are, how many are done, and whether to stop."""

    steps: int
    progress: Callable[[float], None] | None
    stop: threading.Event = field(default_factory=threading.Event)
    done: int = 0

    def tick(self) -> None:
        """Count a step of a group; raises `InterruptedError` if it is the last that anyone wants."""
        if self.stop.is_set():
            raise InterruptedError("the run was stopped")
        self.done += 1  # read for progress only

    def look(self) -> None:
        """Report progress."""
        if self.progress:
            self.progress(self.done / self.steps)


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    stop: threading.Event,
    look: Callable[[], None] | None = None,
) -> Generator[Result]:
    """Yield the work's results in the order of the items; at most one more than `threads` is under way or waiting.

    While it waits, `look` is called every 0.2 s, and KeyboardInterrupt is raised when `stop` is set. However it ends,
    `stop` is set then: the work must look at it, so that nobody waits for what nobody will read.
    """
    pending: deque[Future[Result]] = deque()
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) > threads:
                    yield _result(pending.popleft(), stop, look)
            while pending:
                yield _result(pending.popleft(), stop, look)
        finally:
            stop.set()
            for future in pending:
                future.cancel()


def _result(future: Future[Result], stop: threading.Event, look: Callable[[], None] | None) -> Result:
    finished = False
    while not finished:
        finished = bool(wait([future], timeout=_LOOK).done)
        if stop.is_set():
            raise KeyboardInterrupt
        if look:
            look()
    return future.result()


@contextmanager
def cores(count: int) -> Iterator[None]:
    """Let the body use so many cores, where nothing else is asked for: others of the machine have their own work."""
    token = _CORES.set(count)
    try:
        yield
    finally:
        _CORES.reset(token)


def workers_for(threads: int | None) -> int:
    """Return how many worker threads: as asked, or the cores this process may use."""
    from joblib import cpu_count

    if threads is not None:
        return positive_int("threads", threads)
    if (given := _CORES.get()) is not None:
        return given
    try:
        return int(cpu_count())
    except ValueError as error:  # its own word for how many
        spelled = os.environ.get("LOKY_MAX_CPU_COUNT")
        raise InvalidInput(
            f"the environment variable LOKY_MAX_CPU_COUNT must be a whole number, got {spelled!r}. "
            f"Correct or unset it, or say how many threads."
        ) from error
