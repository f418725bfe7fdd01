"""Arrays of .npy and .npz files; pickles are never loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

from ..._arrays import AnyArray
from ...errors import CorruptData, DataUnavailable
from ...storage.stored import Stored, opened, reading
from .held import Entry, Held, kind_of_type

__all__ = ["load_npy", "npy_array", "npz_arrays"]


def load_npy(path: Path) -> AnyArray:
    """Return the array of an .npy file; raises `CorruptData` if it is not one."""
    with _array_in(path) as stored:
        return _values(path, stored, None)


@contextmanager
def npy_array(path: Path) -> Iterator[Held]:
    """Give the one array of an .npy."""
    with _array_in(path) as stored:
        yield Held(path.name, {"array": _entry(path, stored)})


@contextmanager
def npz_arrays(path: Path) -> Iterator[Held]:
    """Give the arrays of an .npz; the header of each is read, and of objects only that there are some."""
    with _opened(path) as archive:
        if isinstance(archive, Stored):
            raise CorruptData(path, "it is a single array, not an .npz archive", "Rename it to .npy.")
        yield Held(path.name, {name: _member(path, archive, name) for name in archive})


def _member(path: Path, archive: Mapping[str, Stored], name: str) -> Entry:
    """An array whose header cannot be read, one of objects too, is refused where it is asked for."""
    try:
        with reading(partial(_unreadable, path, f"its array {name} cannot be read")):
            return _entry(path, archive[name])
    except CorruptData as problem:
        return Entry((), "other", partial(_refused, problem), "objects, or damaged")


def _entry(path: Path, stored: Stored) -> Entry:
    return Entry(stored.shape, kind_of_type(stored.dtype), partial(_values, path, stored), str(stored.dtype))


def _refused(problem: CorruptData, rows: int | None) -> NoReturn:
    del rows
    raise problem


def _values(path: Path, stored: Stored, rows: int | None) -> AnyArray:
    with reading(partial(_unreadable, path, f"{stored.name} cannot be read")):
        return stored.read(rows)


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
