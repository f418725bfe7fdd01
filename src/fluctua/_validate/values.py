"""The door: every public function checks what it was given here, before any work starts."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, SupportsInt, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import AnyArray, Ints
from .._half import Rows, as_half
from ..errors import InvalidInput, UnknownName
from .arrays import plain_array, remedy

__all__ = [
    "as_array",
    "as_path",
    "choice",
    "false_alarm_level",
    "flag",
    "function",
    "instance",
    "listed",
    "positive_int",
    "real_array",
    "real_number",
    "resolution_share",
    "sample_rows",
    "shaped",
    "shown",
    "step_list",
    "step_numbers",
]

SMALLEST_LEVEL = 1e-12
"""Below it a false-alarm level means nothing: the law of a mean of real numbers is not known so far out."""
T = TypeVar("T")
MOST = 2**53  # the last whole number that floats count without a gap
_NO_NUMBERS = (bool, np.bool_, np.timedelta64)  # though Python or NumPy count them among the whole ones
_LONG = 80  # characters of a value that are shown


def shown(value: object) -> str:
    """Return how `value` looks, in one short line, whatever it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a stranger's own, or a number of too many digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."


def choice(kind: str, name: object, known: Iterable[str]) -> str:
    """Return `name` if it is in `known`; otherwise raise `UnknownName` with the nearest entry."""
    names = tuple(known)
    if isinstance(name, str) and name in names:
        return str(name)
    given = name if isinstance(name, str) and len(name) <= _LONG else shown(name)
    near = difflib.get_close_matches(given.lower(), names, n=1, cutoff=0.4)
    raise UnknownName(kind, given, names, near[0] if near else None)


def positive_int(name: str, value: object, *, minimum: int = 1, maximum: float = MOST) -> int:
    """Return `value` as an int from `minimum` to `maximum`; bools, fractions and durations are refused."""
    if isinstance(value, _NO_NUMBERS) or not isinstance(value, Integral):
        raise InvalidInput(f"{name} must be a whole number of at least {minimum}, got {shown(value)}.")
    number = _int(name, value)
    if number < minimum:
        raise InvalidInput(f"{name} must be at least {minimum}, got {shown(number)}.")
    if number > maximum:
        most = f"2^53 = {MOST}" if maximum == MOST else f"{maximum:,.0f}" if maximum < MOST else f"{maximum:.3g}"
        raise InvalidInput(f"{name} must be at most {most}, got {shown(number)}.")
    return number


def _int(name: str, value: SupportsInt) -> int:
    try:
        return int(value)
    except Exception as error:  # a stranger's own
        raise InvalidInput(f"{name} must be a whole number, got {shown(value)}.") from error


def real_number(
    name: str,
    value: object,
    *,
    above: float = -np.inf,
    minimum: float = -np.inf,
    below: float = np.inf,
    maximum: float = np.inf,
) -> float:
    """Return `value` as a finite float: above `above`, from `minimum` to `maximum`, and below `below`."""
    number = _float(value)
    if not np.isfinite(number):
        raise InvalidInput(f"{name} must be a finite number, got {shown(value)}.")
    if number <= above:
        raise InvalidInput(f"{name} must be greater than {above:g}, got {number:g}.")
    if number < minimum:
        raise InvalidInput(f"{name} must be at least {minimum:g}, got {number:g}.")
    if number >= below:
        raise InvalidInput(f"{name} must be less than {below:g}, got {number:g}.")
    if number > maximum:
        raise InvalidInput(f"{name} must be at most {maximum:g}, got {number:g}.")
    return number


def false_alarm_level(value: object) -> float:
    """Return a false-alarm level, from `SMALLEST_LEVEL` to below 1; every verdict's is checked here."""
    level = real_number("level", value, above=0.0, below=1.0)
    if level < SMALLEST_LEVEL:
        raise InvalidInput(
            f"level must be at least {SMALLEST_LEVEL:g}, got {level:g}: so far out the law of a mean over replicas is "
            f"not known, and the level would not be kept. Use 1e-6 for a verdict that should hardly ever be wrong."
        )
    return level


def resolution_share(value: object) -> float:
    """Return the relative error that a verdict has to reject, between 0 and 1: predictions are made wrong by it."""
    return real_number("resolution", value, above=0.0, below=1.0)


def _float(value: object) -> float:
    """Return a real number as a float, NaN for what is none or is beyond the range of floats."""
    if isinstance(value, _NO_NUMBERS) or not isinstance(value, Real):
        return float("nan")
    try:
        with np.errstate(all="ignore"):
            return float(value)
    except Exception:  # out of range, or a stranger's own
        return float("nan")


