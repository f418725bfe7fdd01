"""Files appear whole or not at all: written beside their place under a name of our own, synced, then renamed.

What is at the place decides how it is written. Nothing or a regular file: as above, the mode following the umask. A
symbolic link: its target is written, the link stays. A FIFO, a character device (/dev/null, a terminal) or the
program's own output: the bytes are sent into it. Anything else, a block device above all, is refused.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO

from .._results import files_by
from ..errors import OutputError
from .locking import MARK, lock, locked, only_run_in
from .paths import kind_of, printable, reason

__all__ = [
    "check_writable",
    "clear_leftovers",
    "output_directory",
    "remove",
    "save_text",
    "save_with",
    "stage_in",
    "writable_directory",
]

_LEFTOVER = re.compile(rf"\..+\.[0-9a-f]{{8}}{re.escape(MARK)}")
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_PREFIX = 40  # characters of the name that the temporary one begins with: together they must not be too long


def save_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` in UTF-8, whole or not at all; raises `OutputError`."""
    save_with(path, lambda handle: handle.write(text.encode(errors="replace")))


def save_with(path: Path | str, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a file that takes the name `path` only once it is complete and on the disk.

    Raises
    ------
    OutputError
        If the place cannot be written or is full, or is one that is refused (see the module).
    """
    place = Path(path)
    with _as_output_error(place):
        if (descriptor := _stream(place)) is not None:
            _send(descriptor, write)
            return
        target = _target(place)
        with _temporary_beside(target) as (handle, temporary):
            write(handle)
            handle.flush()
            os.fsync(handle.fileno())
            if os.name == "nt":  # an open file has its name for good there; elsewhere the lock is kept until the end
                handle.close()
            temporary.replace(target)
        _sync(target.parent)


def check_writable(path: Path | str) -> None:
    """Raise `OutputError` now if a file `path` could not be written later; clears what killed runs left beside it."""
    place = Path(path)
    with _as_output_error(place):
        if _streamed(place):
            if not os.access(place, os.W_OK):
                raise PermissionError(None, "Permission denied")
            return
        target = _target(place)
        with _temporary_beside(target):
            pass
        clear_leftovers(target.parent)


def writable_directory(path: Path | str) -> Path:
    """Return `path` as a directory that exists and takes files, made if missing.

    Raises
    ------
    OutputError
    """
    directory = Path(path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _temporary_beside(directory / "test"):
            pass
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write to {printable(directory)}: {reason(error)}. Choose another --out.") from error
    return directory


@contextlib.contextmanager
def output_directory(path: Path | str, *, alone: bool = True) -> Iterator[Path]:
    """Give a directory to one run alone, writable, before any work starts; if the run leaves nothing in it, none stays.

    What killed runs left in it is cleared, and of the directories made on the way to it those that stay empty. Not
    `alone` are jobs that write each its own files there, beside others of the kind.

    Raises
    ------
    OutputError
        If it cannot be written, or another run holds it.
    """
    made = _missing(Path(path))
    try:
        directory = writable_directory(path)
    except OutputError:
        _remove_empty(made)
        raise
    try:
        with only_run_in(directory, alone=alone):
            clear_leftovers(directory)
            try:
                yield directory
            finally:
                if alone:
                    _remove_empty(made)
    finally:
        if not alone:
            _remove_left(directory, made)


def _remove_left(directory: Path, made: list[Path]) -> None:
    """Remove what stays empty, where none of the jobs that shared it is there any more."""
    with contextlib.suppress(OSError), locked(directory) as free:
        if free:
            _remove_empty(made)


@contextlib.contextmanager
def stage_in(directory: Path) -> Iterator[Path]:
    """Give a new directory inside `directory`, locked, that is gone at the end; clears those of killed runs first."""
    clear_leftovers(directory)
    stage = directory / f".stage.{secrets.token_hex(4)}{MARK}"
    stage.mkdir()
    try:
        with locked(stage):
            yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def remove(path: Path | str) -> None:
    """Remove the file at `path`, or that a symbolic link there leads to; whatever else is there stays.

    Raises
    ------
    OutputError
    """
    with _as_output_error(Path(path)):
        if kind_of(path, OutputError) == "file":
            _target(Path(path)).unlink(missing_ok=True)


def clear_leftovers(directory: Path) -> None:
    """Remove from `directory` what runs that were killed had begun to write; a living one holds a lock on its file."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(directory)):
            if _LEFTOVER.fullmatch(entry.name) and not entry.is_symlink():
                _remove_if_free(Path(entry.path))


def _remove_if_free(path: Path) -> None:
    """Remove a file or a folder of ours that no process holds."""
    with contextlib.suppress(OSError):
        if os.name == "nt":  # where what is open cannot be removed
            path.unlink()
            return
        with locked(path) as free:
            if free:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _missing(directory: Path) -> list[Path]:
    """Return the directories on the way to `directory`, itself included, that are not there yet, the deepest first."""
    found = []
    for each in (directory, *directory.parents):
        if kind_of(each, OutputError) != "nothing":
            break
        found.append(each)
    return found


def _remove_empty(directories: list[Path]) -> None:
    for each in directories:
        with contextlib.suppress(OSError):  # not empty: it holds results
            each.rmdir()


def _target(place: Path) -> Path:
    """Return what a symbolic link leads to in the end, and any other path as it is."""
    return Path(os.path.realpath(place)) if place.is_symlink() else place


def _streamed(place: Path) -> bool:
    """Whether what is at `place` takes bytes and has no content of its own; raises `OutputError` for what must not."""
    kind = kind_of(place, OutputError)
    if kind in ("directory", "block device", "socket"):
        raise OutputError(f"cannot write {printable(place)}: it is a {kind}. Name a file.")
    return kind in ("FIFO", "character device") or _own_output(place) is not None


def _stream(place: Path) -> int | None:
    """Open what takes bytes as they come: a FIFO, a character device or our own output; None for a file."""
    if not _streamed(place):
        return None
    if (own := _own_output(place)) is not None:
        return os.dup(own)
    try:
        descriptor = os.open(place, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))  # waits for no reader
    except OSError as error:
        if kind_of(place, OutputError) == "FIFO":
            raise OSError(error.errno, "it is a FIFO that nobody reads from") from error
        raise
    if os.name != "nt":
        os.set_blocking(descriptor, True)
    return descriptor


