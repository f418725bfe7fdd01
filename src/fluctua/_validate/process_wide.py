"""Settings of the whole process that last while anyone asks for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

__all__ = ["WhileAsked"]


class WhileAsked:
    """A setting that is made when the first asks for it, and given back when the last is done.

    If each restored what it had found, it would stay for good where two overlap: the second finds it made, and ends
    last.

    Parameters
    ----------
    setting : callable
        Returns what makes it and gives it back.
    """

    def __init__(self, setting: Callable[..., AbstractContextManager[Any]]) -> None:
        self._setting, self._made = setting, ExitStack()
        self._lock, self._users = threading.Lock(), 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Have it while the body runs."""
        with self._lock:
            if self._users == 0:
                self._made.enter_context(self._setting())
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._made.close()
