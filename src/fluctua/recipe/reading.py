"""The reader of recipes: from what `Recipe.to_dict` gave back to the recipe, whatever its optimiser."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from .._validate.plain import Header
from .._validate.values import choice
from ..errors import InvalidInput
from .kinetic import SGHMC
from .langevin import SGLD, ULA
from .other_optimisers import refuse_optimiser
from .quasi_hyperbolic import QHM
from .sgd import SGD, Recipe
from .splittings import ABOBA, BAOA, BAOAB, OBABO

__all__ = ["OPTIMISERS", "read_recipe"]

_KINDS: tuple[type[Any], ...] = (SGD, QHM, SGLD, ULA, SGHMC, BAOA, BAOAB, ABOBA, OBABO)
OPTIMISERS: dict[str, type[Any]] = {kind.OPTIMISER: kind for kind in _KINDS}
"""Every recipe's class by its name."""


def read_recipe(given: Header) -> Recipe:
    """Return the recipe that `given`, from `to_dict`, describes; without an `optimizer` it is `SGD`.

    Raises
    ------
    UnknownName
        For an optimiser that is not known.
    InvalidInput
        For an optimiser whose step is not linear in the gradient, for an option that the optimiser does not have, one
        that it needs and has not got, a value out of range.
    """
    options = dict(given)
    given_name = options.pop("optimizer", SGD.OPTIMISER)
    refuse_optimiser(given_name)
    name = choice("optimizer", given_name, tuple(OPTIMISERS))
    known = {each.name: each.default is MISSING for each in fields(OPTIMISERS[name])}
    strange, missing = options.keys() - known, [each for each in known if known[each] and each not in options]
    if strange or missing:
        wrong = f"does not have {', '.join(sorted(strange))}" if strange else f"needs {', '.join(missing)}"
        raise InvalidInput(f"the optimizer {name} {wrong}. Its options: {', '.join(known)}.")
    recipe: Recipe = OPTIMISERS[name](**options)
    return recipe