def _own_output(place: Path) -> int | None:
    """Return which of the program's outputs a path such as /dev/stdout is: replacing its file would part the two."""
    with contextlib.suppress(OSError):
        there = place.stat()
        for descriptor in (1, 2):
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(descriptor), there):
                    return descriptor
    return None


def _send(descriptor: int, write: Callable[[IO[bytes]], object]) -> None:
    with os.fdopen(descriptor, "wb") as stream:
        whole = BytesIO()  # what is written may want to seek
        write(whole)
        stream.write(whole.getbuffer())


@contextlib.contextmanager
def _temporary_beside(target: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """Give a new file in the directory of `target`, locked, that is gone at the end unless renamed."""
    descriptor, temporary = _new_beside(target)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            yield handle, temporary
    finally:
        temporary.unlink(missing_ok=True)


def _new_beside(target: Path) -> tuple[int, Path]:
    while True:
        temporary = target.with_name(f".{target.name[:_PREFIX]}.{secrets.token_hex(4)}{MARK}")
        try:
            descriptor = os.open(temporary, _NEW, 0o666)  # less the umask
        except FileExistsError:
            continue
        lock(descriptor, wait=True)
        if os.name == "nt" or os.fstat(descriptor).st_nlink:
            return descriptor, temporary
        os.close(descriptor)  # taken for a leftover by another run, before it was locked


def _sync(directory: Path) -> None:
    """Put the renaming on the disk, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _as_output_error(place: Path) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {printable(place)}: {reason(error)}.") from error


files_by(save_text)
