"""A run's identity: everything that fixes its numbers, as one frozen object and as the plain JSON types of results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

from .._validate.plain import Header, JsonObject
from ..problem.least_squares import LeastSquares
from ..recipe.averages import Average, read_average
from ..recipe.reading import read_recipe
from ..recipe.sgd import Recipe

__all__ = ["EqualTimeRun", "InTimeRun", "NoiseRun", "Size"]


class Size(NamedTuple):
    """What tells one problem from another: its size, and L(W*) at the recipe's weight decay."""

    samples: int
    features: int
    outputs: int
    optimum_loss: float

    @classmethod
    def of(cls, problem: LeastSquares, weight_decay: float) -> Self:
        """Return that of a problem."""
        return cls(problem.samples, problem.features, problem.outputs, problem.minimum(weight_decay).loss)


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
    """

    recipe: Recipe
    steps: int
    replicas: int
    entropy: str

    @classmethod
    def of(cls, identity: Header) -> Self:
        """Read what `to_dict` gave; raises `InvalidInput` where a recipe cannot be read."""
        return cls(**{each.name: _READ.get(each.name, _as_is)(identity[each.name]) for each in fields(cls)})

    def to_dict(self) -> JsonObject:
        """Return the same as plain JSON types."""
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self)}


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
    problem : Size
    """

    dynamics: str
    average: Average | None
    records: int
    dtype: str
    spawn_key: tuple[int, ...]
    start: str
    problem: Size


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
    problem : Size
    """

    opened: int
    gap: int
    lags: tuple[int, ...]
    modes: int
    groups: int
    spawn_key: tuple[int, ...]
    problem: Size
