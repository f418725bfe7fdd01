"""A user's own arrays: one .npz with X and y (or Y), or an .npy of inputs and an .npy of targets."""

from __future__ import annotations

import difflib
import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validate import real_array
from ..errors import CorruptData, DataUnavailable, InvalidInput
from ..paths import expanded, kind_of, printable
from .dataset import Dataset, chosen_labels, chosen_samples, one_hot

__all__ = ["existing", "load_npy", "looks_like_path", "own_dataset"]

_SUFFIXES = (".npz", ".npy")


def looks_like_path(name: str | os.PathLike[str]) -> bool:
    """Whether `name` means a file: a path object, or a string with an ending or a separator."""
    if not isinstance(name, str):
        return True
    return bool(Path(name).suffix) or any(mark in name for mark in (os.sep, os.altsep) if mark)


def own_dataset(
    path: Path,
    targets: str | os.PathLike[str] | None,
    classes: Sequence[int | str] | None,
    limit: int | None,
) -> Dataset:
    """Load a user's file; `fluctua.data.load` documents the rules."""
    path = existing(path)
    paths = [path, _targets_file(path, targets)] if path.suffix.lower() == ".npy" else [path]
    if len(paths) == 1 and targets is not None:
        raise InvalidInput(f"targets belongs to an .npy of inputs; {path.name} must hold X and y itself.")
    inputs, y = [load_npy(item) for item in paths] if len(paths) == 2 else _pair_in_npz(path)
    _same_length(inputs, y, path)
    files = {printable(item.name): _file_hash(item) for item in paths}
    return _assembled(printable(path.name), inputs, y, classes, limit, files)


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


def _pair_in_npz(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    with _opened(path) as archive:
        if isinstance(archive, np.ndarray):
            raise CorruptData(path, "it is a single array, not an .npz archive", "Rename it to .npy.")
        names = list(archive.files)
        found = [name for name in ("y", "Y") if name in names]
        if "X" not in names or len(found) != 1:
            raise InvalidInput(
                f"{path} must hold the array X (samples x inputs) and either y or Y (labels or targets); it holds "
                f"{', '.join(names) or 'nothing'}. Save it with numpy.savez(path, X=X, y=y)."
            )
        return _member(path, archive, "X"), _member(path, archive, found[0])


def _member(path: Path, archive: np.lib.npyio.NpzFile, name: str) -> NDArray[Any]:
    try:
        return np.asarray(archive[name])
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as problem:
        raise _unreadable(path, f"its array {name} cannot be read", problem) from problem


def _targets_file(path: Path, targets: str | os.PathLike[str] | None) -> Path:
    if targets is None:
        raise InvalidInput(f"{path.name} holds inputs only: name the file of its targets, targets='y.npy'.")
    other = existing(Path(targets))
    if other.suffix.lower() != ".npy":
        raise InvalidInput(f"targets must be an .npy file, got {other}.")
    return other


def load_npy(path: Path) -> NDArray[Any]:
    """Return the array of an .npy file; raises `CorruptData` if it is not one."""
    with _opened(path) as array:
        if isinstance(array, np.lib.npyio.NpzFile):
            raise CorruptData(path, "it is an .npz archive, not a single array", "Rename it to .npz.")
        return array


@contextmanager
def _opened(path: Path) -> Iterator[NDArray[Any] | np.lib.npyio.NpzFile]:
    with ExitStack() as stack:
        try:
            # Opened here, because np.load leaves a broken archive's file open.
            stream = stack.enter_context(path.open("rb"))
            loaded = np.load(stream, allow_pickle=False)
        except PermissionError as problem:
            raise DataUnavailable(f"{path} cannot be read: {problem.strerror}.") from problem
        except (ValueError, EOFError, OSError, zipfile.BadZipFile) as problem:
            raise _unreadable(path, "NumPy cannot read it", problem) from problem
        yield stack.enter_context(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else loaded


def _unreadable(path: Path, what: str, problem: Exception) -> CorruptData:
    if any(word in str(problem).lower() for word in ("pickle", "object array")):
        remedy = "Pickled objects are never loaded, since they can run code. Save plain numeric arrays."
        return CorruptData(path, f"{what}: object array, pickle, or no NumPy file at all", remedy)
    remedy = "Save it again with numpy.savez or numpy.save."
    return CorruptData(path, f"{what} ({problem or type(problem).__name__}); it may be cut short", remedy)


def _same_length(inputs: NDArray[Any], y: NDArray[Any], path: Path) -> None:
    if inputs.ndim and y.ndim and len(inputs) != len(y):
        raise InvalidInput(
            f"{path.name}: X has {len(inputs):,} samples and y has {len(y):,} (shapes {inputs.shape} and "
            f"{y.shape}); row i of both must belong to the same sample."
        )


def _assembled(
    name: str,
    inputs: NDArray[Any],
    y: NDArray[Any],
    classes: Sequence[int | str] | None,
    limit: int | None,
    files: dict[str, str],
) -> Dataset:
    if y.dtype.kind in "iub" and (y.ndim == 1 or y.shape[1:] == (1,)) and y.size:
        return _labelled(name, inputs, y.reshape(-1), classes, limit, files)
    if classes is not None:
        raise InvalidInput(
            f"classes chooses among integer labels, and y of {name} has dtype {y.dtype}, shape {y.shape}."
        )
    chosen_inputs, chosen_targets = _inputs(inputs, slice(limit)), _kept(y, slice(limit))
    targets = real_array("y", _as_columns(chosen_targets), ndim=2, shape="(N,) or (N, c)")
    return Dataset(chosen_inputs, targets, None, name, (), files)


def _labelled(
    name: str,
    inputs: NDArray[Any],
    y: NDArray[Any],
    classes: Sequence[int | str] | None,
    limit: int | None,
    files: dict[str, str],
) -> Dataset:
    # The columns come from the whole file, so that `limit` does not change how many outputs there are.
    labels = y.astype(np.int64)
    known = [int(label) for label in np.unique(labels)]
    wanted, class_names = chosen_labels(classes, known, [str(label) for label in known], name)
    index = chosen_samples(labels, wanted, limit)
    chosen_inputs, kept = _inputs(inputs, index), _kept(labels, index)
    return Dataset(chosen_inputs, one_hot(kept, wanted, chosen_inputs.dtype), kept, name, class_names, files)


def _inputs(array: NDArray[Any], index: NDArray[Any] | slice) -> NDArray[Any]:
    kept = _kept(array, index)
    flat = kept.reshape(len(kept), -1) if kept.ndim > 2 and kept.size else kept
    return real_array("X", flat, ndim=2, shape="(N, d)")


def _kept(array: NDArray[Any], index: NDArray[Any] | slice) -> NDArray[Any]:
    if array.ndim == 0 or (isinstance(index, slice) and (index.stop is None or index.stop >= len(array))):
        return array
    # A copy, so that a small choice does not keep a large file in memory.
    return array[index].copy() if isinstance(index, slice) else array[index]


def _as_columns(array: NDArray[Any]) -> NDArray[Any]:
    return array[:, None] if array.ndim == 1 else array


def _file_hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
