"""Take the expected members, and nothing else, out of a downloaded archive."""

from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from ..errors import CorruptData
from ..storage.stored import reading

__all__ = ["extract"]

_CHUNK = 1 << 20
_REMEDY = "Nothing was kept of it. Fetch again; if it happens again, the publisher's file is not what it was."


def extract(archive: Path, members: Sequence[str], folder: Path, limit: int) -> list[Path]:
    """Write the regular files `members` of a .zip or .tar.gz into `folder`, under their last names.

    The names of all members are checked before the first byte is written, and sizes are counted as they are
    written, not believed. Unexpected members are left alone.

    Raises
    ------
    CorruptData
        If the archive is broken, lacks a member, names a path outside itself, has a link or a device where a
        file should be, or holds more than `limit` bytes in `members`.
    """
    written, budget = [], limit
    with ExitStack() as stack:
        with reading(partial(_broken, archive)):
            names, opener = stack.enter_context(_opened(archive))
        _check(archive, names, members)
        for member in members:
            with reading(partial(_broken, archive)):
                source = opener(member)
            target = folder / PurePosixPath(member).name
            budget -= _copy(archive, member, source, target, budget)
            written.append(target)
    return written


def _broken(archive: Path, reason: str) -> CorruptData:
    return CorruptData(archive.name, f"the archive cannot be read ({reason})", _REMEDY)


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[list[str], Callable[[str], IO[bytes] | None]]]:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            yield zipped.namelist(), partial(_zip_member, zipped)
    else:
        with tarfile.open(archive, "r:gz") as tarred:
            yield tarred.getnames(), partial(_tar_member, tarred)


def _zip_member(archive: zipfile.ZipFile, member: str) -> IO[bytes] | None:
    info = archive.getinfo(member)
    # The upper half holds the Unix mode, and is zero where the archive was not made on Unix.
    kind = stat.S_IFMT(info.external_attr >> 16)
    return archive.open(info) if kind in (0, stat.S_IFREG) and not info.is_dir() else None


def _tar_member(archive: tarfile.TarFile, member: str) -> IO[bytes] | None:
    info = archive.getmember(member)
    return archive.extractfile(info) if info.isreg() else None


def _check(archive: Path, names: Sequence[str], members: Sequence[str]) -> None:
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in name:
            what = f"its member {name!r} would be written outside the archive's folder"
            raise CorruptData(archive.name, what, _REMEDY)
    if absent := [member for member in members if member not in names]:
        raise CorruptData(archive.name, f"it lacks {', '.join(absent)}", _REMEDY)


def _copy(archive: Path, member: str, source: IO[bytes] | None, target: Path, budget: int) -> int:
    if source is None:
        raise CorruptData(archive.name, f"its member {member} is not a regular file", _REMEDY)
    size = 0
    with source, target.open("wb") as sink:
        for chunk in _chunks(archive, source):
            size += len(chunk)
            if size > budget:
                what = f"its member {member} is larger than the {budget:,} bytes that the real one leaves room for"
                raise CorruptData(archive.name, what, _REMEDY)
            sink.write(chunk)
    return size


def _chunks(archive: Path, source: IO[bytes]) -> Iterator[bytes]:
    """What the member holds; an error of the disk that it is copied to is none of the archive's."""
    more = True
    while more:
        with reading(partial(_broken, archive)):
            chunk = source.read(_CHUNK)
        more = bool(chunk)
        yield chunk
