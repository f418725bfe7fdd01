"""Fetch a built-in data set from its publishers: mirrors in turn, hash checked, nothing kept by halves."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from .._validate.values import choice
from ..errors import CorruptData, DataUnavailable, InvalidInput, OutputError
from ..storage.writing import stage_in
from .archive import extract
from .locate import data_home, find, plain_or_gzip, present
from .progress import progress_bar
from .registry import REGISTRY, Download, Source

__all__ = ["fetch"]

_ROUNDS = 3
_PAUSE = 1.0
_TIMEOUT = (10.0, 60.0)
_CHUNK = 1 << 16
_DIGITS = 20  # more than any size has


class _WrongHash(Exception):
    """A server answered with other bytes than the publisher's."""


def fetch(name: str, *, data_dir: str | os.PathLike[str] | None = None, progress: bool | None = None) -> Path:
    """Fetch the files of a built-in data set that are not there yet.

    Each download goes to a temporary directory inside its destination, is checked against the publisher's md5,
    and is moved into place when it is whole; files that are already there are never touched.

    Parameters
    ----------
    name : {"mnist", "emnist", "cifar10"}
        The data set.
    data_dir : str or path, optional
        Where to put them; `data_home` otherwise.
    progress : bool, optional
        Show a bar with the time left on stderr; by default only when stderr is a terminal.

    Returns
    -------
    Path
        The directory that holds the files.

    Raises
    ------
    DataUnavailable
        If no mirror answers after three rounds.
    CorruptData
        If what answers has the wrong hash or is a broken or suspicious archive.
    OutputError
        If the directory cannot be written.
    UnknownName, InvalidInput
        If `name` is not a data set, or is one that needs no fetching.
    """
    source = REGISTRY[choice("data set", name, REGISTRY)]
    if not source.downloads:
        raise InvalidInput(f"{name} comes with {source.origin}: there is nothing to fetch, load it as it is.")
    home = data_home(data_dir)
    if present(source, home) == tuple(source.variants):
        return _folder(source, home)
    bar = sys.stderr.isatty() if progress is None else progress
    folder = home / source.folders[0]
    with _writable(folder) as stage:
        for download in source.downloads:
            _complete(source, download, folder, stage, bar)
    return folder


def _folder(source: Source, home: Path) -> Path:
    paths = find(source, next(iter(source.variants)), home) or [home]
    return paths[0].parent


@contextmanager
def _writable(folder: Path) -> Iterator[Path]:
    """Yield a temporary directory inside `folder`, on the same file system, so that renaming is atomic."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with stage_in(folder) as stage:
            yield stage
    except OSError as problem:
        advice = "Free or unlock it, or name another directory (data_dir, --data-dir, FLUCTUA_DATA)."
        raise OutputError(f"{folder} cannot be written: {problem.strerror or problem}. {advice}") from problem


def _complete(source: Source, download: Download, folder: Path, stage: Path, bar: bool) -> None:
    members = [member for member in download.members if not _there(folder, Path(member).name)]
    if not members and (download.members or _there(folder, download.file)):
        return
    fetched = _from_mirrors(source, download, stage, bar)
    whole = extract(fetched, members, stage, download.extracted_limit) if members else [fetched]
    for path in whole:
        path.replace(folder / path.name)


def _there(folder: Path, file: str) -> bool:
    return plain_or_gzip(folder / file.removesuffix(".gz")) is not None


def _from_mirrors(source: Source, download: Download, stage: Path, bar: bool) -> Path:
    import requests

    failure: Exception | None = None
    for attempt in range(_ROUNDS):
        time.sleep(attempt * _PAUSE)
        for url in download.urls:
            try:
                return _get(url, stage / download.file, download, bar)
            except Exception as problem:  # whatever an answer leads to, but for what the disk says
                if isinstance(problem, OSError) and not isinstance(problem, requests.RequestException):
                    raise
                # A wrong hash is worth more to the reader than another mirror's silence.
                failure = failure if isinstance(failure, _WrongHash) else problem
    raise _explained(source, download, failure) from failure


def _get(url: str, target: Path, download: Download, bar: bool) -> Path:
    import pooch

    with ExitStack() as stack:
        # pooch leaves the connection of a refused request open; without "identity" a server may send a .gz unpacked.
        def opened(answer: Any, **_: Any) -> None:
            stack.enter_context(closing(answer))
            _bound(url, answer, download.size_limit)

        options = {"timeout": _TIMEOUT, "hooks": {"response": opened}, "headers": {"Accept-Encoding": "identity"}}
        shown = stack.enter_context(progress_bar(target.name, bar)) or False
        pooch.HTTPDownloader(progressbar=shown, chunk_size=_CHUNK, **options)(url, str(target), None)
    found = pooch.file_hash(str(target), alg="md5")
    if found != download.md5:
        size = target.stat().st_size
        raise _WrongHash(f"{url} sent {size:,} bytes with md5 {found}, the publisher's file has md5 {download.md5}")
    return target


def _bound(url: str, answer: Any, limit: int) -> None:
    """Let an answer end after `limit` bytes, and believe its Content-Length only if that is a number."""
    announced = answer.headers.get("Content-Length", "0")
    if not (announced.isascii() and announced.isdigit() and len(announced) < _DIGITS):
        del answer.headers["Content-Length"]
    elif int(announced) > limit:
        raise _WrongHash(f"{url} announced {int(announced):,} bytes, the publisher's file has less than {limit:,}")
    chunks = answer.iter_content

    def counted(*given: Any, **options: Any) -> Iterator[bytes]:
        size = 0
        for chunk in chunks(*given, **options):
            size += len(chunk)
            if size > limit:
                raise _WrongHash(f"{url} sent more than {limit:,} bytes, the publisher's file has less")
            yield chunk

    answer.iter_content = counted


def _explained(source: Source, download: Download, failure: Exception | None) -> Exception:
    by_hand = _by_hand(source)
    if isinstance(failure, _WrongHash):
        remedy = f"The download was deleted: a proxy's page often looks like this. Try later. {by_hand}"
        return CorruptData(download.file, str(failure), remedy)
    return DataUnavailable(
        f"{source.name} could not be fetched: {download.file} came from none of {', '.join(download.urls)} in "
        f"{_ROUNDS} rounds (last reason: {failure}). {by_hand}"
    )


def _by_hand(source: Source) -> str:
    files = ", ".join(download.file for download in source.downloads)
    verb = "unpack" if any(download.members for download in source.downloads) else "put"
    return (
        f"Without a network, get {files} on another machine, {verb} under DIR/{source.name}/ and set "
        f"FLUCTUA_DATA=DIR (or pass data_dir, --data-dir)."
    )
