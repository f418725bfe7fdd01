"""The border to other people's bytes: whatever a reader raises on a file is the file's fault, and is said so.

Arrays of .npy and .npz files are read here. What a header promises is held against the length of the file and against
the memory there is, before anything is allocated.
"""

from __future__ import annotations

import math
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from .._arrays import AnyArray, DType
from .._validate.sizes import refuse_bytes
from ..errors import FluctuaError

__all__ = ["Stored", "opened", "reading"]

Fault = Callable[[str], FluctuaError]
_ZIP, _NPY = (b"PK\x03\x04", b"PK\x05\x06"), b"\x93NUMPY"
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_CHUNK = 1 << 20
_WORDS = 200  # characters of a reason that are shown


@contextmanager
def reading(fault: Fault, ours: bool = False) -> Iterator[None]:
    """Raise `fault(reason)` for whatever the body raises, and keep its warnings to itself.

    A `FluctuaError` says already what is wrong, and passes; with `ours` it is a reason too, because the body does with
    the file's values what the door is for.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except FluctuaError as problem:
        if not ours:
            raise
        raise fault(_reason(problem)) from problem
    except MemoryError as problem:
        raise fault("reading it takes more memory than there is") from problem
    except Exception as problem:
        raise fault(_reason(problem)) from problem


def _reason(problem: Exception) -> str:
    words = " ".join(str(problem).split()) or type(problem).__name__
    shown = "".join(letter if letter.isprintable() else "?" for letter in words[:_WORDS])
    return shown if len(words) <= _WORDS else f"{shown}..."


@dataclass(frozen=True)
class Stored:
    """An array in a file, its header read and its values not yet.

    Attributes
    ----------
    name : str
        What error texts call it.
    shape : tuple of int
    dtype : dtype
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    _columns_first: bool
    _stream: IO[bytes]

    def read(self, rows: int | None = None) -> AnyArray:
        """Return the array, or its first `rows`; the rest is read too, for the checksum, and not kept. Once only."""
        shape = self.shape
        if rows is not None and shape and not self._columns_first:
            shape = (min(rows, shape[0]), *shape[1:])
        size = math.prod(shape) * self.dtype.itemsize
        refuse_bytes(f"{self.name}, {_spelled(shape)} of {self.dtype},", size, "Give fewer samples, or more memory.")
        kept = np.empty(shape, self.dtype, order="F" if self._columns_first else "C")
        if size:
            self._fill(kept.reshape(-1, order="A").view(np.uint8).data)
        self._skip(math.prod(self.shape) * self.dtype.itemsize - size)
        return kept

    def _fill(self, view: memoryview) -> None:
        filled = 0
        while filled < len(view):
            chunk = self._stream.read(min(_CHUNK, len(view) - filled))
            if not chunk:
                raise ValueError(f"{len(view) - filled:,} bytes are missing")
            view[filled : filled + len(chunk)] = chunk
            filled += len(chunk)

    def _skip(self, size: int) -> None:
        while chunk := self._stream.read(_CHUNK):
            size -= len(chunk)
        if size:
            raise ValueError(f"{abs(size):,} bytes are {'missing' if size > 0 else 'too many'}")


def _spelled(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{length:,}" for length in shape) or "one number"


@contextmanager
def opened(path: Path | str) -> Iterator[Stored | Mapping[str, Stored]]:
    """Give the array of an .npy, or the arrays of an .npz by name; use within `reading`.

    Told apart by content. No pickle is ever loaded.
    """
    with ExitStack() as stack:
        stream = stack.enter_context(open(path, "rb"))  # noqa: PTH123  (str or Path)
        magic = stream.read(len(_NPY))
        stream.seek(0)
        if magic.startswith(_ZIP):
            yield _Archive(stack.enter_context(zipfile.ZipFile(stream)))
        else:
            yield _header(Path(path).name, stream, os.fstat(stream.fileno()).st_size)


class _Archive(Mapping[str, Stored]):
    """The members of an .npz, each opened when asked for."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}

    def __getitem__(self, name: str) -> Stored:
        info = self._members[name]
        return _header(f"its array {name}", self._archive.open(info), info.file_size)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


def _header(name: str, stream: IO[bytes], length: int) -> Stored:
    """Read the header of an .npy of `length` bytes, and hold what it promises against that."""
    if stream.read(len(_NPY)) != _NPY:
        raise ValueError("it is no NumPy file; pickle is not read")
    version = tuple(stream.read(2))
    if version not in _HEADERS:
        raise ValueError(f"version {version} of the format is not read")
    shape, columns_first, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("object array: it would have to be unpickled")
    if any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"shape {shape} is none")
    promised, follow = math.prod(shape) * dtype.itemsize, length - stream.tell()
    if promised != follow:
        raise ValueError(f"the header promises {promised:,} bytes and {follow:,} follow")
    return Stored(name, shape, dtype, columns_first, stream)
