"""Files of results: one .npz with a JSON header."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import numpy as np

from .._arrays import AnyArray, Arrays
from .._validate.plain import Header, Keywords
from ..errors import ResultError
from .paths import refuse_irregular
from .stored import Stored, opened, reading
from .writing import save_with

__all__ = ["finite", "load_arrays", "provenance", "save_arrays"]

_HEADER = "header"
_FORMAT = "fluctua-result-1"


def save_arrays(path: Path | str, header: Header, arrays: Arrays) -> None:
    """Write `arrays` and the JSON `header` to `path`, whole or not at all.

    Raises
    ------
    OutputError
        If the place cannot be written or is full.
    """
    text = json.dumps({"format": _FORMAT, **header})

    def write(handle: IO[bytes]) -> None:
        np.savez(handle, **{_HEADER: np.array(text)}, **arrays)  # type: ignore[arg-type]  # (a stub too narrow)

    save_with(path, write)


def load_arrays(path: Path | str) -> tuple[Keywords, dict[str, AnyArray]]:
    """Return the header and the arrays of a file written by `save_arrays`.

    Raises
    ------
    ResultError
        If the file is missing, damaged or not one of ours.
    """
    refuse_irregular(path, ResultError)
    with reading(partial(_unreadable, path)):
        try:
            with opened(path) as stored:
                if isinstance(stored, Stored):
                    raise ValueError("it is a single array, not an .npz")
                arrays = {name: stored[name].read() for name in stored}
        except FileNotFoundError:
            raise ResultError(f"{path}: no such result. Run `fluctua verify ... --out DIR` to make one.") from None
        header = json.loads(str(arrays.pop(_HEADER)), parse_constant=_refuse_constant)
        if not isinstance(header, dict):
            raise ValueError("its header is no JSON object")
    if header.get("format") != _FORMAT:
        raise ResultError(f"{path} has the format {header.get('format')!r}; this version reads {_FORMAT!r}.")
    return header, arrays


def _unreadable(path: Path | str, reason: str) -> ResultError:
    return ResultError(f"{path} is not a readable fluctua result ({reason}). Delete it and run again.")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"its header holds {name}")


def provenance() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {}
    for name in ("fluctua", "numpy", "scipy"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def finite(value: Any) -> Any:
    """Return a result as JSON can hold it: no infinity and no NaN, they become null; and no negative zero."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if not isinstance(value, float):
        return value
    return value + 0.0 if np.isfinite(value) else None
