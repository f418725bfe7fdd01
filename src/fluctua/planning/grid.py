"""The cells of a sweep: every combination of the values that a recipe's parameters are given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import product
from math import prod

import numpy as np

from .._validate.plain import Json
from .._validate.values import choice, listed, shown
from ..errors import InvalidInput
from ..problem.least_squares import LeastSquares
from ..recipe.sgd import Recipe
from ..theory.stability import independent_batches, max_stable_lr

__all__ = ["Grid", "usual_rates"]

_MOST = 10_000  # cells
_LAST = ("batch_size", "lr")  # what varies fastest, in this order
_BELOW, _ABOVE, _RATES = 0.01, 1.1, 12  # of the largest limit: the default rates, evenly spaced in their logarithm


@dataclass(frozen=True)
class Grid:
    """Recipes by the values of what is varied.

    Attributes
    ----------
    base : Recipe
        What all cells share.
    names : tuple of str
        Parameters that are varied, the fastest last.
    recipes : tuple of Recipe
        One for each combination.
    """

    base: Recipe
    names: tuple[str, ...]
    recipes: tuple[Recipe, ...]

    @classmethod
    def of(cls, base: Recipe, given: Mapping[str, object]) -> Grid:
        """Read the values, a sequence for each parameter; raises `InvalidInput`, for a name `UnknownName`."""
        known = [each.name for each in fields(base)]
        lists = {
            choice("parameter of the recipe", name, known): listed(name, each, "values") for name, each in given.items()
        }
        if not lists:
            raise InvalidInput(
                "a sweep varies something, and no values are given. Give a sequence for at least one parameter of the "
                "recipe, such as lr=[0.01, 0.03, 0.1]."
            )
        count = prod(map(len, lists.values()))
        if count > _MOST:
            raise InvalidInput(f"the values make {count:,} cells, and a sweep has at most {_MOST:,}. Give fewer.")
        names = sorted(lists, key=lambda name: _LAST.index(name) if name in _LAST else -1)
        combinations = product(*(lists[name] for name in names))
        recipes = tuple(replace(base, **dict(zip(names, each, strict=True))) for each in combinations)
        grid = cls(base, tuple(names), recipes)
        for name, values in lists.items():
            grid.refuse_repeated(name, values)
        return grid

    def refuse_repeated(self, name: str, values: Sequence[object]) -> None:
        """Raise `InvalidInput` where a value comes twice: its cells would be the same."""
        if len(self.axes[name]) < len(values):
            raise InvalidInput(f"{name} has a value twice, in {shown(values)}: their cells are the same. Give it once.")

    @cached_property
    def axes(self) -> dict[str, tuple[Json, ...]]:
        """The different values of each parameter as plain JSON types, in their order."""
        found: dict[str, dict[str, Json]] = {name: {} for name in self.names}
        for each in self.values:
            for name, value in each.items():
                found[name].setdefault(json.dumps(value, sort_keys=True), value)
        return {name: tuple(values.values()) for name, values in found.items()}

    @cached_property
    def values(self) -> tuple[dict[str, Json], ...]:
        """What tells each cell from the others, as plain JSON types."""
        plain = (recipe.to_dict() for recipe in self.recipes)
        return tuple({name: each[name] for name in self.names} for each in plain)


def usual_rates(problem: LeastSquares, recipes: Sequence[Recipe]) -> list[float]:
    """Return twelve learning rates, from a hundredth of the largest limit of these recipes to a little above it.

    Cost: `max_stable_lr` of independent batches for each recipe.
    """
    limit = max(float(max_stable_lr(problem, independent_batches(each))) for each in recipes)
    rates = np.geomspace(_BELOW, _ABOVE, _RATES) * limit
    return list(dict.fromkeys(float(f"{rate:.2g}") for rate in rates))
