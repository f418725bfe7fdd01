"""A user's own arrays: one .npz with X and y (or Y), or an .npy of inputs and an .npy of targets."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from .._arrays import AnyArray
from ..errors import CorruptData, DataUnavailable, InvalidInput
from ..storage.paths import expanded, kind_of, printable
from ..storage.stored import Stored, opened, reading
from .dataset import Dataset
from .selection import Selection

__all__ = ["existing", "load_npy", "looks_like_path", "own_dataset"]

_SUFFIXES = (".npz", ".npy")


def looks_like_path(name: str | os.PathLike[str]) -> bool:
    """Whether `name` means a file: a path object, or a string with an ending or a separator."""
    if not isinstance(name, str):
        return True
    return bool(Path(name).suffix) or any(mark in name for mark in (os.sep, os.altsep) if mark)


def own_dataset(path: Path, targets: str | os.PathLike[str] | None, wanted: Selection) -> Dataset:
    """Load a user's file; `fluctua.data.load` documents the rules."""
    path = existing(path)
    paths = [path, _targets_file(path, targets)] if path.suffix.lower() == ".npy" else [path]
    if len(paths) == 1 and targets is not None:
        raise InvalidInput(f"targets belongs to an .npy of inputs; {path.name} must hold X and y itself.")
    rows = wanted.limit if wanted.classes is None else None  # with classes, the first so many are anywhere
    inputs, y = _pair(paths, rows)
    files = {printable(item.name): _file_hash(item) for item in paths}
    return wanted.dataset(printable(path.name), inputs, y, files)


def existing(path: Path) -> Path:
    """Return the path of an .npz or .npy that is there; raises `DataUnavailable` or `InvalidInput` otherwise."""
    path = expanded(path)
    kind = kind_of(path, DataUnavailable)
    if kind != "file":
        near = difflib.get_close_matches(path.name, _arrays_in(path.parent) if kind == "nothing" else [], n=3)
        hint = f"Near it: {', '.join(near)}. " if near else ""
        what = "does not exist" if kind == "nothing" else f"is a {kind}"
        raise DataUnavailable(f"{path} {what}. {hint}Expected a file: an .npz with X and y, or an .npy of inputs.")
    if path.suffix.lower() not in _SUFFIXES:
        raise InvalidInput(
            f"{path} ends in {path.suffix or 'nothing'}; only .npz (arrays X and y) and .npy are read. "
            f"Convert it once: numpy.savez('data.npz', X=X, y=y)."
        )
    return path


def _arrays_in(folder: Path) -> list[str]:
    try:
        return [item.name for item in folder.iterdir() if item.suffix.lower() in _SUFFIXES]
    except OSError:  # not there, or not to be read: no hint
        return []


def _pair(paths: list[Path], rows: int | None) -> tuple[AnyArray, AnyArray]:
    """Return the first `rows` of X, and y whole: its distinct values are those of the whole file."""
    with ExitStack() as stack:
        inputs, y = (_both_in_npz if len(paths) == 1 else _one_in_each)(stack, paths)
        _same_length(inputs, y, paths[0])
        return _values(paths[0], inputs, rows), _values(paths[-1], y)


def _one_in_each(stack: ExitStack, paths: list[Path]) -> tuple[Stored, Stored]:
    inputs, y = (stack.enter_context(_array_in(path)) for path in paths)
    return inputs, y


def _both_in_npz(stack: ExitStack, paths: list[Path]) -> tuple[Stored, Stored]:
    (path,) = paths
    archive = stack.enter_context(_opened(path))
    if isinstance(archive, Stored):
        raise CorruptData(path, "it is a single array, not an .npz archive", "Rename it to .npy.")
    found = [name for name in ("y", "Y") if name in archive]
    if "X" not in archive or len(found) != 1:
        raise InvalidInput(
            f"{path} must hold the array X (samples x inputs) and either y or Y (labels or targets); it holds "
            f"{', '.join(archive) or 'nothing'}. Save it with numpy.savez(path, X=X, y=y)."
        )
    return _member(path, archive, "X"), _member(path, archive, found[0])


def _member(path: Path, archive: Mapping[str, Stored], name: str) -> Stored:
    with reading(partial(_unreadable, path, f"its array {name} cannot be read")):
        return archive[name]


def _values(path: Path, stored: Stored, rows: int | None = None) -> AnyArray:
    with reading(partial(_unreadable, path, f"{stored.name} cannot be read")):
        return stored.read(rows)


def _targets_file(path: Path, targets: str | os.PathLike[str] | None) -> Path:
    if targets is None:
        raise InvalidInput(f"{path.name} holds inputs only: name the file of its targets, targets='y.npy'.")
    other = existing(Path(targets))
    if other.suffix.lower() != ".npy":
        raise InvalidInput(f"targets must be an .npy file, got {other}.")
    return other


def load_npy(path: Path) -> AnyArray:
    """Return the array of an .npy file; raises `CorruptData` if it is not one."""
    with _array_in(path) as stored:
        return _values(path, stored)


@contextmanager
def _array_in(path: Path) -> Iterator[Stored]:
    with _opened(path) as stored:
        if not isinstance(stored, Stored):
            raise CorruptData(path, "it is an .npz archive, not a single array", "Rename it to .npz.")
        yield stored


@contextmanager
def _opened(path: Path) -> Iterator[Stored | Mapping[str, Stored]]:
    with ExitStack() as stack:
        with reading(partial(_unreadable, path, "NumPy cannot read it")):
            try:
                stored = stack.enter_context(opened(path))
            except PermissionError as problem:
                raise DataUnavailable(f"{path} cannot be read: {problem.strerror}.") from problem
        yield stored


def _unreadable(path: Path, what: str, reason: str) -> CorruptData:
    if any(word in reason.lower() for word in ("pickle", "object array")):
        remedy = "Pickled objects are never loaded, since they can run code. Save plain numeric arrays."
        return CorruptData(path, f"{what}: object array, pickle, or no NumPy file at all", remedy)
    remedy = "Save it again with numpy.savez or numpy.save."
    return CorruptData(path, f"{what} ({reason}); it may be cut short", remedy)


def _same_length(inputs: Stored, y: Stored, path: Path) -> None:
    if inputs.shape and y.shape and inputs.shape[0] != y.shape[0]:
        raise InvalidInput(
            f"{path.name}: X has {inputs.shape[0]:,} samples and y has {y.shape[0]:,} (shapes {inputs.shape} and "
            f"{y.shape}); row i of both must belong to the same sample."
        )


def _file_hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
