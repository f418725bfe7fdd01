"""Draws of a sampler as they come: an array of any library, or a file of one."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ..._arrays import AnyArray
from ..._validate.values import as_array, as_path, real_array
from ...data.own import existing
from ...data.readers.held import Held
from ...data.readers.numpy_files import load_npy, npz_arrays
from ...errors import InvalidInput
from ...problem.least_squares import LeastSquares

__all__ = ["FEWEST", "read_draws", "refuse_copies"]

FEWEST = 8
"""Chains: their spread is the error bar of everything."""
_LARGEST = 1e100
_TELLING = 16  # numbers of a chain that two do not share by chance, however few digits they have
_NAMES = ("draws", "samples", "chains")


def read_draws(draws: Any, problem: LeastSquares) -> AnyArray:
    """Return the draws, (chains, steps, c, d).

    Parameters
    ----------
    draws : array_like or path
        (chains, steps, d), or (chains, d) of one draw a chain; of c > 1 outputs (chains, steps, c, d) or
        (chains, c, d). Or the .npy or .npz file of such an array.
    problem : LeastSquares
        What they are draws of.

    Raises
    ------
    InvalidInput
        For another shape, a value that is not finite, and fewer chains than `FEWEST`.
    CorruptData
        For a file that holds no such array.
    """
    array = _of_file(as_path("draws", draws)) if isinstance(draws, str | Path) else draws
    shaped = _shaped(array, problem)
    if len(shaped) < FEWEST:
        raise InvalidInput(
            f"draws has {len(shaped)} chains, and at least {FEWEST} independent ones are needed: their spread is the "
            f"error bar of everything that is tested. Run more chains; the first axis of draws counts them."
        )
    return shaped


def _shaped(array: Any, problem: LeastSquares) -> AnyArray:
    c, d = problem.outputs, problem.features
    one = () if c == 1 else (c,)
    expected = " or ".join(f"(chains, {steps}{'' if c == 1 else f'{c}, '}{d})" for steps in ("steps, ", ""))
    array = as_array("draws", array)
    ndim = array.ndim
    if ndim not in (2 + len(one), 3 + len(one)) and not (c == 1 and ndim == 4):
        raise InvalidInput(
            f"draws must have the shape {expected}, got {getattr(array, 'shape', type(array).__name__)}."
        )
    _refuse_diverged(array)
    found = real_array("draws", array, ndim=ndim, shape=expected)
    weights = (c, d) if ndim == 4 else (*one, d)
    if found.shape[-len(weights) :] != weights:
        raise InvalidInput(
            f"draws must have the shape {expected}, since the data have {d} features and {c} outputs; got "
            f"{found.shape}. Where the columns are others, such as an intercept, the law is of other weights."
        )
    steps = found.shape[1 : found.ndim - len(weights)] or (1,)
    return found.reshape(len(found), *steps, c, d)


def _refuse_diverged(array: AnyArray) -> None:
    """Refuse what is not finite, or has no square that is."""
    if array.dtype.kind != "f" or not array.size:
        return
    for number, chain in enumerate(array):
        largest = float(np.abs(chain).max())
        if not largest <= _LARGEST:
            raise InvalidInput(
                f"draws holds {largest:.3g} in its chain number {number}, and no finite number has that square: a "
                f"chain diverged. Look at its step, max_stable_lr(problem, sampler) is the largest that is stable."
            )


def refuse_copies(draws: AnyArray) -> None:
    """Refuse chains that hold the same numbers: with thermal noise of their own none is like another.

    Parameters
    ----------
    draws : ndarray, (chains, steps, c, d)
        As `read_draws` returns them. A few coarse numbers may be alike by chance, and are not looked at.

    Raises
    ------
    InvalidInput
        For the first chain that is a copy.
    """
    if draws[0].size < _TELLING:
        return
    seen: dict[bytes, int] = {}
    for number, chain in enumerate(draws):
        first = seen.setdefault(sha256(np.ascontiguousarray(chain).tobytes()).digest(), number)
        if first != number:
            raise InvalidInput(
                f"draws has the same numbers in its chains number {first} and {number}, and independent chains have "
                f"thermal noise of their own: their spread is the error bar of everything that is tested. Give every "
                f"chain a seed, or a key, of its own."
            )


def _of_file(path: Path) -> AnyArray:
    place = existing(path, (".npy", ".npz"))
    if place.suffix == ".npy":
        return load_npy(place)
    with npz_arrays(place) as held:
        return held.entries[_named(held, place)].read(None)  # type: ignore[return-value]


def _named(held: Held, path: Path) -> str:
    """Return the array that holds the draws: the only one, or the one that is called so."""
    names = list(held.entries)
    found = names if len(names) == 1 else [name for name in _NAMES if name in names]
    if len(found) != 1:
        raise InvalidInput(
            f"{path} holds the arrays {', '.join(names) or '(none)'}, and which of them are the draws is not known. "
            f"Name one of them draws, or save it alone."
        )
    return found[0]
