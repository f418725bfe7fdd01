"""What the verdict on draws keeps: the numbers behind its figure, mode by mode, and what is said of the draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ..._arrays import AnyArray, Array, standard_error
from ...theory.answers import Prediction
from ...verification.formats import caught
from ...verification.significance import unit_scores
from ...verification.statements import Statement
from .compared import Asked, temperature_caught
from .contrasts import Contrasts, Sample
from .settled import Used

__all__ = ["arrays_of", "facts_of"]


def arrays_of(
    law: Prediction, theories: Mapping[str, Prediction], sample: Sample
) -> tuple[dict[str, AnyArray], dict[str, list[str]]]:
    """Return the arrays of the figure, and the columns of its table."""
    measured, target = sample.variances.mean(axis=0), target_of(law)
    arrays: dict[str, AnyArray] = {
        "mode": np.arange(1, len(measured) + 1),
        "curvature": law.curvatures,
        "target": target,
        "measured": measured,
        "error": standard_error(sample.variances),
        "z": unit_scores(sample.variances - law.mode_variances),
        "inflation": measured / target,
        "inflation_error": standard_error(sample.variances) / target,
    }
    arrays |= {f"predicted_{name}": each.mode_variances for name, each in theories.items()}
    return arrays, {"modes": list(arrays)}


def target_of(law: Prediction) -> Array:
    """Return S_pp of the posterior, c T/h; without a temperature the law's own, whatever it is."""
    if not law.law.sgd.step.temperature:
        return law.mode_variances
    return law.target


def facts_of(
    law: Prediction, draws: AnyArray, used: Used, every: int, contrasts: Contrasts, claim: Statement, asked: Asked
) -> Iterator[tuple[str, str]]:
    """Yield what the page and the terminal say beside the statements."""
    chains, steps = draws.shape[:2]
    kept, outputs = steps - used.first, law.law.problem.outputs
    apart = "" if every == 1 else f", {every:,} steps apart"
    left = f", the first {used.first:,} of each left out: they still know the start" if used.first else ""
    yield "Law", f"{law.theory}, {law.when}: {law.law.sgd.words}"
    yield "Draws", f"{chains:,} chains x {steps:,}{apart}{left}"
    count = len(contrasts.sample.half)
    cut = "chains" if used.blocks == 1 else f"stretches, {used.blocks} of each chain"
    yield "Error bars", f"from the spread between {count:,} {cut}"
    independent = np.maximum(contrasts.worth * kept, 1.0) * chains * outputs
    yield (
        "Independent draws",
        f"by the law, for the variance of a mode: {independent.min():,.0f} in the slowest, {independent.max():,.0f} in "
        f"the fastest",
    )
    losses = contrasts.sample.losses
    error = standard_error(losses[:, None])[0]
    yield "Excess loss", f"{losses.mean():.6g} +- {error:.2g}, predicted {contrasts.tested.excess_loss:.6g}"
    scores = unit_scores(contrasts.sample.variances - np.diag(contrasts.tested.covariance))
    yield "z-rms", f"{np.sqrt(np.mean(scores**2)):.2f} over {len(scores)} modes; 1 for the right law"
    if asked.warmer is not None:
        shared = Statement(claim.name, claim.role, claim.quantities, asked.level / 3)
        least = temperature_caught(shared, contrasts.ratios(asked.warmer), asked.resolution)
        yield "Temperature", f"an error of {caught(least)} would have been caught (with probability 0.95)"
