"""Columns of Arrow's tables, in memory and of .parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..._arrays import AnyArray
from ..._optional import needed
from ...errors import InvalidInput
from .held import Content, Entry, Held, size_refused

__all__ = ["arrow_entries", "parquet_columns"]


def _arrow(module: str = "pyarrow") -> Any:
    return needed(module, "reading columns of Arrow's")


@contextmanager
def parquet_columns(path: Path) -> Iterator[Held]:
    """Give the columns of a .parquet file; the index that pandas kept in it is none."""
    parquet: Any = needed("pyarrow.parquet", f"reading {path.name}")
    with parquet.ParquetFile(path) as file:
        schema, samples = file.schema_arrow, file.metadata.num_rows
        index = (schema.pandas_metadata or {}).get("index_columns", [])
        names = [name for name in schema.names if name not in index]
        yield Held(path.name, _entries(path.name, schema, names, samples, partial(_in_parquet, file)), True)


def _in_parquet(file: Any, name: str, rows: int | None) -> Any:
    pa = _arrow()
    batches, read = [], 0
    for batch in file.iter_batches(columns=[name]):
        batches.append(batch.slice(0, None if rows is None else rows - read))
        read += batches[-1].num_rows
        if rows is not None and read >= rows:
            break
    return pa.Table.from_batches(batches, None if batches else file.schema_arrow).column(name)


def arrow_entries(file: str, table: Any, classes: Mapping[str, Sequence[str]]) -> dict[str, Entry]:
    """Return the columns of a table in memory, or mapped to it; those with `classes` hold labels, counted from 0."""

    def column(name: str, rows: int | None) -> Any:
        return table.column(name).slice(0, rows)

    return _entries(file, table.schema, table.schema.names, table.num_rows, column, classes)


def _entries(
    file: str, schema: Any, names: Sequence[str], samples: int, column: Any, classes: Mapping[str, Sequence[str]] = {}
) -> dict[str, Entry]:
    if twins := sorted({name for name in names if list(names).count(name) > 1}):
        raise InvalidInput(f"{file} has several columns named {twins[0]!r}: which is meant? Rename all but one.")
    out = {}
    for name in names:
        kind = schema.field(name).type
        content, depth = _content(kind)
        shape = (samples, *(-1,) * depth)
        about = f"{'vectors of ' if depth else ''}{_innermost(kind)}"
        read = partial(_values, file, name, column, samples, classes.get(name))
        shown: Content = "text" if name in classes else content
        out[name] = Entry(shape[:2], shown, read, about, declared=name in classes)
    return out


def _content(kind: Any) -> tuple[Content, int]:
    """What a type of Arrow's holds, and in how many lists."""
    pa = _arrow()
    inner, depth = _innermost(kind), _depth(kind)
    types = pa.types
    if types.is_dictionary(inner):
        inner = inner.value_type
    if types.is_integer(inner) or types.is_floating(inner) or types.is_boolean(inner) or types.is_decimal(inner):
        return "number", depth
    is_text = types.is_string(inner) or types.is_large_string(inner) or types.is_string_view(inner)
    return ("text" if is_text and not depth else "other"), depth


def _is_list(kind: Any) -> bool:
    pa = _arrow()
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _depth(kind: Any) -> int:
    kind = getattr(kind, "storage_type", kind)
    return 1 + _depth(kind.value_type) if _is_list(kind) else 0


def _innermost(kind: Any) -> Any:
    kind = getattr(kind, "storage_type", kind)
    return _innermost(kind.value_type) if _is_list(kind) else kind


def _values(
    file: str, name: str, column: Any, samples: int, classes: Sequence[str] | None, rows: int | None
) -> AnyArray:
    """Return a column as an array, one chunk at a time: missing entries and vectors of unequal length are refused."""
    kept = samples if rows is None else min(rows, samples)
    chunks, start, out = column(name, rows).chunks, 0, None
    for chunk in chunks:
        block = _flat(file, name, getattr(chunk, "storage", chunk), start)
        if out is None:
            size_refused(f"{name} of {file}", (kept, *block.shape[1:]), block.dtype.itemsize)
            out = block if len(chunks) == 1 else np.empty((kept, *block.shape[1:]), block.dtype)
        if block.shape[1:] != out.shape[1:]:
            raise _ragged(file, name, out.shape[1], block.shape[1], start)
        if len(chunks) > 1:
            out = out.astype(np.result_type(out, block), copy=False)  # text grows
            out[start : start + len(block)] = block
        start += len(block)
    found = np.empty((0,)) if out is None else out
    return found if classes is None else _named(file, name, found, classes)


def _flat(file: str, name: str, chunk: Any, start: int) -> AnyArray:
    pa = _arrow()
    if pa.types.is_dictionary(chunk.type):
        chunk = chunk.cast(chunk.type.value_type)
    if chunk.null_count:
        row = start + int(np.argmax(np.asarray(chunk.is_null())))
        raise InvalidInput(
            f"{file}: column {name!r} has no value in row {row} (counted from 0). Leave such samples out or fill what "
            f"is missing first."
        )
    if _is_list(chunk.type):
        return _vectors(file, name, chunk, start)
    if pa.types.is_decimal(chunk.type):
        chunk = chunk.cast(pa.float64())
    found = np.asarray(chunk.to_numpy(zero_copy_only=False))
    return found.astype(str) if found.dtype.kind == "O" else found


def _vectors(file: str, name: str, chunk: Any, start: int) -> AnyArray:
    pc = _arrow("pyarrow.compute")
    lengths = np.asarray(pc.list_value_length(chunk)) if len(chunk) else np.zeros(1, int)
    if (lengths != lengths[0]).any():
        row = int(np.flatnonzero(lengths != lengths[0])[0])
        raise _ragged(file, name, int(lengths[0]), int(lengths[row]), start + row)
    inner = chunk.flatten()
    if inner.null_count:
        row = start + int(np.argmax(np.asarray(inner.is_null()))) // max(int(lengths[0]), 1)
        raise InvalidInput(f"{file}: column {name!r} lacks a number in the vector of row {row} (counted from 0).")
    flat = _flat(file, name, getattr(inner, "storage", inner), start)
    return flat.reshape(len(chunk), -1)


def _ragged(file: str, name: str, first: int, other: int, row: int) -> InvalidInput:
    return InvalidInput(
        f"{file}: column {name!r} holds vectors of {first} numbers, and of {other} in row {row} (counted from 0): "
        f"every sample needs as many."
    )


def _named(file: str, name: str, numbers: AnyArray, classes: Sequence[str]) -> AnyArray:
    outside = (numbers < 0) | (numbers >= len(classes))
    if outside.any():
        row = int(np.argmax(outside))
        raise InvalidInput(
            f"{file}: column {name!r} holds {numbers[row]} in row {row} (counted from 0), and has the classes 0 to "
            f"{len(classes) - 1}: a sample without a label. Leave such samples out."
        )
    return np.array(classes)[numbers]
