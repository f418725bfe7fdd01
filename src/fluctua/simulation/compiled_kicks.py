"""The thermal noise of a step, compiled: nothing where there is none, told from the type of what is given."""

from __future__ import annotations

from typing import Any

import numba
from numba.extending import overload

from .._arrays import Floating, Real
from .compiled_cache import OPTIONS

__all__ = ["kick_of", "kicked"]


def kick_of(kicks: Any, step: int, replica: int) -> Any:
    """Return the numbers of one replica and step, and their factors."""
    raise NotImplementedError


def kicked(value: Floating, kick: Any, slot: int, k: int, j: int) -> Floating:
    """Return a number of the state of weight (k, j), the one in a slot, with its thermal noise."""
    raise NotImplementedError


@overload(kick_of, strict=False, jit_options=OPTIONS)  # type: ignore[arg-type]
def _chosen(kicks: Any, step: Any, replica: Any) -> Any:
    del step, replica
    return _one if isinstance(kicks, numba.types.BaseTuple) else _none


@overload(kicked, strict=False, jit_options=OPTIONS)  # type: ignore[arg-type]
def _moved(value: Any, kick: Any, slot: Any, k: Any, j: Any) -> Any:
    del value, slot, k, j
    return _hot if isinstance(kick, numba.types.BaseTuple) else _cold


def _one(kicks: Any, step: int, replica: int) -> tuple[Real, Real]:
    numbers, factors = kicks
    return numbers[replica, step], factors[step]


def _none(kicks: None, step: int, replica: int) -> None:  # noqa: ARG001
    return None


def _hot(value: Floating, kick: Any, slot: int, k: int, j: int) -> Floating:
    numbers, factors = kick
    moved: Floating = value + factors[slot] * numbers[k, j]
    return moved


def _cold(value: Floating, kick: None, slot: int, k: int, j: int) -> Floating:  # noqa: ARG001
    return value
