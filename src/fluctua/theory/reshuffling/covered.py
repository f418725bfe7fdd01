"""What the law of shuffled epochs covers, and what to say of the rest."""

from __future__ import annotations

from ...errors import InvalidInput
from ...problem.least_squares import LeastSquares
from ...recipe.sgd import Recipe
from ..ladder import FLOWS, Rung

__all__ = ["refuse_beyond_shuffling"]


def refuse_beyond_shuffling(sgd: Recipe, rung: Rung, problem: LeastSquares | None = None) -> None:
    """Refuse what the law of shuffled epochs does not hold for."""
    if problem is not None and problem.feedback_samples is not None:
        raise InvalidInput(
            f"feedback_samples = {problem.feedback_samples:,} are some of {problem.population:,} samples, and an epoch "
            f"shows each of them once. Leave feedback_samples out of from_batches, or use "
            f"sampling='without_replacement', independent batches of the same size."
        )
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
