"""What arrays of other libraries become at the door: a plain NumPy array, or a refusal that says what to call."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from .._arrays import AnyArray
from ..errors import InvalidInput

__all__ = ["plain_array", "remedy"]

_TORCH_WIDE = ("torch.bfloat16", "torch.float8")
_REMEDIES = {
    "U": "convert it to float first, .astype(float), or labels written as text to whole numbers, .astype(int) or "
    "numpy.unique(..., return_inverse=True)",
    "c": "take .real, .imag or abs() of it",
    "M": "subtract an origin and divide by numpy.timedelta64(1, 's'): that gives seconds",
    "m": "divide it by numpy.timedelta64(1, 's'): that gives seconds",
    "V": "numpy.lib.recfunctions.structured_to_unstructured gives a plain array of a structured one",
}


def plain_array(name: str, value: object) -> AnyArray:
    """Return `value` as a NumPy array whose values are those that its owner would compute with.

    Tensors are detached, brought to the CPU and, from bfloat16 and the like, widened to float32; frames and series
    give their values, as numbers or strings where all entries are that. Nothing is copied that
    NumPy can share.

    Raises
    ------
    InvalidInput
        For masked entries, sparse arrays, rows of unequal length, and whatever its own library refuses to convert.
    """
    try:
        found = _unwrapped(name, value)
    except RecursionError as error:
        raise InvalidInput(f"{name} is nested without an end, and no array is. Give rows of numbers.") from error
    try:
        array = np.asarray(found)
    except ValueError as error:
        raise InvalidInput(f"{name} cannot be read as one array, its rows differ in length: {error}") from None
    except Exception as error:
        raise _refusal(name, value, error) from error
    array = array.astype(object) if array.dtype.kind == "T" else array  # text of variable length may have holes
    return _widened(array if array.dtype.kind != "O" else _of_objects(array, numbers=hasattr(value, "to_numpy")))


def remedy(array: AnyArray) -> str:
    """Return what to do with an array that holds no real numbers."""
    if array.dtype.kind != "O":
        return _REMEDIES.get({"S": "U", "T": "U"}.get(array.dtype.kind, array.dtype.kind), "convert it to float first")
    if array.ndim == 0:
        return f"a {type(array.item()).__name__} is no array. Give rows of numbers, or numpy.array(list(...)) of them"
    place = next((k for k, entry in np.ndenumerate(array) if _missing(entry)), None)
    place = place or next((k for k, entry in np.ndenumerate(array) if not isinstance(entry, Real)), None)
    if place is None:
        return "its entries are Python's own numbers: convert it to float first, .astype(float), or labels to int"
    return (
        f"the entry at index {tuple(map(int, place))} is {array[place]!r:.60}, a {type(array[place]).__name__}. Leave "
        f"out or fill what is missing (dropna, fillna), and convert the rest to float first, .astype(float)"
    )


def _missing(entry: object) -> bool:
    alone = isinstance(entry, Real) and entry != entry  # noqa: PLR0124  (NaN alone is not itself)
    return alone or not isinstance(entry, Real | str)


def _unwrapped(name: str, value: object) -> object:
    """Return what NumPy reads rightly, for a single object or each item of a sequence."""
    if isinstance(value, np.ma.MaskedArray):
        return _unmasked(name, value)
    if type(value) is np.ndarray or isinstance(value, str | bytes | type):
        return value
    if isinstance(value, list | tuple):
        kinds = {type(item) for item in value}
        if not kinds <= {int, float, bool, str}:
            return [_unwrapped(name, item) for item in value]
        return np.array(value, object) if str in kinds and len(kinds) > 1 else value  # NumPy would spell the numbers
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        return _from_tensor(name, value)
    if hasattr(value, "toarray") or hasattr(value, "todense"):
        call = "toarray" if hasattr(value, "toarray") else "todense"
        raise InvalidInput(
            f"{name} is a sparse {type(value).__name__}, and the moments of its samples need all entries. Call "
            f".{call}() on it first; shape {getattr(value, 'shape', '?')} in float64 must fit into memory."
        )
    return _from_frame(name, value) if hasattr(value, "to_numpy") else value


def _unmasked(name: str, value: np.ma.MaskedArray[Any, Any]) -> AnyArray:
    masked = int(np.ma.getmaskarray(value).sum())
    if masked:
        raise InvalidInput(
            f"{name} is a masked array with {masked:,} of {value.size:,} entries masked, and what lies under the mask "
            f"must not be learned from. Leave those samples out, values.data[~numpy.ma.getmaskarray(values)"
            f"{'.any(axis=1)' if value.ndim > 1 else ''}], or fill them, values.filled(0.0)."
        )
    return np.asarray(value.data)


def _from_tensor(name: str, tensor: Any) -> object:
    try:
        if str(tensor.layout) != "torch.strided":
            raise TypeError("it is sparse; call .to_dense() on it first")
        plain = tensor.detach().cpu()
        plain = plain.dequantize() if plain.is_quantized else plain.resolve_conj().resolve_neg()
        return (plain.float() if str(plain.dtype).startswith(_TORCH_WIDE) else plain).numpy()
    except Exception as error:
        raise _refusal(name, tensor, error) from error


def _from_frame(name: str, frame: Any) -> object:
    try:
        return frame.to_numpy()
    except Exception as error:
        raise _refusal(name, frame, error) from error


def _refusal(name: str, value: object, error: Exception) -> InvalidInput:
    kind = f"{type(value).__module__}.{type(value).__name__}"
    return InvalidInput(
        f"{name}, a {kind}, cannot be read as a NumPy array ({type(error).__name__}: {error}). Convert it first: "
        f"numpy.asarray, or for a tensor .detach().cpu().numpy()."
    )


def _of_objects(array: AnyArray, numbers: bool) -> AnyArray:
    """Return an array of objects as one of strings, or if asked of `numbers`, where they all are that."""
    kinds = {type(entry) for entry in array.flat}
    if kinds and all(issubclass(kind, str) for kind in kinds):
        return array.astype(str)
    if not numbers or not kinds or not all(issubclass(kind, Real | np.bool_) for kind in kinds):
        return array
    found = np.array(array.tolist())
    if found.dtype.kind != "O":
        return found
    try:
        return array.astype(np.float64)  # whole numbers beyond 64 bits, fractions
    except (OverflowError, TypeError, ValueError):
        return array


def _widened(array: AnyArray) -> AnyArray:
    """Return float32 of the small floats of other libraries (ml_dtypes), which NumPy counts as void."""
    small = array.dtype.kind == "V" and not issubclass(array.dtype.type, np.void)
    return array.astype(np.float32) if small else array
