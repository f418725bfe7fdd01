"""The door: every public function checks what it was given here, before any work starts."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InvalidInput, UnknownName

__all__ = ["as_array", "choice", "positive_int", "real_array", "real_number", "step_list"]

MOST = 2**53  # the last whole number that floats count without a gap


def shown(value: Any) -> str:
    """Return how `value` looks, in one short line, whatever it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a stranger's own, or a number of too many digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def choice(kind: str, name: str, known: Iterable[str]) -> str:
    """Return `name` if it is in `known`; otherwise raise `UnknownName` with the nearest entry."""
    names = tuple(known)
    if name in names:
        return name
    near = difflib.get_close_matches(str(name).lower(), names, n=1, cutoff=0.4)
    raise UnknownName(kind, str(name), names, near[0] if near else None)


def positive_int(name: str, value: Any, *, minimum: int = 1, maximum: float = MOST) -> int:
    """Return `value` as an int from `minimum` to `maximum`; bools and fractions are refused."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InvalidInput(f"{name} must be a whole number of at least {minimum}, got {value!r}.")
    if value < minimum:
        raise InvalidInput(f"{name} must be at least {minimum}, got {int(value)}.")
    if int(value) > maximum:
        raise InvalidInput(f"{name} must be at most 2^53 = {MOST}, got {int(value)}.")
    return int(value)


def real_number(
    name: str, value: Any, *, above: float = -np.inf, minimum: float = -np.inf, below: float = np.inf
) -> float:
    """Return `value` as a finite float, strictly above `above`, at least `minimum` and strictly below `below`."""
    if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
        raise InvalidInput(f"{name} must be a finite number, got {value!r}.")
    number = float(value)
    if number <= above:
        raise InvalidInput(f"{name} must be greater than {above:g}, got {number:g}.")
    if number < minimum:
        raise InvalidInput(f"{name} must be at least {minimum:g}, got {number:g}.")
    if number >= below:
        raise InvalidInput(f"{name} must be less than {below:g}, got {number:g}.")
    return number


def as_path(name: str, value: Any) -> Path:
    """Return `value` as a path; only text and path objects are one."""
    if isinstance(value, str | os.PathLike):
        try:
            return Path(value)
        except (TypeError, ValueError):  # of bytes
            pass
    raise InvalidInput(f"{name} must be a path, got {shown(value)}.")


def as_array(name: str, value: Any) -> NDArray[Any]:
    """Return `value` as an array; rows of unequal length are refused."""
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InvalidInput(f"{name} cannot be read as one array, its rows differ in length: {error}") from None


def real_array(name: str, value: ArrayLike, *, ndim: int, shape: str) -> NDArray[Any]:
    """Return `value` as a finite real array of `ndim` axes; `shape` names them in the error text.

    float32 and float64 are kept without a copy; every other real type becomes float64. Finiteness is checked in
    blocks, so the check never needs a mask as long as the data set.
    """
    array = as_array(name, value)
    if array.dtype.kind not in "fiub":
        raise InvalidInput(f"{name} must hold real numbers, got dtype {array.dtype}; convert it to float first.")
    if array.ndim != ndim:
        raise InvalidInput(f"{name} must have shape {shape}, got {array.shape}.")
    if 0 in array.shape:
        raise InvalidInput(f"{name} is empty: its shape is {array.shape}, and {shape} needs at least one of each.")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    for start in range(0, len(array), 4096):
        bad = ~np.isfinite(array[start : start + 4096])
        if bad.any():
            first = np.argwhere(bad)[0]
            where = (start + int(first[0]), *(int(i) for i in first[1:]))
            raise InvalidInput(
                f"{name} holds {array[where]} at index {where}: every moment of the data would become NaN. "
                f"Remove or impute such samples first."
            )
    return array


def step_list(name: str, value: Any) -> NDArray[np.int64]:
    """Return one step count or a sequence of them as a sorted int64 array of counts >= 0."""
    steps = np.atleast_1d(as_array(name, value))
    if steps.ndim != 1 or steps.size == 0 or steps.dtype.kind not in "iu":
        raise InvalidInput(f"{name} must be a whole number or a sequence of them, got {value!r}.")
    if steps.min() < 0:
        raise InvalidInput(f"{name} counts steps from 0, got {int(steps.min())}.")
    if steps.max() > MOST:
        raise InvalidInput(f"{name} must be at most 2^53 = {MOST}, got {int(steps.max())}.")
    return np.sort(steps.astype(np.int64))
