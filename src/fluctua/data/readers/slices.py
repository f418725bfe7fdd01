"""Rows of an array in a file, some at a time and in order: the file is never read as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..._arrays import AnyArray
from ..._optional import needed
from ...errors import CorruptData
from ...storage.stored import reading
from .held import Entry, Held, kind_of_type

__all__ = ["SLICED", "is_zarr", "sliced", "zarr_arrays"]


def is_zarr(path: Path) -> bool:
    """Whether a folder is an array or a group of Zarr's."""
    return any((path / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup"))


@contextmanager
def zarr_arrays(path: Path) -> Iterator[Held]:
    """Give the arrays of a Zarr folder: those of a group by their names, or the one that it is."""
    zarr: Any = needed("zarr", f"reading {path.name}")
    with reading(partial(_spoiled, path)):
        found = zarr.open(str(path), mode="r")
        arrays = {"array": found} if hasattr(found, "shape") else dict(found.arrays())
    yield Held(path.name, {name: _entry(array) for name, array in arrays.items()})


def _entry(array: Any) -> Entry:
    def read(rows: int | None) -> AnyArray:
        return np.asarray(array[:] if rows is None else array[:rows])

    return Entry(tuple(array.shape), kind_of_type(np.dtype(array.dtype)), read, str(array.dtype))


def _npy(stack: ExitStack, path: Path, names: list[str], rows: int) -> Iterator[AnyArray]:
    del stack, names
    yield from _by_rows(np.load(path, mmap_mode="r", allow_pickle=False), rows)


def _hdf5(stack: ExitStack, path: Path, names: list[str], rows: int) -> Iterator[AnyArray]:
    h5py: Any = needed("h5py", f"reading {path.name}")
    yield from _by_rows(stack.enter_context(h5py.File(path, "r"))[names[0]], rows)


def _zarr(stack: ExitStack, path: Path, names: list[str], rows: int) -> Iterator[AnyArray]:
    del stack
    zarr: Any = needed("zarr", f"reading {path.name}")
    found = zarr.open(str(path), mode="r")
    yield from _by_rows(found if hasattr(found, "shape") else found[names[0]], rows)


def _by_rows(array: Any, rows: int) -> Iterator[AnyArray]:
    for start in range(0, array.shape[0], rows):
        yield np.asarray(array[start : start + rows])


def _parquet(stack: ExitStack, path: Path, names: list[str], rows: int) -> Iterator[AnyArray]:
    parquet: Any = needed("pyarrow.parquet", f"reading {path.name}")
    file = stack.enter_context(parquet.ParquetFile(path))
    for batch in file.iter_batches(batch_size=rows, columns=names):
        columns = [batch.column(batch.schema.get_field_index(name)) for name in names]
        yield _vectors(columns[0], len(batch)) if len(names) == 1 else np.column_stack([_plain(one) for one in columns])


def _vectors(column: Any, count: int) -> AnyArray:
    """A column of lists of equal length as rows, of numbers as one column."""
    if not hasattr(column, "flatten") or not hasattr(column.type, "value_type"):
        return _plain(column)[:, None]
    return np.asarray(_plain(column.flatten()).reshape(count, -1))


def _plain(column: Any) -> AnyArray:
    return np.asarray(column.to_numpy(zero_copy_only=False))


SLICED: dict[str, Callable[[ExitStack, Path, list[str], int], Iterator[AnyArray]]] = {
    ".npy": _npy,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".parquet": _parquet,
    ".zarr": _zarr,
}
"""How rows are read, by the ending of the name; a folder of Zarr's may have any."""


def sliced(path: Path, kind: str, names: list[str], rows: int) -> Iterator[AnyArray]:
    """Yield so many rows at a time of the inputs called `names`; what goes wrong on the bytes is the file's fault."""
    with ExitStack() as stack:
        pieces = SLICED[kind](stack, path, names, rows)
        while True:
            with reading(partial(_spoiled, path)):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece


def _spoiled(path: Path, reason: str) -> CorruptData:
    return CorruptData(path, f"its values cannot be read ({reason}); it may be cut short", "Save it again.")
