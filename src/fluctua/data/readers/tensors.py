"""Tensors of torch's files (weights only) and of .safetensors, which are read here without another package."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..._half import HalfArray, Rows
from ..._optional import needed
from ...errors import CorruptData
from .held import Content, Entry, Held, first_rows, size_refused

__all__ = ["safetensors_arrays", "torch_tensors", "tree"]

_HEADER = 100_000_000  # bytes, as the format's own readers allow
_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "BOOL": "|b1",
    **{f"{sign}{8 * size}": f"<{letter}{size}" for sign, letter in (("I", "i"), ("U", "u")) for size in (1, 2, 4, 8)},
}
_DEEP = 4  # dictionaries in dictionaries


@contextmanager
def torch_tensors(path: Path) -> Iterator[Held]:
    """Give the tensors of a .pt: one, a pair (inputs, targets), or a dictionary of them; nothing else is loaded."""
    torch: Any = needed("torch", f"reading {path.name}")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except MemoryError:
        raise
    except Exception as problem:
        reason = " ".join(str(problem).split()) or type(problem).__name__
        if "weights_only" in reason or "Unsupported" in reason:
            what = "it holds more than tensors, lists and dictionaries of them (weights_only=True)"
            remedy = "Pickled objects are never loaded, since they can run code. Save {'X': inputs, 'y': labels}."
            raise CorruptData(path, what, remedy) from problem
        raise CorruptData(path, f"torch cannot read it ({reason[:200]})", "Save it again with torch.save.") from problem
    yield Held(path.name, tree(found))


def tree(found: object, name: str = "", depth: int = 0) -> dict[str, Entry]:
    """Return the arrays in dictionaries, of a pair as X and y, of a single one as array."""
    if isinstance(found, Mapping) and depth < _DEEP:
        inside = (tree(item, f"{name}/{key}" if name else str(key), depth + 1) for key, item in found.items())
        return {place: entry for entries in inside for place, entry in entries.items()}
    if isinstance(found, tuple | list) and len(found) == 2 and all(_is_array(item) for item in found):
        prefix = f"{name}/" if name else ""
        return {f"{prefix}{key}": _entry(key, item) for key, item in zip("Xy", found, strict=True)}
    return {name or "array": _entry(name or "array", found)}


def _is_array(item: object) -> bool:
    return hasattr(item, "shape") or (isinstance(item, list | tuple) and len(item) > 0)


def _entry(name: str, item: Any) -> Entry:
    shape, about = getattr(item, "shape", None), str(getattr(item, "dtype", "")).removeprefix("torch.")
    if (
        shape is None
        and isinstance(item, list | tuple)
        and item
        and all(isinstance(each, str | int | float) for each in item)
    ):
        shape, about = (len(item),), type(item[0]).__name__
    if shape is None:
        return Entry((), "other", partial(first_rows, name, item), type(item).__name__)
    content: Content = "text" if about == "str" or about.startswith(("<U", "|S", "object")) else "number"
    return Entry(tuple(int(n) for n in shape), content, partial(first_rows, name, item), about)


@contextmanager
def safetensors_arrays(path: Path) -> Iterator[Held]:
    """Give the tensors of a .safetensors file, its header held against its length."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= min(_HEADER, size - 8):
            raise ValueError(f"its header of {length:,} bytes does not fit into {size:,}")
        header = json.loads(stream.read(length).decode("utf-8"))
    if not isinstance(header, dict):
        raise TypeError("its header is no dictionary")
    header.pop("__metadata__", None)
    yield Held(path.name, {name: _tensor(path, name, about, 8 + length, size) for name, about in header.items()})


def _tensor(path: Path, name: str, about: Any, start: int, size: int) -> Entry:
    kind, shape, (begin, end) = about["dtype"], tuple(about["shape"]), about["data_offsets"]
    if any(type(n) is not int or n < 0 for n in (*shape, begin, end)):
        raise ValueError(f"{name} has the shape {shape} from {begin} to {end}")
    if kind not in _TYPES:
        return Entry(shape, "other", partial(first_rows, name, None), str(kind))
    dtype = np.dtype(_TYPES[kind])
    if end - begin != math.prod(shape) * dtype.itemsize or start + end > size:
        raise ValueError(f"{name}, {shape} of {kind}, has the bytes from {begin} to {end} of {size - start:,}")
    read = partial(_values, path, name, dtype, shape, start + begin, kind == "BF16")
    return Entry(shape, "number", read, {"BF16": "bfloat16"}.get(kind, dtype.name))


def _values(
    path: Path, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], start: int, brain: bool, rows: int | None
) -> Rows:
    kept = shape if rows is None or not shape else (min(rows, shape[0]), *shape[1:])
    size_refused(f"{name} of {path.name}", kept, dtype.itemsize)
    with path.open("rb") as stream:
        stream.seek(start)
        found = np.fromfile(stream, dtype, math.prod(kept)).reshape(kept)
    return HalfArray(found, "bfloat16") if brain else found
