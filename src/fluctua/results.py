"""Files of results: one .npz with a JSON header, written under a temporary name and then renamed."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ._stored import Stored, opened, reading
from .errors import OutputError, ResultError

__all__ = [
    "check_writable",
    "finite",
    "load_arrays",
    "output_directory",
    "provenance",
    "save_arrays",
    "save_text",
    "save_with",
    "writable_directory",
]

Arrays = dict[str, NDArray[Any]]
_HEADER = "header"
_FORMAT = "fluctua-result-1"


def save_arrays(path: Path | str, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write `arrays` and the JSON `header` to `path`, whole or not at all.

    Raises
    ------
    OutputError
        If the place cannot be written or is full.
    """
    text = json.dumps({"format": _FORMAT, **header})

    def write(handle: IO[bytes]) -> None:
        np.savez(handle, **{_HEADER: np.array(text)}, **arrays)  # type: ignore[arg-type]  # (a stub too narrow)

    _replace(Path(path), write)


def save_text(path: Path | str, text: str) -> None:
    """Write `text` to `path`, whole or not at all; raises `OutputError`."""
    _replace(Path(path), lambda handle: handle.write(text.encode()))


def save_with(path: Path | str, write: Callable[[IO[bytes]], Any]) -> None:
    """Let `write` fill a file that takes the name `path` only once complete; raises `OutputError`."""
    _replace(Path(path), write)


def check_writable(path: Path | str) -> None:
    """Raise `OutputError` now if a file `path` could not be written later."""
    with _temporary_beside(Path(path)):
        pass


def load_arrays(path: Path | str) -> tuple[dict[str, Any], Arrays]:
    """Return the header and the arrays of a file written by `save_arrays`.

    Raises
    ------
    ResultError
        If the file is missing, damaged or not one of ours.
    """
    with reading(partial(_unreadable, path)):
        try:
            with opened(path) as stored:
                if isinstance(stored, Stored):
                    raise ValueError("it is a single array, not an .npz")
                arrays = {name: stored[name].read() for name in stored}
        except FileNotFoundError:
            raise ResultError(f"{path}: no such result. Run `fluctua verify ... --out DIR` to make one.") from None
        header = json.loads(str(arrays.pop(_HEADER)), parse_constant=_refuse_constant)
        if not isinstance(header, dict):
            raise ValueError("its header is no JSON object")
    if header.get("format") != _FORMAT:
        raise ResultError(f"{path} has the format {header.get('format')!r}; this version reads {_FORMAT!r}.")
    return header, arrays


def _unreadable(path: Path | str, reason: str) -> ResultError:
    return ResultError(f"{path} is not a readable fluctua result ({reason}). Delete it and run again.")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"its header holds {name}")


def writable_directory(path: Path | str) -> Path:
    """Return `path` as a directory that exists and takes files, made if missing.

    Raises
    ------
    OutputError
    """
    directory = Path(path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise OutputError(f"cannot write to {directory}: {error.strerror}. Choose another --out.") from error
    return directory


@contextlib.contextmanager
def output_directory(path: Path | str) -> Iterator[Path]:
    """Give a writable directory before any work starts, and leave none behind if the work is refused or fails."""
    existed = Path(path).exists()
    try:
        yield writable_directory(path)
    finally:
        if not existed:
            with contextlib.suppress(OSError):  # not empty: it holds results
                Path(path).rmdir()


def provenance() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {}
    for name in ("fluctua", "numpy", "scipy"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _replace(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    with _temporary_beside(path) as (handle, temporary):
        write(handle)
        handle.close()
        temporary.replace(path)


@contextlib.contextmanager
def _temporary_beside(path: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """Give a file in the directory of `path` that is gone at the end unless renamed; raises `OutputError`."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                temporary.chmod(0o644)
                yield handle, temporary
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}.") from error


def finite(value: Any) -> Any:
    """Return a result as JSON can hold it: no infinity and no NaN, they become null; and no negative zero."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if not isinstance(value, float):
        return value
    return value + 0.0 if np.isfinite(value) else None
