"""Locks that end with the process that holds them, however it ends.

A lock is on an open file or directory, not on a name: nothing is left behind that a later run could stumble over. Where
the file system has no locks (some network file systems) every lock is granted to everyone: two runs are then not told
apart. On Windows, where directories cannot be opened, a file beside the results stands for them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from ..errors import OutputError
from .paths import printable

__all__ = ["MARK", "lock", "locked", "only_run_in"]

MARK = ".fluctua"
"""How the name of every file ends that fluctua keeps for itself and for a moment."""
_STANDS_FOR_IT = f".lock{MARK}"
_BUSY = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, wait: bool, shared: bool) -> None:
        if shared:
            raise OSError(errno.ENOSYS, "no locks that several hold")
        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int, wait: bool, shared: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))


def lock(descriptor: int, *, wait: bool = False, shared: bool = False) -> bool | None:
    """Lock an open file until it is closed or its process ends; False if another holds it, None if there are no locks.

    With `wait` it waits for the other. A `shared` lock is one that others may share.
    """
    try:
        _lock(descriptor, wait, shared)
    except OSError as error:
        return False if error.errno in _BUSY else None
    return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool | None]:
    """Lock what is at `path` for a while, and say whether that could be done, as `lock` does; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        yield lock(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def only_run_in(directory: Path, *, alone: bool = True) -> Iterator[None]:
    """Hold `directory` for one run, or for several that are not `alone`: then against those that are.

    Raises
    ------
    OutputError
        If another run holds it: the files of two would replace one another's.
    """
    descriptor = _opened(directory)
    if descriptor is None:  # it may be written and not be read
        yield
        return
    try:
        if lock(descriptor, shared=not alone) is False:
            raise OutputError(
                f"{printable(directory)} is in use: another run of fluctua writes its files there, and two would "
                f"replace one another's. Wait for its end, or choose another --out."
            )
        _refuse_removed(directory, descriptor)
        yield
    finally:
        os.close(descriptor)
        if sys.platform == "win32":
            with contextlib.suppress(OSError):  # another run has it
                (directory / _STANDS_FOR_IT).unlink()


def _opened(directory: Path) -> int | None:
    """Open what stands for the directory; None if it cannot be opened."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            return os.open(directory / _STANDS_FOR_IT, os.O_RDWR | os.O_CREAT)
        return os.open(directory, os.O_RDONLY)
    return None


def _refuse_removed(directory: Path, descriptor: int) -> None:
    """Raise `OutputError` if a run that ended meanwhile, with nothing to keep, has removed the directory."""
    if sys.platform != "win32":
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(directory.stat(), os.fstat(descriptor)):
                return
        raise OutputError(
            f"{printable(directory)} was removed by another run of fluctua that has just ended. Run again."
        )
