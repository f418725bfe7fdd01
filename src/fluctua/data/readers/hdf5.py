"""Arrays of HDF5 files; links to other files are not followed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..._arrays import AnyArray
from ..._optional import needed
from .held import Entry, Held, kind_of_type, size_refused

__all__ = ["hdf5_arrays"]


@contextmanager
def hdf5_arrays(path: Path) -> Iterator[Held]:
    """Give the arrays of an HDF5 file, by their path in it."""
    h5py: Any = needed("h5py", f"reading {path.name}")
    with h5py.File(path, "r") as file:
        found: dict[str, Entry] = {}

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found[name] = _entry(h5py, path.name, name, item)

        file.visititems(visit)
        yield Held(path.name, found)


def _entry(h5py: Any, file: str, name: str, item: Any) -> Entry:
    shape = tuple(int(length) for length in item.shape or ())
    text = h5py.check_string_dtype(item.dtype) is not None
    content = "text" if text else kind_of_type(item.dtype)
    return Entry(shape, content, partial(_values, file, name, item, text), "text" if text else str(item.dtype))


def _values(file: str, name: str, item: Any, text: bool, rows: int | None) -> AnyArray:
    shape = tuple(item.shape)
    kept = shape if rows is None or not shape else (min(rows, shape[0]), *shape[1:])
    size_refused(f"{name} of {file}", kept, item.dtype.itemsize)
    part = () if not shape else slice(kept[0])
    found = np.asarray(item.asstr()[part] if text else item[part])
    return found.astype(str) if text else found.astype(found.dtype.newbyteorder("="), copy=False)