def flag(name: str, value: object) -> bool:
    """Return `value` as a bool; only the two of them, Python's or NumPy's, are one."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidInput(f"{name} must be True or False, got {shown(value)}.")
    return bool(value)


def instance(name: str, value: object, kind: type[T] | tuple[type[T], ...], expected: str) -> T:
    """Return `value` if it is of the type that was `expected`, in words that say how to make one."""
    if not isinstance(value, kind):
        raise InvalidInput(f"{name} must be {expected}, got {shown(value)}.")
    return value


def function(name: str, value: object, arguments: Sequence[str]) -> None:
    """Refuse what cannot be called with these `arguments`; None stands for no function."""
    if value is not None and (isinstance(value, type) or not callable(value) or not _takes(value, len(arguments))):
        raise InvalidInput(f"{name} must be a function of ({', '.join(arguments)}) or None, got {shown(value)}.")


def _takes(value: Callable[..., object], count: int) -> bool:
    """Whether it can be called with so many arguments, as far as it tells."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # one of C's that does not tell
        return True
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def listed(name: str, value: object, what: str) -> list[Any]:
    """Return a sequence as a list that is not empty; text, mappings and what has no order are none."""
    ordered = isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim > 0)
    if not ordered or isinstance(value, str | bytes | bytearray | memoryview):
        raise InvalidInput(f"{name} must be a sequence of {what}, got {shown(value)}.")
    assert isinstance(value, Sequence | np.ndarray)
    if not len(value):
        raise InvalidInput(f"{name} is empty: give at least one of the {what}.")
    return list(value)


def as_path(name: str, value: object) -> Path:
    """Return `value` as a path; only text and path objects are one."""
    try:
        place = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    except Exception:  # a stranger's own
        place = None
    if not isinstance(place, str) or "\0" in place:
        raise InvalidInput(f"{name} must be a path, got {shown(value)}.")
    return Path(place)


def as_array(name: str, value: object) -> AnyArray:
    """Return whatever holds an array as one: a tensor, a frame, rows; masks and rows of unequal length are refused."""
    return plain_array(name, value)


def real_array(name: str, value: ArrayLike, *, ndim: int, shape: str) -> AnyArray:
    """Return `value` as a finite real array of `ndim` axes; `shape` names them in the error text.

    float32 and float64 are kept without a copy; every other real type becomes float64. Finiteness is checked in
    blocks, so the check never needs a mask as long as the data set.
    """
    array = as_array(name, value)
    if array.dtype.kind not in "fiub":
        raise InvalidInput(f"{name} must hold real numbers, got dtype {array.dtype}; {remedy(array)}.")
    _hold_shape(name, array, ndim, shape)
    if array.dtype not in (np.float32, np.float64):
        with np.errstate(over="ignore"):  # what leaves the range is infinite, and named below
            array = array.astype(np.float64)
    _hold_finite(name, array, shape)
    return array


def sample_rows(name: str, value: object, shape: str = "(samples, features)") -> Rows:
    """Return inputs, (N, d), as `real_array` does; those of 16 bits stay what they are, and are widened where read."""
    array = as_array(name, value) if (half := as_half(value)) is None else half
    if half is None and (half := as_half(array)) is None:
        return real_array(name, array, ndim=2, shape=shape)
    _hold_shape(name, half, 2, shape)
    _hold_finite(name, half, shape)
    return half


def _hold_shape(name: str, array: Rows, ndim: int, shape: str) -> None:
    if array.ndim != ndim:
        raise InvalidInput(f"{name} must have shape {shape}, got {array.shape}.")
    if 0 in array.shape:
        raise InvalidInput(f"{name} is empty: its shape is {array.shape}, and {shape} needs at least one of each.")


def _hold_finite(name: str, array: Rows, shape: str) -> None:
    for start in range(0, len(array), 4096):
        bad = ~np.isfinite(array[start : start + 4096])
        if bad.any():
            first = np.argwhere(bad)[0]
            where = (start + int(first[0]), *(int(i) for i in first[1:]))
            if "samples" not in shape:
                what = "finite numbers were expected, since all that follows from it would become NaN."
            else:
                what = (
                    "every moment of the data would become NaN. Remove or impute such samples first, and rescale what "
                    "leaves the range of float64."
                )
            raise InvalidInput(f"{name} holds {array[where]} at index {where}: {what}")


def shaped(name: str, value: ArrayLike, shape: tuple[int, ...]) -> AnyArray:
    """Return `value` as a real array of this very shape; whether its values are finite is not asked."""
    array = as_array(name, value)
    if array.dtype.kind not in "fiub" or array.shape != shape:
        raise InvalidInput(f"{name} must hold real numbers in the shape {shape}, got {array.dtype} in {array.shape}.")
    return array


def step_numbers(name: str, value: ArrayLike) -> Ints:
    """Return steps as an int64 array of whole numbers from 0 up, of any shape."""
    steps = as_array(name, value)
    if steps.dtype.kind not in "iu":
        raise InvalidInput(f"{name} must be whole numbers, got {shown(value)}.")
    if steps.min(initial=0) < 0:
        raise InvalidInput(f"{name} counts steps from 0, got {int(steps.min())}.")
    if steps.max(initial=0) > MOST:
        raise InvalidInput(f"{name} must be at most 2^53 = {MOST}, got {int(steps.max())}.")
    return steps.astype(np.int64)


def step_list(name: str, value: object) -> Ints:
    """Return one step count or a sequence of them as an int64 array of counts >= 0, in the order given."""
    steps = np.atleast_1d(as_array(name, value))
    if steps.ndim != 1 or steps.size == 0 or steps.dtype.kind not in "iu":
        raise InvalidInput(f"{name} must be a whole number or a sequence of them, got {shown(value)}.")
    if steps.min() < 0:
        raise InvalidInput(f"{name} counts steps from 0, got {int(steps.min())}.")
    if steps.max() > MOST:
        raise InvalidInput(f"{name} must be at most 2^53 = {MOST}, got {int(steps.max())}.")
    return steps.astype(np.int64)
