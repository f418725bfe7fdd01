"""What is refused of questions about every pair of outputs: levels that know their sum alone, and too much work."""

from __future__ import annotations

from .._validate.sizes import refuse_bytes, refuse_work
from ..errors import InvalidInput
from ..problem.least_squares import LeastSquares
from .prediction import Prediction

__all__ = ["pair_work", "refuse_averaged", "refuse_pairs"]

_BALANCE = 3e5  # operations of a balance beside its passes over the samples


def refuse_pairs(prediction: Prediction, what: str) -> None:
    """Raise `InvalidInput` where the covariances of pairs of outputs, that `what` needs, are not known or too many."""
    if prediction.theory in ("hessian", "equilibrium"):
        raise InvalidInput(
            f"theory={prediction.theory!r} models the sum over outputs only, and {what} depends on how "
            f"the outputs fluctuate together. Use 'exact', 'discrete' or 'langevin'."
        )
    refuse_averaged(prediction, what)
    prediction.law.refuse_between(what)
    problem = prediction.law.problem
    c, r = problem.outputs, float(problem.rank)
    refuse_bytes(f"{what} of {c:,} outputs in {r:,.0f} modes", 8.0 * (c + 10.0) * r**2, "Use fewer outputs.")
    refuse_work(f"{what} of {c:,} outputs", pair_work(problem), "Use fewer outputs or samples.")


def refuse_averaged(prediction: Prediction, what: str) -> None:
    """Raise `InvalidInput` for a prediction that is averaged over several steps."""
    if prediction.steps is not None and len(prediction.steps) > 1:
        raise InvalidInput(
            f"{what} is of one step, and this prediction is averaged over {len(prediction.steps)}: a "
            f"time average also depends on how long a run remembers. Use .after(step)."
        )


def pair_work(problem: LeastSquares) -> float:
    """Return the operations that the balances of all pairs take, about."""
    c = problem.outputs
    return c * (c + 1) / 2 * (20.0 * problem.samples * float(problem.rank) ** 2 + _BALANCE)
