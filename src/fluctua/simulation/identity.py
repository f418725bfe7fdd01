"""A run's identity: everything that fixes its numbers, as one frozen object and as the plain JSON types of results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from hashlib import sha256
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from .._validate.plain import Header, JsonObject
from ..problem.least_squares import LeastSquares
from ..problem.softmax.base import Head
from ..recipe.averages import Average, read_average
from ..recipe.reading import read_recipe
from ..recipe.sgd import Recipe

__all__ = ["EqualTimeRun", "InTimeRun", "NoiseRun", "Size", "content", "fingerprint"]

_ROWS = 4096  # of the inputs that are hashed at once


class Size(NamedTuple):
    """What tells one problem from another: its size, L(W*) at the recipe's weight decay, and its sample weights.

    Attributes
    ----------
    samples, features, outputs : int
    optimum_loss : float
        Zero wherever the model fits every sample, whatever the samples weigh.
    sample_weight : str or None
        A fingerprint of the weights in the loss; None where all samples count alike.
    """

    samples: int
    features: int
    outputs: int
    optimum_loss: float
    sample_weight: str | None = None

    @classmethod
    def of(cls, problem: LeastSquares, weight_decay: float) -> Self:
        """Return that of a problem."""
        weights = problem.sample_weight
        told = None if weights is None else fingerprint(weights.astype(np.float32))  # alike for w and any multiple
        return cls(problem.samples, problem.features, problem.outputs, problem.minimum(weight_decay).loss, told)

    def to_list(self) -> list[Any]:
        """Return the same as JSON has it; a problem whose samples count alike says nothing of weights."""
        return list(self[:-1] if self.sample_weight is None else self)


def fingerprint(values: ArrayLike) -> str:
    """Tell arrays apart, in 16 letters."""
    return sha256(np.ascontiguousarray(values, dtype=np.float64).tobytes()).hexdigest()[:16]


def content(problem: LeastSquares | Head) -> str:
    """Tell problems apart: the inputs, the targets and the weights of the samples, in 32 letters."""
    found = sha256(b"" if isinstance(problem, LeastSquares) else type(problem).__name__.encode())
    for array in (problem.inputs, problem.targets, problem.sample_weight, getattr(problem, "factors", None)):
        if array is not None:
            found.update(f"{array.dtype}{array.shape}".encode())
            for begin in range(0, len(array), _ROWS):
                found.update(np.ascontiguousarray(array[begin : begin + _ROWS]).tobytes())
    return found.hexdigest()[:32]


def _average(given: Header | None) -> Average | None:
    return None if given is None else read_average(given)


_READ: dict[str, Callable[[Any], Any]] = {
    "recipe": read_recipe,
    "average": _average,
    "spawn_key": tuple,
    "lags": tuple,
    "problem": lambda given: Size(*given),
}
"""How a field is made of what JSON has of it; the others are as they are."""


def _plain(value: Any) -> Any:
    if isinstance(value, Size):
        return value.to_list()
    if isinstance(value, tuple):
        return list(value)
    return value.to_dict() if hasattr(value, "to_dict") else value


@dataclass(frozen=True)
class NoiseRun:
    """What fixes the numbers of a look at the gradient noise.

    Attributes
    ----------
    recipe : Recipe
    steps, replicas : int
    entropy : str
        Of the root of the randomness, the seed.
    problem : Size
    """

    recipe: Recipe
    steps: int
    replicas: int
    entropy: str
    problem: Size

    @classmethod
    def of(cls, identity: Header) -> Self:
        """Read what `to_dict` gave; raises `InvalidInput` where a recipe cannot be read."""
        told = (each for each in fields(cls) if each.name in identity or not _may_be_left_out(each))
        return cls(**{each.name: _READ.get(each.name, _as_is)(identity[each.name]) for each in told})

    def to_dict(self) -> JsonObject:
        """Return the same as plain JSON types."""
        told = ((each, getattr(self, each.name)) for each in fields(self))
        return {each.name: _plain(value) for each, value in told if not (_may_be_left_out(each) and value is None)}


def _may_be_left_out(field: Field[Any]) -> bool:
    """Whether runs that have no such thing say nothing of it."""
    return field.default is None


def _as_is(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class EqualTimeRun(NoiseRun):
    """What fixes the numbers of `simulate`.

    Attributes
    ----------
    dynamics, dtype : str
    average : Average or None
    records : int
    spawn_key : tuple of int
        Of the root of the randomness.
    start : str
        "optimum", "zero", or a fingerprint of the weights.
    device, batches : str or None
        The device of torch's on which it ran, and where its batches were drawn; None of the compiled loop.
    """

    dynamics: str
    average: Average | None
    records: int
    dtype: str
    spawn_key: tuple[int, ...]
    start: str
    device: str | None = field(default=None, kw_only=True)
    batches: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class InTimeRun(NoiseRun):
    """What fixes the numbers of a run and its twins, looked at two times.

    Attributes
    ----------
    opened, gap : int
        First step looked at, and steps between two origins.
    lags : tuple of int
    modes, groups : int
        Modes looked at; groups of replicas whose spread gives the errors.
    spawn_key : tuple of int
        Of the root of the randomness.
    """

    opened: int
    gap: int
    lags: tuple[int, ...]
    modes: int
    groups: int
    spawn_key: tuple[int, ...]
