"""Readers of users' files, by the ending of the name; each says what is there before any value is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from ...errors import CorruptData, DataUnavailable
from ...storage.stored import reading
from .arrow import parquet_columns
from .hdf5 import hdf5_arrays
from .held import Held
from .numpy_files import npy_array, npz_arrays
from .saved import dataset_files, is_dataset_folder, saved_dataset
from .tensors import safetensors_arrays, torch_tensors
from .text import text_table

__all__ = ["READERS", "SUFFIXES", "dataset_files", "ending", "is_dataset_folder", "opened"]

READERS: dict[str, Callable[[Path], AbstractContextManager[Held]]] = {
    ".npz": npz_arrays,
    ".npy": npy_array,
    ".csv": text_table,
    ".tsv": text_table,
    ".csv.gz": text_table,
    ".tsv.gz": text_table,
    ".parquet": parquet_columns,
    ".h5": hdf5_arrays,
    ".hdf5": hdf5_arrays,
    ".pt": torch_tensors,
    ".pth": torch_tensors,
    ".safetensors": safetensors_arrays,
}
SUFFIXES = tuple(READERS)


def ending(path: Path) -> str:
    """Return the ending of a name that says how it is read, in small letters; the last one where none does."""
    name = path.name.lower()
    return next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(suffix)), path.suffix)


@contextmanager
def opened(path: Path, subset: str | None) -> Iterator[Held]:
    """Give what is in a file or a folder; whatever goes wrong on its bytes is its fault."""
    with ExitStack() as stack:
        with reading(partial(_unreadable, path)):
            try:
                reader = saved_dataset(path, subset) if path.is_dir() else READERS[ending(path)](path)
                held = stack.enter_context(reader)
            except PermissionError as problem:
                raise DataUnavailable(f"{path} cannot be read: {problem.strerror}.") from problem
        yield held


def _unreadable(path: Path, reason: str) -> CorruptData:
    return CorruptData(
        path, f"it cannot be read ({reason}); it may be cut short", "Save it again, or check its ending."
    )
