"""Objects: frames, dictionaries, pairs, scikit-learn's bunches, data sets of torch and of Hugging Face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..._half import Rows, as_half
from ..._validate.values import as_array, shown
from ...errors import InvalidInput
from .arrow import arrow_entries
from .held import Entry, Held, first_rows, kind_of_type, size_refused
from .rule import INPUT_NAMES, TARGET_NAMES, refuse_index
from .tensors import tree

__all__ = ["held_object", "object_name"]


def object_name(value: object) -> str:
    """Return what a data set made of an object is called."""
    return type(value).__name__


def held_object(value: Any, subset: str | None = None) -> Held:
    """Return the arrays or columns of an object in memory."""
    name = object_name(value)
    if isinstance(value, Mapping) and (parts := _parts(value)):
        part = subset if subset is not None else "train"
        if part not in parts:
            raise InvalidInput(f"{name} has no part {shown(part)}: its parts are {', '.join(map(str, parts))}.")
        return replace(held_object(value[part]), name=name, part=part)
    if _is_saved(value):
        return Held(name, arrow_entries(name, value.with_format("arrow")[:], _classes(value)), True)
    return Held(name, _columns(name, value), True) if _is_frame(value) else Held(name, _arrays(name, value))


def _is_saved(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "datasets" and hasattr(value, "with_format")


def _arrays(name: str, value: Any) -> dict[str, Entry]:
    """Arrays beside each other; a pair is inputs and targets, anything else one array."""
    if isinstance(value, Mapping):
        return tree(dict(value))
    if hasattr(value, "tensors") or _is_torch_dataset(value):
        return tree(tuple(value.tensors) if hasattr(value, "tensors") else _items(name, value))
    pair = isinstance(value, tuple) and len(value) == 2
    items = zip("Xy", value, strict=True) if pair else [("array", value)]
    return {key: _whole(key if pair else name, item) for key, item in items}


def _parts(value: Mapping[Any, Any]) -> list[Any]:
    """Names of the parts of a dictionary of data sets."""
    tables = all(hasattr(item, "column_names") or _is_frame(item) for item in value.values())
    arrays = {name.lower() for name in (*INPUT_NAMES, *TARGET_NAMES)} & {str(name).lower() for name in value}
    return list(value) if value and tables and not arrays else []


def _is_frame(item: object) -> bool:
    return hasattr(item, "columns") and hasattr(item, "to_numpy")


def _whole(name: str, value: object) -> Entry:
    if name == "X" and _is_frame(value):
        refuse_index(name, [str(column) for column in value.columns])  # type: ignore[attr-defined]
    half = as_half(value)
    array: Rows = as_array(name, value) if half is None else half
    if array.ndim == 0:
        raise InvalidInput(
            f"{name} holds no array, got {shown(value)}. Give a pair (X, y), a frame, a dictionary of arrays, a Bunch, "
            f"or a data set of torch (of a DataLoader its .dataset) or of Hugging Face."
        )
    if half is not None:
        return Entry(array.shape, "number", partial(first_rows, name, half), half.stored)
    return Entry(array.shape, kind_of_type(array.dtype), partial(first_rows, name, array), str(array.dtype))


def _columns(name: str, frame: Any) -> dict[str, Entry]:
    """The columns of a frame, by their names as text; two of one name are refused."""
    names = list(frame.columns)
    if len({str(column) for column in names}) < len(names):
        raise InvalidInput(f"{name} has several columns of one name: {shown(names)}. Rename all but one.")
    return {str(column): _column(name, str(column), frame[column]) for column in names}


def _column(name: str, label: str, column: Any) -> Entry:
    gaps = np.asarray(column.isna()) if hasattr(column, "isna") else np.zeros(1, bool)
    if hasattr(column, "is_null"):
        gaps = np.asarray(column.is_null())
    if gaps.any():

        def refuse(rows: int | None) -> Rows:
            del rows
            raise InvalidInput(
                f"{name}: column {label!r} has no value in row {int(np.argmax(gaps))} (counted from 0). Leave such "
                f"samples out (dropna) or fill what is missing first."
            )

        return Entry((len(column),), "number" if _numeric(column) else "text", refuse, str(column.dtype))
    array = as_array(label, column)
    if array.dtype.kind == "O" and len(array) and all(np.ndim(item) == 1 for item in array):
        array = _stacked(name, label, array)
    return Entry(array.shape, kind_of_type(array.dtype), partial(first_rows, label, array), str(array.dtype))


def _numeric(column: Any) -> bool:
    return getattr(column.dtype, "kind", "f") in "fiub"


def _stacked(name: str, label: str, vectors: Any) -> Any:
    lengths = [len(item) for item in vectors]
    if len(set(lengths)) > 1:
        row = next(k for k, length in enumerate(lengths) if length != lengths[0])
        raise InvalidInput(
            f"{name}: column {label!r} holds vectors of {lengths[0]} numbers, and of {lengths[row]} in row {row} "
            f"(counted from 0): every sample needs as many."
        )
    size_refused(f"{label} of {name}", (len(vectors), lengths[0]), 8)
    return np.stack([np.asarray(item) for item in vectors])


def _classes(value: Any) -> dict[str, list[str]]:
    kinds = dict(getattr(value, "features", None) or {})
    return {name: list(kind.names) for name, kind in kinds.items() if type(kind).__name__ == "ClassLabel"}


def _is_torch_dataset(value: object) -> bool:
    bases = {f"{base.__module__}.{base.__name__}" for base in type(value).__mro__}
    return "torch.utils.data.dataset.Dataset" in bases


def _items(name: str, data: Any) -> tuple[Any, Any]:
    """Return inputs and targets of a map-style data set, item by item."""
    if not hasattr(data, "__len__") or not hasattr(data, "__getitem__"):
        raise InvalidInput(f"{name} has no length. Give a data set whose items can be counted, or its arrays.")
    items = [data[k] for k in range(len(data))]
    if not items or any(not isinstance(item, tuple | list) or len(item) != 2 for item in items):
        raise InvalidInput(f"{name} must have items (input, target), got {shown(items[0] if items else None)}.")
    first = [as_array(f"the first input of {name}", items[0][0])]
    size_refused(name, (len(items), *first[0].shape), first[0].dtype.itemsize)
    try:
        inputs = np.stack([as_array(f"an input of {name}", item[0]) for item in items])
    except ValueError as problem:
        raise InvalidInput(f"{name} has inputs of different shapes: {problem}.") from problem
    return inputs, np.asarray([_number(item[1]) for item in items])


def _number(target: Any) -> Any:
    return as_array("a target", target) if hasattr(target, "shape") else target
