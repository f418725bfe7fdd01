"""What a file of results must hold: its header as the schema says, its arrays as the header promises."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files

import numpy as np

from .._arrays import AnyArray, Arrays
from .._validate.plain import Header

__all__ = ["Layout", "hold_arrays", "hold_header", "schema_text"]

Layout = Mapping[str, str]
"""Of each array by name its kind, f for floats or i for integers, and its axes: letters, each one length, or digits."""

_KINDS = {"f": "f", "i": "iu"}


def hold_header(header: Header, schema: str) -> None:
    """Raise `ValueError` unless the header obeys the published schema, and every number in it is one for floats."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    _hold_numbers(header)
    fault = best_match(Draft202012Validator(_schema(schema)).iter_errors(header))
    if fault is not None:
        raise ValueError(f"{fault.json_path.removeprefix('$.')}: {fault.message}")


def schema_text(name: str) -> str:
    """Return the JSON Schema that `fluctua schema` prints."""
    return (files("fluctua") / "schemas" / f"{name}.json").read_text(encoding="utf-8")


@cache
def _schema(name: str) -> Header:
    schema: Header = json.loads(schema_text(name))
    return schema


def _hold_numbers(value: object) -> None:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _hold_numbers(item)
    elif isinstance(value, int | float) and not math.isfinite(float(value)):
        raise ValueError(f"it holds the number {value}")


def hold_arrays(
    arrays: Arrays, layout: Layout, sizes: dict[str, int], *, only: bool = False, together: Collection[Layout] = ()
) -> None:
    """Raise `ValueError` unless the arrays are those of `layout`.

    Parameters
    ----------
    arrays : dict of str to ndarray
        What a file holds.
    layout : Layout
        All of it is required.
    sizes : dict of str to int
        Lengths of the axes that are known; the others are taken from the first array that has them.
    only : bool
        Whether others are refused. All must hold numbers.
    together : collection of Layout
        Groups that may be missing, as a whole.
    """
    groups = [group for group in together if any(name in arrays for name in group)]
    wanted = {name: axes for group in (layout, *groups) for name, axes in group.items()}
    if missing := [name for name in wanted if name not in arrays]:
        raise ValueError(f"it lacks the array {', '.join(missing)}")
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ValueError(f"its array {name} holds no numbers but {array.dtype}")
        if only and name not in wanted:
            raise ValueError(f"its array {name} is unknown")
    for name, spec in wanted.items():
        _hold_array(name, arrays[name], spec, sizes)


def _hold_array(name: str, array: AnyArray, spec: str, sizes: dict[str, int]) -> None:
    kind, *axes = spec.split()
    fits = len(axes) == array.ndim and all(
        length == (int(axis) if axis.isdecimal() else sizes.setdefault(axis, length))
        for axis, length in zip(axes, array.shape, strict=True)
    )
    if not fits:
        expected = ", ".join(str(sizes.get(axis, axis)) for axis in axes)
        raise ValueError(f"its array {name} has the shape {array.shape}, expected is ({expected})")
    if array.dtype.kind not in _KINDS[kind] or array.dtype.itemsize > np.dtype(np.float64).itemsize:
        raise ValueError(f"its array {name} has the dtype {array.dtype}")
