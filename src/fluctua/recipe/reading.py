"""The reader of recipes: from what `Recipe.to_dict` gave back to the recipe, whatever its optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._validate.values import choice
from .quasi_hyperbolic import QHM
from .sgd import SGD, Recipe

__all__ = ["read_recipe"]

_OPTIMISERS: dict[str, type[Recipe]] = {kind.OPTIMISER: kind for kind in (SGD, QHM)}


def read_recipe(fields: Mapping[str, Any]) -> Recipe:
    """Return the recipe that `fields`, from `to_dict`, describes; without an `optimizer` it is `SGD`.

    Raises
    ------
    UnknownName
        For an optimiser that is not known.
    InvalidInput
        For a value out of range.
    """
    rest = dict(fields)
    name = choice("optimizer", rest.pop("optimizer", SGD.OPTIMISER), tuple(_OPTIMISERS))
    return _OPTIMISERS[name](**rest)
