"""Draws of a sampler as they come: an array of any library, or a file of one."""

from __future__ import annotations

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

__all__ = ["FEWEST", "read_draws"]

FEWEST = 8
"""Chains: their spread is the error bar of everything."""
_LARGEST = 1e100
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
    if (largest := max(float(np.abs(chain).max()) for chain in shaped)) > _LARGEST:
        raise InvalidInput(
            f"draws holds {largest:.3g}, whose square leaves the range of numbers: a chain diverged. Look at its step, "
            f"max_stable_lr(problem, sampler) is the largest that is stable."
        )
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
    found = real_array("draws", array, ndim=ndim, shape=expected)
    weights = (c, d) if ndim == 4 else (*one, d)
    if found.shape[-len(weights) :] != weights:
        raise InvalidInput(
            f"draws must have the shape {expected}, since the data have {d} features and {c} outputs; got "
            f"{found.shape}. Where the columns are others, such as an intercept, the law is of other weights."
        )
    steps = found.shape[1 : found.ndim - len(weights)] or (1,)
    return found.reshape(len(found), *steps, c, d)


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
