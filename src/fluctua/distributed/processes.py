"""Processes of this machine, by joblib's loky."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from ..errors import WorkersLost
from ..simulation.executors import Work
from .pool import Piece, Pool
from .remote import Answer

__all__ = ["Processes"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Processes(Pool):
    """Some processes, each with a core.

    Parameters
    ----------
    count : int
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def share(self, shared: Any) -> Path:
        """Write it to a file that each process reads once."""
        import joblib

        with tempfile.NamedTemporaryFile(prefix="fluctua-", suffix=".pickle", delete=False) as file:
            joblib.dump(shared, file)
        return Path(file.name)

    def release(self, handle: Any) -> None:
        """Remove the file."""
        handle.unlink(missing_ok=True)

    def submit(self, how: Callable[..., Answer], work: Work[Item, Result], handle: Any, item: Item) -> Piece:
        """Hand a piece to a process; they are begun when the first piece is."""
        from joblib.externals.loky import get_reusable_executor

        piece: Piece = get_reusable_executor(self.count, timeout=60).submit(_worked, how, work, handle, item)
        return piece

    def lost(self) -> str | None:
        """Processes are begun anew where they end."""
        return None

    def wide(self) -> int:
        """Return how many there are."""
        return self.count

    def gone(self, piece: Piece) -> bool:
        """Return whether a process was killed while it had the piece, or another had one."""
        from joblib.externals.loky.process_executor import BrokenProcessPool

        return piece.cancelled() or isinstance(piece.exception(), BrokenProcessPool)

    def explained(self, problem: BaseException, finished: int, asked: int) -> WorkersLost | None:
        """Return nothing: a process that is lost is replaced."""


def _worked(how: Callable[..., Answer], work: Any, place: Path, item: Any) -> Answer:
    return how(work, 1, _read(place), item)


@lru_cache(maxsize=1)
def _read(place: Path) -> Any:
    import joblib

    return joblib.load(place)
