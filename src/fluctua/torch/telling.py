"""How far a long call is, on stderr: nothing for two seconds, then a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["told"]

_FIRST, _AGAIN, _ON_TERMINAL = 2.0, 10.0, 0.5  # seconds


@contextmanager
def told(progress: Callable[[float], None] | bool) -> Iterator[Callable[[str, float], None]]:
    """Give a function of stage and fraction: it writes lines, calls the caller's function, or does nothing."""
    if not isinstance(progress, bool):
        call = progress
        yield lambda _stage, fraction: call(fraction)
        return
    lines = _Lines() if progress else None
    try:
        yield lines.tell if lines is not None else lambda _stage, _fraction: None
    finally:
        if lines is not None:
            lines.end()


class _Lines:
    """Lines on stderr; on a terminal one line that is written over."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.due, self.wrote, self.terminal = self.began + _FIRST, False, sys.stderr.isatty()

    def tell(self, stage: str, fraction: float) -> None:
        """Say how far a stage is, where a line is due."""
        now = time.monotonic()
        if now < self.due:
            return
        self.due, self.wrote = now + (_ON_TERMINAL if self.terminal else _AGAIN), True
        text = f"{stage}: {fraction:.0%} after {now - self.began:.0f} s"
        sys.stderr.write(f"\r{text:<40}" if self.terminal else f"{text}\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Leave the line."""
        if self.wrote and self.terminal:
            sys.stderr.write("\n")
