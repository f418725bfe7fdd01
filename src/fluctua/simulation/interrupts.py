"""Signals that ask a run to stop: SIGINT (Ctrl-C), SIGTERM, SIGHUP. All raise, so that every `finally` is kept.

Raised anywhere, an exception may land inside a lock and leave workers hanging: while they work it waits for them.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

__all__ = ["Interrupted", "deferred", "exit_code", "raised"]

_ASKING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(KeyboardInterrupt):
    """A signal other than Ctrl-C's asked the program to stop.

    Attributes
    ----------
    signal : int
        Its number.
    """

    def __init__(self, number: int) -> None:
        self.signal = number
        super().__init__(signal.Signals(number).name)


def exit_code(interrupt: BaseException) -> int:
    """Return the shell's code of a program that a signal ended, 128 and its number: 130, 143 or 129."""
    return 128 + getattr(interrupt, "signal", signal.SIGINT)


@contextmanager
def raised() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Interrupted`, as SIGINT raises KeyboardInterrupt.

    A signal that is ignored (nohup) or that the program has a handler for stays so; so do all outside the main thread,
    where Python delivers none.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in _ASKING if signal.getsignal(number) is signal.SIG_DFL]
    try:
        for number in ours:
            signal.signal(number, _raise)
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _raise(number: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)


@contextmanager
def deferred(stop: threading.Event) -> Iterator[None]:
    """Let a signal that would raise set `stop` instead, and raise when the body has ended.

    Handled so are Ctrl-C, unless it is ignored, and where `raised` is in force SIGTERM and SIGHUP.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_ASKING)}
    taken = {
        number: handler
        for number, handler in before.items()
        if callable(handler) and (number == signal.SIGINT or handler is _raise)
    }
    came: list[tuple[int, FrameType | None]] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append((number, frame))
        stop.set()

    try:
        for number in taken:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)
        if came:
            number, frame = came[0]
            taken[signal.Signals(number)](number, frame)
