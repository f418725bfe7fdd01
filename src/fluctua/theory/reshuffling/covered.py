"""What the law of shuffled epochs covers, and what to say of the rest."""

from __future__ import annotations

from ...errors import InvalidInput
from ...recipe.sgd import Recipe
from ..ladder import FLOWS, Rung

__all__ = ["refuse_beyond_shuffling"]


def refuse_beyond_shuffling(sgd: Recipe, rung: Rung) -> None:
    """Refuse what the law of shuffled epochs does not hold for."""
    if sgd.sampling != "shuffle":
        raise InvalidInput(
            f"sampling = {sgd.sampling!r} repeats one order in every epoch: the weights settle on a periodic orbit and "
            f"between epochs nothing fluctuates, so there is no covariance to predict. simulate() follows it; use "
            f"sampling='shuffle' for a theory."
        )
    if rung in FLOWS:
        raise InvalidInput(
            f"theory={rung!r} is not covered by the law of shuffled epochs. Leave it out, or use "
            f"sampling='without_replacement', independent batches of the same size."
        )
