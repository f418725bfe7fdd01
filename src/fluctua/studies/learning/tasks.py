"""Tasks: pairs of an input and the response to it that is to be learned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array, Ints
from ..._validate.values import as_array, real_array
from ...errors import InvalidInput

__all__ = ["Tasks"]


@dataclass(frozen=True)
class Tasks:
    """Inputs u and targets xi, one pair a row.

    Attributes
    ----------
    inputs, targets : ndarray, (t, n)
    """

    inputs: Array
    targets: Array

    @classmethod
    def of(cls, neurons: int, inputs: ArrayLike, targets: ArrayLike) -> Tasks:
        """Return the tasks of a network with so many neurons; raises `InvalidInput` for what are none."""
        found = cls(_patterns("inputs", inputs, neurons), _patterns("targets", targets, neurons))
        if len(found.inputs) != len(found.targets):
            raise InvalidInput(
                f"inputs and targets must come in pairs, got {len(found.inputs)} inputs and {len(found.targets)} "
                f"targets. Give a row of each for every task."
            )
        return found

    def __len__(self) -> int:
        return len(self.inputs)

    def along(self, response: Array, gains: Array) -> tuple[Array, Array, Array]:
        """Return xi^T R G xi, u^T R G u and u^T R G xi of each task for a response matrix R, (t,) each."""
        u, xi = self.inputs, self.targets
        heard, answered = u @ response, xi @ response
        return _products(answered, xi * gains), _products(heard, u * gains), _products(heard, xi * gains)

    def overlaps(self, response: Array, gains: Array) -> Array:
        """Return xi^T R G u of each task, (t,): how much of the target the input evokes before learning."""
        return _products(self.targets @ response, self.inputs * gains)

    def distinct(self) -> tuple[Array, Ints]:
        """Return the inputs without repetition, (k, n), and which of them each task has."""
        rows, which = np.unique(self.inputs, axis=0, return_inverse=True)
        return rows, np.ravel(which)


def _products(left: Array, right: Array) -> Array:
    """Inner products row by row, (t,)."""
    return np.asarray(np.einsum("ti,ti->t", left, right))


def _patterns(name: str, given: ArrayLike, neurons: int) -> Array:
    """Return patterns as rows, (t, n)."""
    array = as_array(name, given)
    one = array.ndim == 1
    rows = real_array(name, array[None] if one else array, ndim=2, shape="(tasks, neurons) or (neurons,)")
    if rows.shape[1] != neurons:
        raise InvalidInput(
            f"{name} must have a number for each of the {neurons} neurons, got "
            f"{'a pattern' if one else 'patterns'} of {rows.shape[1]}."
        )
    patterns = rows.astype(np.float64)
    silent = np.flatnonzero(~patterns.any(axis=1))
    if len(silent):
        raise InvalidInput(
            f"{name if one else f'{name}[{silent[0]}]'} is zero: a pattern of no activity has nothing to be learned. "
            f"Leave it out."
        )
    return patterns
