"""Which directory is in use, and which data sets lie in it, in any of the layouts people have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .._validate.values import as_path
from ..errors import DataUnavailable, InvalidInput
from ..storage.paths import absolute, kind_of
from .registry import REGISTRY, Source

__all__ = ["Entry", "available", "data_home", "find", "missing", "names_a_place", "present"]


@dataclass(frozen=True)
class Entry:
    """One line of ``fluctua data list``.

    Attributes
    ----------
    name, description, size, origin, download_size : str
        `size` is samples, inputs and classes; `download_size` is empty where nothing is downloaded.
    subsets, splits : tuple of str
        The first one of each is the default.
    present : tuple of str
        What can be loaded now without a network, such as ("train", "test") or ("byclass/test",).
    """

    name: str
    description: str
    size: str
    origin: str
    download_size: str
    subsets: tuple[str, ...]
    splits: tuple[str, ...]
    present: tuple[str, ...]


def data_home(data_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the one directory in use for the files of the built-in data sets; it need not exist.

    It is `data_dir` if given, else the environment variable FLUCTUA_DATA, else FLUCTUA_CACHE, else the user's
    cache directory for fluctua.
    """
    for place in (data_dir, os.environ.get("FLUCTUA_DATA"), os.environ.get("FLUCTUA_CACHE")):
        if place:
            return absolute(as_path("data_dir", place))
    import pooch

    return Path(pooch.os_cache("fluctua"))


def names_a_place(data_dir: str | os.PathLike[str] | None) -> bool:
    """Whether the caller or FLUCTUA_DATA says where the files are, so that nothing is fetched unasked."""
    return bool(data_dir or os.environ.get("FLUCTUA_DATA"))


def available(data_dir: str | os.PathLike[str] | None = None) -> tuple[Entry, ...]:
    """Return an `Entry` for every built-in data set, saying what is present under `data_home`."""
    home = data_home(data_dir)
    return tuple(
        Entry(
            name=source.name,
            description=source.description,
            size=source.size,
            origin=source.origin,
            download_size=source.download_size,
            subsets=source.subsets,
            splits=source.splits,
            present=present(source, home),
        )
        for source in REGISTRY.values()
    )


def present(source: Source, home: Path) -> tuple[str, ...]:
    """Return the variants of `source` whose files all lie in one folder under `home`."""
    return tuple(key for key in source.variants if find(source, key, home) is not None)


def find(source: Source, key: str, home: Path) -> list[Path] | None:
    """Return the files of variant `key`, all from the first folder that has them all, or None."""
    for folder in source.folders or (".",):
        paths = [plain_or_gzip(home / folder / name) for name in source.variants[key].files]
        if None not in paths:
            return [path for path in paths if path is not None]
    return None


def plain_or_gzip(path: Path) -> Path | None:
    """Return `path`, or `path` with .gz, whichever is a file; None if neither is."""
    candidates = (path, path.with_name(path.name + ".gz"))
    return next((candidate for candidate in candidates if kind_of(candidate, DataUnavailable) == "file"), None)


def missing(source: Source, key: str, home: Path, data_dir: str | os.PathLike[str] | None) -> DataUnavailable:
    """Return the error that says where variant `key` was looked for and what is there instead."""
    if (kind := kind_of(home, DataUnavailable)) not in ("directory", "nothing"):
        raise InvalidInput(f"{_origin(data_dir)} must be a directory, and {home} is a {kind}.")
    files = ", ".join(source.variants[key].files)
    folders = ", ".join(source.folders)
    option = f" --data-dir {data_dir}" if data_dir else ""
    return DataUnavailable(
        f"{source.name} {key} is not under {home} (from {_origin(data_dir)}). Looked for {files}, plain or "
        f".gz, all in one of the folders {folders}. {_nearest(source, home)} Nothing is fetched unasked into a "
        f"directory you name: run 'fluctua data fetch {source.name}{option}' ({source.download_size}) to fetch "
        f"it there, or point data_dir (--data-dir, FLUCTUA_DATA) at the directory that has it."
    )


def _origin(data_dir: str | os.PathLike[str] | None) -> str:
    return "data_dir" if data_dir else "FLUCTUA_DATA"


def _nearest(source: Source, home: Path) -> str:
    if kind_of(home, DataUnavailable) == "nothing":
        return "That directory does not exist."
    if complete := present(source, home):
        choices = " or ".join(_arguments(key) for key in complete)
        return f"What is there: {', '.join(complete)} (load it with {choices})."
    stray = sorted(str(path.relative_to(home)) for path in _known_files(source, home))
    return f"Of its files only {', '.join(stray)} is there." if stray else "None of its files is there."


def _arguments(key: str) -> str:
    *split, subset = key.split("/")
    return ", ".join([*(f"split={value!r}" for value in split), f"subset={subset!r}"])


def _known_files(source: Source, home: Path) -> Iterator[Path]:
    for folder in source.folders:
        for variant in source.variants.values():
            for name in variant.files:
                if path := plain_or_gzip(home / folder / name):
                    yield path
